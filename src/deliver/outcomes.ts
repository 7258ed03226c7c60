/** Writes what became of deliveries, in groups, until Postgres has it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { endDeliveries, type DeliveryEnd } from '../store/deliveries.ts'
import { createGroup } from '../store/group.ts'
import type { Pool } from '../store/pool.ts'
import { isBadRow, retryConflicts } from '../store/sqlstate.ts'
import type { LeasedDelivery } from '../types.ts'
import type { Leases } from './leases.ts'

export type End = Pick<DeliveryEnd, 'state' | 'delayMs' | 'attempted' | 'code' | 'message'>

export interface Outcomes {
  /** Settles when the outcome is written, or turned out to be somebody else's to write. */
  write(delivery: LeasedDelivery, end: End): Promise<void>
  /** The outcome is not this process's to write: the sink recorded it, or the lease is lost. */
  drop(delivery: LeasedDelivery): void
  /** Stops trying: a database that is away must not hold up the exit. Leases expire by themselves. */
  stop(): void
  idle(): Promise<void>
}

const maxGroup = 1_000
const retryPauseMs = 500
/** One line in so many tries, so that a long outage shows. */
const loggedTries = 20

export function createOutcomes({ pool, leases, log }: { pool: Pool; leases: Leases; log: Log }): Outcomes {
  const stopping = new AbortController()

  const writing = createGroup<DeliveryEnd, void>({
    maxItems: maxGroup,
    async write(ends) {
      await writeUntilItHolds(ends.toSorted(byId))
      return ends.map(() => undefined)
    },
  })

  async function writeUntilItHolds(ends: readonly DeliveryEnd[]): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        const written = await retryConflicts(() => endDeliveries(pool, ends))
        // After a lost answer the rows may be ours and already written: only a first try tells.
        if (tries === 1 && written.size < ends.length) {
          const lost = ends.filter(({ id }) => !written.has(id)).map(({ id }) => id)
          log.warn({ deliveries: lost }, 'leases were taken over: these outcomes changed nothing')
        }
        return
      } catch (error) {
        if (isUnwritable(error)) return await writeOneByOne(ends, error)
        if (tries % loggedTries === 1)
          log.warn(
            { outcomes: ends.length, tries, error: messageOf(error) },
            'outcomes could not be written: trying until they are',
          )
        if (stopping.signal.aborted) throw error
        await sleep(retryPauseMs, undefined, { signal: stopping.signal }).catch(() => {})
      }
    }
  }

  /** One outcome that Postgres will not take must not hold up all others. Its lease expires, and another attempt follows. */
  async function writeOneByOne(ends: readonly DeliveryEnd[], error: unknown): Promise<void> {
    if (ends.length > 1) {
      for (const end of ends) await writeUntilItHolds([end])
      return
    }
    log.error(
      { delivery: ends[0]?.id, error: messageOf(error) },
      'this outcome cannot be written: its lease will expire and another attempt follow',
    )
  }

  return {
    async write({ id, lease, rule, sink, stored, group }, end) {
      try {
        await writing.add({ id, lease: lease.id, eventId: stored.id, rule, sink, group, ...end })
      } catch (error) {
        log.error(
          { delivery: id, error: messageOf(error) },
          'an outcome was not written: its lease will expire and another attempt follow',
        )
      }
      leases.closed(lease)
    },
    drop: ({ lease }) => leases.closed(lease),
    stop: () => stopping.abort(),
    idle: () => writing.idle(),
  }
}

/** Ids are decimal digits: shorter is smaller. */
function byId(a: DeliveryEnd, b: DeliveryEnd): number {
  return a.id.length - b.id.length || (a.id < b.id ? -1 : 1)
}

/** A row that Postgres refuses, or a value that cannot even be sent: neither gets better by waiting. */
function isUnwritable(error: unknown): boolean {
  return isBadRow(error) || error instanceof RangeError || error instanceof TypeError
}
