/** Looks after what no live process holds: expired leases are taken over, deliveries past their horizon end. */
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { expireDeliveries, takeOverExpired } from '../store/deliveries.ts'
import type { Pool } from '../store/pool.ts'
import { retryConflicts } from '../store/sqlstate.ts'

const everyMs = 2_000
/** Deliveries in one statement. */
const expireBatch = 1_000

export interface Sweeper {
  start(): void
  stop(): Promise<void>
}

export function createSweeper({ pool, log, takenOver }: { pool: Pool; log: Log; takenOver: (sink: string) => void }): Sweeper {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const stop = new AbortController()
  const stopping = stop.signal

  async function sweep(): Promise<void> {
    try {
      while (await takeOver());
      while (await expire());
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'sweep failed')
    }
    if (!stopping.aborted) schedule()
  }

  /** @returns whether there may be more to do */
  async function takeOver(): Promise<boolean> {
    const { sinks, more } = await retryConflicts(() => takeOverExpired(pool))
    for (const { sink, pending, dead } of sinks) {
      log.warn({ sink, pending, dead }, 'took over deliveries of an expired lease')
      takenOver(sink)
    }
    return more && !stopping.aborted
  }

  async function expire(): Promise<boolean> {
    return (await retryConflicts(() => expireDeliveries(pool, expireBatch))) && !stopping.aborted
  }

  function schedule(): void {
    timer = setTimeout(() => {
      running = sweep()
    }, everyMs)
    timer.unref()
  }

  return {
    start() {
      running = sweep()
    },
    async stop() {
      stop.abort()
      clearTimeout(timer)
      await running
    },
  }
}
