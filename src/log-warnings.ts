import type { ConfigIssue } from './config/issues.ts'
import type { Log } from './log.ts'

/** A mistake made by a program can be in each of a thousand rules. */
const shown = 20

export function logWarnings(log: Log, warnings: readonly ConfigIssue[]): void {
  for (const { file, line, column, message } of warnings.slice(0, shown)) log.warn(`${file}:${line}:${column}: ${message}`)
  if (warnings.length > shown) log.warn(`${warnings.length - shown} more of these: \`gemini-relay check\` says all`)
}
