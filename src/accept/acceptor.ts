/** accept: a verified request becomes a stored event and its deliveries, committed before anybody hears 2xx. */
import { Refusal, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { readEvent } from '../route/event.ts'
import type { Plan } from '../route/plan.ts'
import { createGroup } from '../store/group.ts'
import type { Pool } from '../store/pool.ts'
import { isBadRow, retryConflicts } from '../store/sqlstate.ts'
import type { Lease, LeasedDelivery, VerifiedRequest } from '../types.ts'
import { commitGroup, type Committed, type CommitOptions } from './commit.ts'
import { createOutage } from './outage.ts'
import type { LeaseDesk } from './desk.ts'
import type { AcceptResult, AcceptRow, OwedDelivery } from './row.ts'
import { bindTokens } from './tokens.ts'

export interface AcceptorOptions {
  pool: Pool
  plan: Plan
  /** The retry horizon of a sink, in milliseconds. */
  horizonMs: (sink: string) => number
  desk: LeaseDesk
  holder: string
  leaseMs: number
  /** Taken off the holder's own reading of its leases, in milliseconds. */
  leaseMarginMs: number
  log: Log
  limits?: { waitingRequests: number; waitingBytes: number }
}

export interface Acceptor {
  /**
   * Settles when the event is durable.
   * @throws Refusal `queue_full`, `database_unavailable`, `token_reused`
   */
  accept(request: VerifiedRequest): Promise<AcceptResult>
  /** Settles when nothing is waiting or being written. */
  idle(): Promise<void>
}

/**
 * In front of the database: at 20,000 requests a second this is a fifth of a second of work, and at 256 KiB a body
 * the bytes bound it first.
 */
const defaultLimits = { waitingRequests: 4_096, waitingBytes: 64 * 1_048_576 }

/** Past a few hundred rows a larger group gains nothing; the bytes keep one statement's parameters in hand. */
const group = { maxItems: 512, maxBytes: 8 * 1_048_576 }

export function createAcceptor(options: AcceptorOptions): Acceptor {
  const { pool, plan, desk, log, limits = defaultLimits } = options
  const outage = createOutage({ log })
  let waitingBytes = 0

  const accepting = createGroup<AcceptRow, AcceptResult | Refusal>({
    maxItems: group.maxItems,
    maxWeight: group.maxBytes,
    weigh: ({ request }) => request.body.length,
    write: writeGroup,
  })

  async function writeGroup(rows: readonly AcceptRow[]): Promise<(AcceptResult | Refusal)[]> {
    outage.refuseWhileDown()
    const { firsts, repeats } = sortUnique(rows)
    const stored = await storeRows(firsts)
    const results = new Map(firsts.map((row, n) => [row, stored[n]]))
    // Two requests of one id in one group: the first is new, the rest are duplicates, unless a token of theirs is still
    // to be bound or the first was refused. Those have their own turn.
    const own = repeats
      .filter(({ row, first }) => row.request.token !== undefined || results.get(first) instanceof Refusal)
      .map(({ row }) => row)
    const later = own.length === 0 ? [] : await writeGroup(own)
    for (const [n, row] of own.entries()) results.set(row, later[n])
    return rows.map((row) => results.get(row) ?? 'duplicate')
  }

  async function storeRows(rows: readonly AcceptRow[], withoutDerived = false): Promise<(AcceptResult | Refusal)[]> {
    try {
      return await retryConflicts(() => storeOnce(rows, withoutDerived))
    } catch (error) {
      if (!isBadRow(error)) throw outage.refusal(error)
      // One row that Postgres will not take must not cost the others their place: each on its own, then without what
      // was derived from it. Its bytes are kept in any case.
      if (rows.length > 1) return await storeOneByOne(rows)
      if (withoutDerived) throw asRefusal(error)
      log.warn({ webhook_id: rows[0]?.request.webhookId, error: messageOf(error) }, 'stored without type, subject and time')
      return await storeRows(rows, true)
    }
  }

  async function storeOneByOne(rows: readonly AcceptRow[]): Promise<(AcceptResult | Refusal)[]> {
    const results: (AcceptResult | Refusal)[] = []
    for (const row of rows) results.push(...(await storeAlone(row).catch((error: unknown) => [asRefusal(error)])))
    return results
  }

  async function storeAlone(row: AcceptRow): Promise<(AcceptResult | Refusal)[]> {
    outage.refuseWhileDown()
    return await storeRows([row])
  }

  async function storeOnce(rows: readonly AcceptRow[], withoutDerived: boolean): Promise<(AcceptResult | Refusal)[]> {
    const reserved = rows.map((row) => row.owed.map(({ rule, sink, dead }) => dead === undefined && desk.reserve(rule, sink)))
    const commit: CommitOptions = {
      holder: options.holder,
      leaseMs: options.leaseMs,
      leased: (row, owed) => reserved[row]?.[owed] ?? false,
      withoutDerived,
    }
    const lease: Lease = { id: '', until: performance.now() + options.leaseMs - options.leaseMarginMs }
    try {
      const { committed, refused } = await store(rows, commit)
      outage.ended()
      handOver(rows, reserved, committed, lease)
      return rows.map((_, n) => {
        if (refused.has(n)) return new Refusal('token_reused', 'this token was already used for another webhook-id')
        return committed.eventIds.has(n) ? 'received' : 'duplicate'
      })
    } catch (error) {
      for (const [n, row] of rows.entries()) {
        for (const [position, { rule, sink }] of row.owed.entries()) if (reserved[n]?.[position]) desk.cancel(rule, sink)
      }
      throw error
    }
  }

  async function store(
    rows: readonly AcceptRow[],
    commit: CommitOptions,
  ): Promise<{ committed: Committed; refused: Set<number> }> {
    if (!rows.some(({ request }) => request.token !== undefined))
      return { committed: await commitGroup(pool, rows, commit), refused: new Set() }
    const client = await pool.connect()
    try {
      await client.query('begin')
      const refused = await bindTokens(client, rows)
      const kept = [...rows.keys()].filter((n) => !refused.has(n))
      const committed = await commitGroup(
        client,
        kept.flatMap((n) => rows[n] ?? []),
        { ...commit, leased: (row, owed) => commit.leased(kept[row] ?? -1, owed) },
      )
      await client.query('commit')
      client.release()
      return { committed: renumber(committed, kept), refused }
    } catch (error) {
      client.release(true)
      throw error
    }
  }

  function handOver(rows: readonly AcceptRow[], reserved: readonly boolean[][], committed: Committed, lease: Lease): void {
    lease.id = committed.leaseId ?? ''
    const leased = new Map(committed.leased.map(({ row, owed, deliveryId }) => [`${row} ${owed}`, deliveryId]))
    const deliveries: LeasedDelivery[] = []
    for (const [n, { request, event, time, owed }] of rows.entries()) {
      const eventId = committed.eventIds.get(n)
      for (const [position, { rule, sink, dead }] of owed.entries()) {
        const id = leased.get(`${n} ${position}`)
        if (eventId !== undefined && id !== undefined) {
          const stored = { id: eventId, event, time: time ?? request.receivedAt, body: request.body }
          deliveries.push({ id, rule, sink, replay: 0, stored, attempts: 0, lease })
        } else if (reserved[n]?.[position]) desk.cancel(rule, sink)
        else if (eventId !== undefined && dead === undefined) desk.overflowed(rule, sink)
      }
    }
    if (deliveries.length > 0) desk.handOver(deliveries)
  }

  return {
    async accept(request) {
      outage.refuseWhileDown()
      if (accepting.waiting >= limits.waitingRequests || waitingBytes + request.body.length > limits.waitingBytes) {
        throw new Refusal('queue_full', 'too many requests are waiting to be stored')
      }
      const row = plannedRow(request, plan, options.horizonMs)
      waitingBytes += request.body.length
      try {
        const result = await accepting.add(row)
        if (result instanceof Refusal) throw result
        return result
      } finally {
        waitingBytes -= request.body.length
      }
    },
    idle: () => accepting.idle(),
  }
}

function plannedRow(request: VerifiedRequest, plan: Plan, horizonMs: (sink: string) => number): AcceptRow {
  const { event, time } = readEvent(request)
  const owed = plan.route(event).map((delivery): OwedDelivery => ({ ...delivery, horizonMs: horizonMs(delivery.sink) }))
  return { request, event, time, owed }
}

/** Each identity once, in the order that every group of every process uses: unsorted ones that share ids deadlock. */
function sortUnique(rows: readonly AcceptRow[]): { firsts: AcceptRow[]; repeats: { row: AcceptRow; first: AcceptRow }[] } {
  const firsts: AcceptRow[] = []
  const repeats: { row: AcceptRow; first: AcceptRow }[] = []
  // toSorted is stable: of one identity the earliest comes first.
  for (const row of rows.toSorted(compareIdentity)) {
    const first = firsts.at(-1)
    if (first !== undefined && compareIdentity(first, row) === 0) repeats.push({ row, first })
    else firsts.push(row)
  }
  return { firsts, repeats }
}

function compareIdentity({ request: a }: AcceptRow, { request: b }: AcceptRow): number {
  if (a.source !== b.source) return a.source < b.source ? -1 : 1
  if (a.webhookId !== b.webhookId) return a.webhookId < b.webhookId ? -1 : 1
  return 0
}

function renumber(committed: Committed, kept: readonly number[]): Committed {
  const original = (n: number): number => kept[n] ?? -1
  return {
    eventIds: new Map([...committed.eventIds].map(([n, id]) => [original(n), id])),
    leaseId: committed.leaseId,
    leased: committed.leased.map((entry) => ({ ...entry, row: original(entry.row) })),
  }
}

function asRefusal(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal('internal', 'this event could not be stored', { cause: error })
}
