/** `Retry-After`, read strictly: what is not one of its two spellings is as good as absent. */

/** Longest wait a receiver can ask for; a wrong clock or a typo there must not park a delivery for days. */
const maxMs = 3_600_000

/** Shortest pause after a 429: `Retry-After: 0`, or a date just past, must not turn into a busy loop. */
const minPauseMs = 1_000

/** Pause after a 429 that does not say for how long: half of the one-minute window in which most APIs count, Slack's too. */
const defaultPauseMs = 30_000

/**
 * Milliseconds to wait, at most one hour, or undefined when the header is absent or malformed.
 *
 * @param header whole seconds or an HTTP date in the one form that may be sent (`Sun, 06 Nov 1994 08:49:37 GMT`)
 * @param now milliseconds since the epoch
 */
export function retryAfterMs(header: string | null | undefined, now: number): number | undefined {
  if (header === null || header === undefined) return undefined
  const text = header.trim()
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1_000, maxMs)
  const date = Date.parse(text)
  // Date.parse takes almost anything; only the exact form prints back as it was read.
  if (Number.isNaN(date) || new Date(date).toUTCString() !== text) return undefined
  return Math.min(Math.max(date - now, 0), maxMs)
}

/** How long a 429 pauses its lane, in milliseconds. */
export function rateLimitPauseMs(header: string | null | undefined, now: number): number {
  return Math.max(retryAfterMs(header, now) ?? defaultPauseMs, minPauseMs)
}
