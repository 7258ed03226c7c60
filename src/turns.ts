import { setImmediate as nextTurn } from 'node:timers/promises'

/**
 * For work on a whole batch, or on all rules, in the thread that takes requests too: so long in one go, in milliseconds, and then whoever waits has a
 * turn. What one delivery takes is bounded by itself, see route/steps.ts.
 */
const maxMs = 10

export interface Turns {
  /** Before each piece of work. */
  next: () => Promise<void>
}

export function createTurns(): Turns {
  let began = performance.now()
  return {
    async next() {
      if (performance.now() - began < maxMs) return
      await nextTurn()
      began = performance.now()
    },
  }
}
