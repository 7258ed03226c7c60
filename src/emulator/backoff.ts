/** When a delivery that failed is tried again. Documented: exponential, for 24 hours. Everything else here is guessed. */

/** Documented. Counted from the first time the delivery was due. */
export const retryForMs = 86_400_000

const firstMs = 5_000
const longestMs = 7_200_000

/** What a receiver may ask for with `Retry-After`, at most. */
const longestAskedMs = 3_600_000

/**
 * @param attempts made so far, 1 for the first
 * @param random in [0, 1): a fifth more or less, so that deliveries do not come back together
 * @param retryAfterSeconds what the receiver asked for, if it did
 * @returns milliseconds
 */
export function retryDelayMs(attempts: number, random: number, retryAfterSeconds = 0): number {
  const exponential = Math.min(longestMs, firstMs * 2 ** (attempts - 1))
  return Math.max(Math.round(exponential * (0.8 + 0.4 * random)), Math.min(longestAskedMs, retryAfterSeconds * 1_000))
}
