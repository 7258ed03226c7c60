/** How often the API may be asked, and how often at once. Who has to wait is served in turn. */
import type { Rate } from '../config/schema.ts'

export interface CallBudget {
  /**
   * Settles when a call may be made; each that was granted ends with `done`.
   *
   * @returns false when there is no room for it within `limitMs`
   */
  take: (limitMs: number) => Promise<boolean>
  done: () => void
  /** Grants nothing more. */
  stop: () => void
}

interface Waiting {
  grant: (granted: boolean) => void
  timer: NodeJS.Timeout
}

export interface CallBudgetOptions {
  rate: Rate
  /** At once. */
  maxCalls: number
  /** Milliseconds on a clock that never goes back. */
  now: () => number
}

export function createCallBudget({ rate, maxCalls, now }: CallBudgetOptions): CallBudget {
  const gapMs = rate.perMs / rate.count
  /** A token bucket that holds what one second brings, so that `1000/h` is not a thousand at once. */
  const burst = Math.max(1, Math.ceil(1_000 / gapMs))
  let tokens = burst
  let filledAt = now()
  let underWay = 0
  let waiting: Waiting[] = []
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  function fill(): void {
    const at = now()
    tokens = Math.min(burst, tokens + (at - filledAt) / gapMs)
    filledAt = at
  }

  function serve(): void {
    clearTimeout(timer)
    fill()
    while (tokens >= 1 && underWay < maxCalls) {
      const next = waiting.shift()
      if (next === undefined) return
      tokens -= 1
      underWay += 1
      clearTimeout(next.timer)
      next.grant(true)
    }
    if (waiting.length === 0 || underWay >= maxCalls) return
    timer = setTimeout(serve, Math.ceil((1 - tokens) * gapMs))
    timer.unref()
  }

  function refuse(one: Waiting): void {
    waiting = waiting.filter((other) => other !== one)
    one.grant(false)
  }

  return {
    take(limitMs) {
      fill()
      // Sure to come too late: better said now.
      if (stopped || (waiting.length + 1 - tokens) * gapMs > limitMs) return Promise.resolve(false)
      return new Promise((grant) => {
        const one: Waiting = { grant, timer: setTimeout(() => refuse(one), limitMs) }
        one.timer.unref()
        waiting.push(one)
        serve()
      })
    },
    done() {
      underWay -= 1
      serve()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
      for (const { grant, timer: limit } of waiting) {
        clearTimeout(limit)
        grant(false)
      }
      waiting = []
    },
  }
}
