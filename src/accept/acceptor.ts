/** accept: a verified request becomes a stored event and its deliveries, committed before anybody hears 2xx. */
import { Refusal, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { readEvent } from '../route/event.ts'
import type { Plan, PlannedDelivery } from '../route/plan.ts'
import { createGroup } from '../store/group.ts'
import type { Session } from '../store/session.ts'
import { isBadRow, retryConflicts } from '../store/sqlstate.ts'
import type { Lease, LeasedDelivery, StoredEvent, VerifiedRequest } from '../types.ts'
import { commitGroup, type Committed, type CommitOptions } from './commit.ts'
import { createOutage } from './outage.ts'
import type { LeaseDesk } from './desk.ts'
import type { AcceptResult, AcceptRow } from './row.ts'
import { bindTokens } from './tokens.ts'

export interface AcceptorOptions {
  session: Session
  /** Of the configuration that runs. */
  plan: () => Plan
  /** The retry horizon of a sink, in milliseconds. */
  horizonMs: (sink: string) => number
  /** Whether a sink keeps the order of its subjects. */
  ordered: (sink: string) => boolean
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
  /** Does `work` while no group is being written, so that no place is reserved at the desk meanwhile. */
  between(work: () => void): Promise<void>
  /** Settles when nothing is waiting or being written. */
  idle(): Promise<void>
}

/**
 * In front of the database: at 20,000 requests a second this is a fifth of a second of work, and at 256 KiB a body
 * the bytes bound it first.
 */
const defaultLimits = { waitingRequests: 4_096, waitingBytes: 64 * 1_048_576 }

/** Past a few hundred rows a larger group gains nothing; the bytes keep one statement's parameters in hand. */
const groupLimits = { maxItems: 512, maxBytes: 8 * 1_048_576 }

export function createAcceptor(options: AcceptorOptions): Acceptor {
  const { session, plan, desk, log, limits = defaultLimits } = options
  const outage = createOutage({ log })
  let waitingBytes = 0

  const accepting = createGroup<AcceptRow, AcceptResult | Refusal>({
    maxItems: groupLimits.maxItems,
    maxWeight: groupLimits.maxBytes,
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
    const reserved = rows.map((row) =>
      row.owed.map((delivery) => !('dead' in delivery) && desk.reserve(delivery.rule, delivery.sink)),
    )
    const commit: CommitOptions = {
      holder: options.holder,
      leaseMs: options.leaseMs,
      horizonMs: options.horizonMs,
      ordered: options.ordered,
      leased: (row, owed) => reserved[row]?.[owed] ?? false,
      withoutDerived,
    }
    const until = performance.now() + options.leaseMs - options.leaseMarginMs
    try {
      const { committed, refused } = await store(rows, commit)
      outage.ended()
      handOver(rows, reserved, committed, until)
      return rows.map((_, n) => {
        if (refused.has(n)) return new Refusal('token_reused', 'this token was already used for another webhook-id')
        return committed.eventIds.has(n) ? 'received' : 'duplicate'
      })
    } catch (error) {
      for (const [n, row] of rows.entries()) cancelReserved(row, reserved[n] ?? [])
      throw error
    }
  }

  function store(
    rows: readonly AcceptRow[],
    commit: CommitOptions,
  ): Promise<{ committed: Committed; refused: ReadonlySet<number> }> {
    return session.use(async (client) => {
      if (!rows.some(({ request }) => request.token !== undefined))
        return { committed: await commitGroup(client, rows, commit), refused: new Set() }
      await client.query('begin')
      const refused = await bindTokens(client, rows)
      const kept = [...rows.keys()].filter((n) => !refused.has(n))
      const committed = await commitGroup(
        client,
        kept.flatMap((n) => rows[n] ?? []),
        { ...commit, leased: (row, owed) => commit.leased(kept[row] ?? -1, owed) },
      )
      await client.query('commit')
      return { committed: renumber(committed, kept), refused }
    })
  }

  /** What went in leased starts here; places reserved for what was no new event are given up; the rest is pending. */
  function handOver(rows: readonly AcceptRow[], reserved: readonly boolean[][], committed: Committed, until: number): void {
    const overflowed = new Set<PlannedDelivery>()
    for (const [n, row] of rows.entries()) {
      const places = reserved[n] ?? []
      if (!committed.eventIds.has(n) || committed.suppressed.has(n)) cancelReserved(row, places)
      else {
        for (const [position, delivery] of row.owed.entries()) {
          if (places[position] !== true && !('dead' in delivery)) overflowed.add(delivery)
        }
      }
    }
    if (committed.suppressed.size > 0) {
      const ids = rows.filter((_, n) => committed.suppressed.has(n)).map(({ request }) => request.webhookId)
      log.info(
        { webhook_ids: ids.slice(0, 10) },
        `${ids.length} stored without deliveries: events of these ends were made before`,
      )
    }
    if (committed.leased.length > 0) desk.handOver(leasedDeliveries(rows, committed, { id: committed.leaseId, until }))
    for (const { rule, sink } of overflowed) desk.overflowed(rule, sink)
  }

  function cancelReserved(row: AcceptRow, places: readonly boolean[]): void {
    for (const [position, { rule, sink }] of row.owed.entries()) if (places[position] === true) desk.cancel(rule, sink)
  }

  return {
    async accept(request) {
      outage.refuseWhileDown()
      if (accepting.waiting >= limits.waitingRequests || waitingBytes + request.body.length > limits.waitingBytes) {
        throw new Refusal('queue_full', 'too many requests are waiting to be stored')
      }
      const row = plannedRow(request, plan())
      waitingBytes += request.body.length
      try {
        const result = await accepting.add(row)
        if (result instanceof Refusal) throw result
        return result
      } finally {
        waitingBytes -= request.body.length
      }
    },
    between: (work) => accepting.between(work),
    idle: () => accepting.idle(),
  }
}

function plannedRow(request: VerifiedRequest, plan: Plan): AcceptRow {
  const { event, time } = readEvent(request)
  return { request, event, time, owed: plan.route(event) }
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

function leasedDeliveries(rows: readonly AcceptRow[], { eventIds, leased }: Committed, lease: Lease): LeasedDelivery[] {
  const stored = new Map<number, StoredEvent>()
  for (const [n, id] of eventIds) {
    const row = rows[n]
    if (row !== undefined)
      stored.set(n, { id, event: row.event, time: row.time ?? row.request.receivedAt, body: row.request.body })
  }
  return leased.flatMap(({ rule, sink, group, deliveries }) =>
    deliveries.flatMap(({ id, row }) => {
      const event = stored.get(row)
      return event === undefined ? [] : { id, rule, sink, replay: 0, stored: event, attempts: 0, lease, group }
    }),
  )
}

function renumber(committed: Committed, kept: readonly number[]): Committed {
  const original = (n: number): number => kept[n] ?? -1
  return {
    eventIds: new Map([...committed.eventIds].map(([n, id]) => [original(n), id])),
    suppressed: new Set([...committed.suppressed].map(original)),
    leaseId: committed.leaseId,
    leased: committed.leased.map((group) => ({
      ...group,
      deliveries: group.deliveries.map(({ id, row }) => ({ id, row: original(row) })),
    })),
  }
}

function asRefusal(error: unknown): Refusal {
  return error instanceof Refusal ? error : new Refusal('internal', 'this event could not be stored', { cause: error })
}
