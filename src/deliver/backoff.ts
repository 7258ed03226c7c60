/** When to try again. Pure. */
import type { Retry } from '../config/schema.ts'

/** A sink's own wish is honoured up to this, in milliseconds. */
export const longestRetryAfterMs = 3_600_000

/**
 * @param attempts attempts made so far, 1 after the first
 * @param random in [0, 1)
 * @param retryAfterMs what the sink asked for, in milliseconds, if it did
 * @returns milliseconds until the next attempt
 */
export function retryDelayMs(retry: Retry, attempts: number, random: number, retryAfterMs = 0): number {
  // Bounded, because 0 ms times infinity is no number.
  const growth = retry.factor ** Math.min(attempts - 1, 100)
  const planned = Math.min(retry.max, retry.initial * growth)
  const jittered = planned * (1 - retry.jitter * random)
  return Math.round(Math.max(jittered, Math.min(retryAfterMs, longestRetryAfterMs)))
}
