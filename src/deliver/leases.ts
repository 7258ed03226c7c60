/**
 * The leases this process holds. One lease covers a group of deliveries; it is renewed while any of them is open and
 * deleted with the outcome of the last.
 */
import type { Log } from '../log.ts'
import { messageOf } from '../errors.ts'
import { renewLeases } from '../store/deliveries.ts'
import type { Pool } from '../store/pool.ts'
import type { LeasedDelivery, Lease } from '../types.ts'

/** After a crash a delivery waits this long; anything shorter makes a slow database look like a dead process. */
export const leaseMs = 30_000

/** For the way of a statement to the server: a lease begins there later than the clock here was read. */
export const leaseMarginMs = 2_000

/** Leaves 23 s of every lease at any moment: more than the longest attempt, 20 s. */
const renewEveryMs = 5_000

export interface Leases {
  /** Deliveries of one lease that came into this process's hands. */
  opened(deliveries: readonly LeasedDelivery[]): void
  /** One delivery of it is out of our hands, whatever became of it. */
  closed(lease: Lease): void
  /** Leases with nothing open: their rows are to be deleted. Each is named once. */
  takeFinished(): string[]
  stop(): void
}

export function createLeases({ pool, log }: { pool: Pool; log: Log }): Leases {
  const held = new Map<string, { lease: Lease; open: number }>()
  let finished: string[] = []
  let renewing = false

  async function renew(): Promise<void> {
    if (renewing || held.size === 0) return
    renewing = true
    const asked = [...held.keys()]
    const until = performance.now() + leaseMs - leaseMarginMs
    try {
      const kept = await renewLeases(pool, asked, leaseMs)
      for (const id of asked) {
        const entry = held.get(id)
        if (entry === undefined) continue
        if (kept.has(id)) entry.lease.until = until
        else {
          // Another process took it over. Attempts under way end by themselves; their outcomes will match nothing.
          entry.lease.until = -Infinity
          log.warn({ lease: id, deliveries: entry.open }, 'a lease expired and was taken over')
        }
      }
    } catch (error) {
      log.warn({ leases: asked.length, error: messageOf(error) }, 'leases could not be renewed')
    } finally {
      renewing = false
    }
  }

  const timer = setInterval(() => void renew(), renewEveryMs)
  timer.unref()

  return {
    opened(deliveries) {
      for (const { lease } of deliveries) {
        const entry = held.get(lease.id)
        if (entry === undefined) held.set(lease.id, { lease, open: 1 })
        else entry.open++
      }
    },
    closed(lease) {
      const entry = held.get(lease.id)
      if (entry === undefined) return
      entry.open--
      if (entry.open > 0) return
      held.delete(lease.id)
      finished.push(lease.id)
    },
    takeFinished() {
      const taken = finished
      finished = []
      return taken
    },
    stop: () => clearInterval(timer),
  }
}
