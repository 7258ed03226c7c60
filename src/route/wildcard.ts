/** Texts with `*` for any characters, matched in time linear in the text, whatever the two hold. */

/** @param escapes whether `\*` and `\\` stand for themselves */
export function piecesOf(pattern: string, escapes: boolean): string[] {
  const pieces = ['']
  for (let n = 0; n < pattern.length; n++) {
    const escaped = escapes && pattern[n] === '\\' && n + 1 < pattern.length
    if (escaped) n += 1
    if (pattern[n] === '*' && !escaped) pieces.push('')
    else pieces[pieces.length - 1] += pattern[n] ?? ''
  }
  return pieces
}

/**
 * Looks for the pieces between the stars from left to right: the first place of each leaves the most for the rest, so that
 * nothing is tried twice.
 */
export function wildcardTest([head = '', ...rest]: readonly string[]): (text: string) => boolean {
  if (rest.length === 0) return (text) => text === head
  const tail = rest.at(-1) ?? ''
  const finders = rest
    .slice(0, -1)
    .filter((piece) => piece !== '')
    .map(finderOf)
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
    let from = head.length
    for (const find of finders) {
      from = find(text, from)
      if (from === -1) return false
    }
    return from <= text.length - tail.length
  }
}

/** Knuth, Morris and Pratt: `indexOf` takes the product of both lengths for texts that were made for it. @returns the end, or -1 */
function finderOf(piece: string): (text: string, from: number) => number {
  const units = Uint16Array.from({ length: piece.length }, (_, n) => piece.charCodeAt(n))
  const borders = bordersOf(units)
  return (text, from) => {
    let matched = 0
    for (let n = from; n < text.length; n++) {
      const unit = text.charCodeAt(n)
      while (matched > 0 && unit !== units[matched]) matched = borders[matched - 1] ?? 0
      if (unit === units[matched]) matched += 1
      if (matched === units.length) return n + 1
    }
    return -1
  }
}

/** For each length, the longest proper prefix that is a suffix too. */
function bordersOf(units: Uint16Array): Uint32Array {
  const borders = new Uint32Array(units.length)
  for (let n = 1, length = 0; n < units.length; n++) {
    while (length > 0 && units[n] !== units[length]) length = borders[length - 1] ?? 0
    if (units[n] === units[length]) length += 1
    borders[n] = length
  }
  return borders
}
