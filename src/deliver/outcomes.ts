/** Writes what became of deliveries, in groups, until Postgres has it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { endDeliveries, type DeliveryEnd } from '../store/deliveries.ts'
import { createGroup } from '../store/group.ts'
import type { Pool } from '../store/pool.ts'
import { retryConflicts } from '../store/sqlstate.ts'
import type { LeasedDelivery } from '../types.ts'
import type { Leases } from './leases.ts'

export type End = Omit<DeliveryEnd, 'id' | 'lease'>

export interface Outcomes {
  /** Settles when the outcome is written, or turned out to be somebody else's to write. */
  write(delivery: LeasedDelivery, end: End): Promise<void>
  /** The outcome is not this process's to write: the sink recorded it, or the lease is lost. */
  drop(delivery: LeasedDelivery): Promise<void>
  /** Stops trying: a database that is away must not hold up the exit. Leases expire by themselves. */
  stop(): void
  idle(): Promise<void>
}

const maxGroup = 1_000
const retryPauseMs = 500

export function createOutcomes({ pool, leases, log }: { pool: Pool; leases: Leases; log: Log }): Outcomes {
  const stopping = new AbortController()

  const writing = createGroup<{ delivery: LeasedDelivery; end: End | null }, void>({
    maxItems: maxGroup,
    async write(items) {
      for (const { delivery } of items) leases.closed(delivery.lease)
      const ends = items.flatMap(({ delivery, end }) =>
        end === null ? [] : [{ id: delivery.id, lease: delivery.lease.id, ...end }],
      )
      const finished = leases.takeFinished()
      if (ends.length > 0 || finished.length > 0) await writeUntilItHolds(ends.toSorted(byId), finished)
      return items.map(() => undefined)
    },
  })

  async function writeUntilItHolds(ends: readonly DeliveryEnd[], finished: readonly string[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const written = await retryConflicts(() => endDeliveries(pool, ends, finished))
        // After a lost answer the rows may be ours and already written: only a first try tells.
        if (tries === 1 && written.size < ends.length) {
          const lost = ends.filter(({ id }) => !written.has(id)).map(({ id }) => id)
          log.warn({ deliveries: lost }, 'leases were taken over: these outcomes changed nothing')
        }
        return
      } catch (error) {
        if (tries === 1)
          log.warn({ outcomes: ends.length, error: messageOf(error) }, 'outcomes could not be written: trying until they are')
        if (stopping.signal.aborted) throw error
        await sleep(retryPauseMs, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  async function add(delivery: LeasedDelivery, end: End | null): Promise<void> {
    try {
      await writing.add({ delivery, end })
    } catch (error) {
      log.error(
        { delivery: delivery.id, error: messageOf(error) },
        'an outcome was not written: its lease will expire and another attempt follow',
      )
    }
  }

  return {
    write: add,
    drop: (delivery) => add(delivery, null),
    stop: () => stopping.abort(),
    idle: () => writing.idle(),
  }
}

/** Ids are decimal digits: shorter is smaller. */
function byId(a: DeliveryEnd, b: DeliveryEnd): number {
  return a.id.length - b.id.length || (a.id < b.id ? -1 : 1)
}
