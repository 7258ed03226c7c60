/** Spaces attempts evenly: no burst after a quiet time, because a sink that counts per second would refuse it. */
import type { Rate } from '../config/schema.ts'

const timerLatenessMs = 20

export interface Pace {
  /** Milliseconds until the next attempt may start; 0: now. */
  waitMs(): number
  started(): void
  /** Attempts that can start within `ms`, at least one. */
  within(ms: number): number
}

export function createPace(rate: Rate | undefined, now: () => number): Pace {
  if (rate === undefined) return { waitMs: () => 0, started() {}, within: () => Infinity }
  const gapMs = rate.perMs / rate.count
  // Timers come some milliseconds late: gaps shorter than that may catch up, longer ones are kept to the letter.
  const catchUpMs = gapMs < timerLatenessMs ? timerLatenessMs : 0
  let nextAt = -Infinity
  return {
    waitMs: () => Math.max(0, nextAt - now()),
    started() {
      nextAt = Math.max(nextAt, now() - catchUpMs) + gapMs
    },
    within: (ms) => Math.max(1, Math.floor(ms / gapMs)),
  }
}
