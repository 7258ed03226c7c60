/**
 * Circuit breaker of one lane: after `failures` failed attempts in a row it opens, lets one probe through after a
 * pause, and closes when the probe succeeds. Waiting deliveries are not attempted meanwhile and lose no attempt.
 */
import type { Breaker as BreakerConfig } from '../config/schema.ts'

type BreakerState = 'closed' | 'open' | 'half_open'

export interface Breaker {
  state(): BreakerState
  /** Milliseconds until a probe may start; 0 unless open. */
  waitMs(): number
  succeeded(): void
  /** @returns true when this failure opened it */
  failed(): boolean
}

export function createBreaker({ failures, cooldown, max }: BreakerConfig, now: () => number): Breaker {
  let inARow = 0
  let openings = 0
  let probeAt = 0

  function state(): BreakerState {
    if (openings === 0) return 'closed'
    return now() < probeAt ? 'open' : 'half_open'
  }

  return {
    state,
    waitMs: () => (openings === 0 ? 0 : Math.max(0, probeAt - now())),
    succeeded() {
      inARow = 0
      openings = 0
    },
    failed() {
      inARow++
      // An attempt that was under way when it opened says nothing new.
      if (state() === 'open') return false
      if (state() === 'closed' && inARow < failures) return false
      probeAt = now() + Math.min(max, cooldown * 2 ** openings)
      openings++
      return true
    },
  }
}
