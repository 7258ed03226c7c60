/** Watching counters that other processes move on. */
import { setTimeout as sleep } from 'node:timers/promises'

export interface Point {
  /** Of performance.now(), in milliseconds. */
  at: number
  count: number
}

export interface Polling {
  read: () => Promise<number>
  enough: (count: number) => boolean
  everyMs: number
  limitMs: number
  /** What is waited for, in the error. */
  what: string
}

/**
 * Asks at once and then every so often.
 *
 * @returns the first point that is enough
 * @throws Error when there is none within the limit
 */
export async function pollUntil({ read, enough, everyMs, limitMs, what }: Polling): Promise<Point> {
  const started = performance.now()
  for (;;) {
    const count = await read()
    const at = performance.now()
    if (enough(count)) return { at, count }
    if (at - started > limitMs) throw new Error(`${what}: ${count} after ${Math.round(limitMs / 1_000)} s`)
    await sleep(everyMs)
  }
}
