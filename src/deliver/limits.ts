/**
 * What holds for a sink, or for one Slack channel, whichever of its lanes an attempt comes from: rate, concurrency, pause and
 * breaker. Lanes that wait for the same limits take turns.
 */
import type { SinkConfig } from '../config/schema.ts'
import { createBreaker, type Breaker } from './breaker.ts'
import { createPace, type Pace } from './rate.ts'

export interface Limits {
  readonly breaker: Breaker
  readonly pace: Pace
  /** Milliseconds until the sink may be called again; 0: now. */
  pausedMs: () => number
  pause: (ms: number) => void
  /** Attempts under way. */
  running: () => number
  /** @param wake called when it is this lane's turn; it then asks again */
  join: (wake: () => void) => Turn
}

/** One lane's part. */
export interface Turn {
  /** Whether an attempt of this lane may start now. If not, it is waiting from now on. */
  mayStart: () => boolean
  started: () => void
  ended: () => void
  /** It has nothing to attempt. */
  leave: () => void
  /** It never will have again; what it has under way still ends. */
  part: () => void
}

export function createLimits(config: SinkConfig, now: () => number): Limits {
  const breaker = createBreaker(config.breaker, now)
  const pace = createPace(config.rate, now)
  let pausedUntil = -Infinity
  let running = 0
  let joined = 0
  /** Lanes that were refused, in that order. */
  const waiting = new Map<Turn, () => void>()
  let last: Turn | undefined
  let calling = false

  function isFree(): boolean {
    return running < (breaker.state() === 'half_open' ? 1 : config.concurrency) && pace.waitMs() === 0
  }

  /** Not within the call of a lane: each is woken with nothing of another's half done. */
  function callWaiting(): void {
    if (calling || waiting.size === 0) return
    calling = true
    queueMicrotask(() => {
      calling = false
      for (const turn of Array.from(waiting.keys())) {
        const wake = waiting.get(turn)
        waiting.delete(turn)
        wake?.()
      }
    })
  }

  return {
    breaker,
    pace,
    pausedMs: () => (pausedUntil === -Infinity ? 0 : Math.max(0, pausedUntil - now())),
    pause(ms) {
      pausedUntil = Math.max(pausedUntil, now() + ms)
    },
    running: () => running,
    join(wake) {
      joined += 1
      const turn: Turn = {
        mayStart() {
          // Most sinks have one lane: nobody waits for it.
          if (joined === 1) return isFree()
          const isFirst = last !== turn || waiting.size === 0 || (waiting.size === 1 && waiting.has(turn))
          const free = isFree()
          if (free && isFirst) waiting.delete(turn)
          else waiting.set(turn, wake)
          if (free && !isFirst) callWaiting()
          return free && isFirst
        },
        started() {
          last = turn
          running += 1
          pace.started()
        },
        ended() {
          running -= 1
          callWaiting()
        },
        leave: () => void waiting.delete(turn),
        part() {
          waiting.delete(turn)
          joined -= 1
        },
      }
      return turn
    },
  }
}
