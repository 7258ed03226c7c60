/**
 * The leases this process holds. One lease covers many deliveries; it is renewed while any of them is open, and deleted with
 * its groups some seconds after: one statement for many, none on the way of a delivery.
 */
import type { Log } from '../log.ts'
import { messageOf } from '../errors.ts'
import { deleteLeases, renewLeases } from '../store/deliveries.ts'
import type { Pool } from '../store/pool.ts'
import type { LeasedDelivery, Lease } from '../types.ts'

/** After a crash a delivery waits this long; anything shorter makes a slow database look like a dead process. */
export const leaseMs = 30_000

/** For the way of a statement to the server: a lease begins there later than the clock here was read. */
export const leaseMarginMs = 2_000

/** Leaves 23 s of every lease at any moment: more than the longest attempt, 20 s. */
const tickMs = 5_000

/** `until` of a lease that another process took over. */
export const lost = -Infinity

export interface Leases {
  /** Deliveries of one lease that came into this process's hands. */
  opened(deliveries: readonly LeasedDelivery[]): void
  /** One delivery of it is out of our hands, whatever became of it. */
  closed(lease: Lease): void
  /** Deletes what is finished, unless `deadline` has aborted; everything else is left to expire. */
  stop(deadline: AbortSignal): Promise<void>
}

export function createLeases({ pool, log }: { pool: Pool; log: Log }): Leases {
  const held = new Map<string, { lease: Lease; open: number }>()
  let finished: string[] = []
  let ticking: Promise<void> | undefined

  async function tick(): Promise<void> {
    try {
      await renew()
      await deleteFinished()
    } catch (error) {
      log.warn({ leases: held.size, error: messageOf(error) }, 'leases could not be renewed')
    }
    ticking = undefined
  }

  async function renew(): Promise<void> {
    const asked = [...held].filter(([, { lease }]) => lease.until !== lost).map(([id]) => id)
    if (asked.length === 0) return
    const until = performance.now() + leaseMs - leaseMarginMs
    const kept = await renewLeases(pool, asked, leaseMs)
    for (const id of asked) {
      const entry = held.get(id)
      if (entry === undefined) continue
      if (kept.has(id)) entry.lease.until = until
      else {
        // Another process took it over. Attempts under way end by themselves; their outcomes will match nothing.
        entry.lease.until = lost
        log.warn({ lease: id, deliveries: entry.open }, 'a lease expired and was taken over')
      }
    }
  }

  async function deleteFinished(): Promise<void> {
    const leases = finished
    finished = []
    if (leases.length === 0) return
    try {
      await deleteLeases(pool, leases)
    } catch (error) {
      finished.push(...leases)
      throw error
    }
  }

  const timer = setInterval(() => {
    ticking ??= tick()
  }, tickMs)
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
    async stop(deadline) {
      clearInterval(timer)
      await ticking
      if (!deadline.aborted) await deleteFinished().catch(() => {})
    },
  }
}
