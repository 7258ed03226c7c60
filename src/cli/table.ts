/** Columns for people: as wide as they need to be, the last one cut to the terminal. */

export function formatTable(
  headers: readonly string[],
  rows: readonly (readonly string[])[],
  width = process.stdout.columns ?? Infinity,
): string {
  const widths = headers.map((header, column) => Math.max(header.length, ...rows.map((row) => row[column]?.length ?? 0)))
  return [headers, ...rows]
    .map((row) =>
      cut(
        row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join('  ')
          .trimEnd(),
        width,
      ),
    )
    .join('\n')
}

/** One line without control or formatting characters: a text from outside must not move the cursor or turn the line around. */
export function oneLine(text: string | null): string {
  return (text ?? '').replaceAll(/[\p{C}\p{Zl}\p{Zp}]+/gu, ' ')
}

function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, Math.max(1, width - 1))}…` : line
}

export function ago(date: Date, now = Date.now()): string {
  const seconds = Math.max(0, Math.round((now - date.getTime()) / 1_000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)}h`
  return `${Math.round(seconds / 86_400)}d`
}
