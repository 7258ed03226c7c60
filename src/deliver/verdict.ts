/** What one outcome means for its delivery. Pure: the same inputs give the same answer. */
import type { Retry } from '../config/schema.ts'
import { isRetryable } from '../sinks/sink.ts'
import type { Failure } from '../types.ts'
import { longestRetryAfterMs, retryDelayMs } from './backoff.ts'
import type { End } from './outcomes.ts'

export const delivered: End = { state: 'delivered', delayMs: null, attempted: true, code: null, message: null }

/** Back to where it stood, as if never leased. */
export const givenBack: End = { state: 'pending', delayMs: null, attempted: false, code: null, message: null }

/**
 * @param attempts attempts made so far, this one included
 * @param random in [0, 1)
 */
export function failureEnd(failure: Failure, attempts: number, retry: Retry, random: number): End {
  const { code, message, retryAfterMs } = failure
  // Being told to wait is no failure of the delivery: it costs no attempt.
  if (code === 'rate_limited') return { state: 'pending', delayMs: pauseMs(failure, retry), attempted: false, code, message }
  // Nor is it one that the sink wants no more: the delivery waits at its place until the sink is resumed.
  if (code === 'gone') return { state: 'pending', delayMs: null, attempted: false, code, message }
  // Nor that of a job that could not be fetched: the sink was not asked.
  if (code === 'resource_unavailable')
    return { state: 'pending', delayMs: retryDelayMs(retry, attempts, random, retryAfterMs), attempted: false, code, message }
  if (!isRetryable(failure)) return { state: 'dead', delayMs: null, attempted: true, code, message }
  if (retry.attempts !== undefined && attempts >= retry.attempts) {
    return { state: 'exhausted', delayMs: null, attempted: true, code, message }
  }
  return { state: 'pending', delayMs: retryDelayMs(retry, attempts, random, retryAfterMs), attempted: true, code, message }
}

/** How long a lane keeps still after a 429, in milliseconds. */
export function pauseMs({ retryAfterMs }: Failure, retry: Retry): number {
  return Math.min(retryAfterMs ?? retry.initial, longestRetryAfterMs)
}
