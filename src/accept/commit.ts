/** The one statement behind every 2xx: events and the deliveries they owe, a group of requests at a time. */
import type { ClientBase } from 'pg'
import { boolArray, byteaArray, int8Array, textArray, timestamptz, timestamptzArray } from '../store/binary-array.ts'
import type { DeliveryGroup } from '../types.ts'
import type { PlannedDelivery } from '../route/plan.ts'
import { tellsEnd } from '../route/job-end.ts'
import { statements, type Needs, type ResultRow } from './commit-statement.ts'
import type { AcceptRow } from './row.ts'

export interface CommitOptions {
  /** Names this process in `leases`. */
  holder: string
  leaseMs: number
  /** From creation to `expires_at` of this sink's deliveries, in milliseconds. */
  horizonMs: (sink: string) => number
  /** Whether this sink keeps the order of its subjects: what it is owed waits as single rows. */
  ordered: (sink: string) => boolean
  /** Whether the owed delivery `owed` of row `row` goes in leased to this process. */
  leased: (row: number, owed: number) => boolean
  /** Store type, subject, time and claims as null: for a row that Postgres refused with them. */
  withoutDerived?: boolean
}

/** What was new. Rows not named here were duplicates. */
export interface Committed {
  /** Event numbers by row. */
  eventIds: Map<number, string>
  /** New rows that were stored owing nothing: the reconciler had made an event of the same end. */
  suppressed: Set<number>
  leaseId: string
  leased: LeasedGroup[]
}

/** Deliveries that went in leased to this process. */
export interface LeasedGroup {
  rule: string
  sink: string
  group: DeliveryGroup
  /** Of each delivery; `row` counts in what was committed. */
  deliveries: { id: string; row: number }[]
}

/** @param rows sorted by (source, webhook_id), each identity once: unsorted concurrent groups that share ids deadlock */
export async function commitGroup(db: ClientBase, rows: readonly AcceptRow[], options: CommitOptions): Promise<Committed> {
  const { owed, singles } = sortOwed(rows, options)
  const [only] = rows
  const alone = rows.length === 1 && singles.length === 0 ? only : undefined
  const withoutDerived = options.withoutDerived ?? false
  const needed = neededFor(owed, singles)
  const needs: Needs = {
    ends: needed !== 'nothing' && rows.some(({ event }) => tellsEnd(event)) ? 'ends' : 'plain',
    count: alone === undefined ? 'many' : 'one',
    owed: needed,
  }
  const { rows: found } = await db.query<ResultRow>({
    rowMode: 'array',
    name: `accept ${needs.ends} ${needs.count} ${needs.owed}`,
    text: statements[needs.ends][needs.count][needs.owed],
    values: [
      ...(alone === undefined ? eventColumns(rows, withoutDerived) : eventValues(alone, withoutDerived)),
      ...(needs.owed === 'nothing' ? [] : kindValues(owed)),
      ...(needs.owed === 'nothing' || needs.count === 'one' ? [] : [int8Array(owed.row), int8Array(owed.kind)]),
      ...(needs.owed === 'leased' || needs.owed === 'rows' ? [options.holder, options.leaseMs] : []),
      ...(needs.owed === 'rows' ? singleValues(singles) : []),
    ],
  })
  return committedOf(found)
}

function neededFor({ kinds }: Owed, singles: readonly Single[]): Needs['owed'] {
  if (singles.length > 0) return 'rows'
  if (kinds.length === 0) return 'nothing'
  return kinds.some(({ leased }) => leased) ? 'leased' : 'pending'
}

/** What deliveries of one group have in common. */
interface Kind {
  rule: string
  sink: string
  leased: boolean
  horizonMs: number
}

/** The deliveries of all rows: `row` and `kind` count from 1, as Postgres does. */
interface Owed {
  kinds: Kind[]
  row: number[]
  kind: number[]
}

/** A delivery that has a row of its own from the start: born dead, or of a sink that keeps the order of its subjects. */
interface Single {
  row: number
  rule: string
  sink: string
  /** Of one that waits for its turn. */
  subject: string | null
  horizonMs: number
  dead: { code: string; message: string } | undefined
}

function sortOwed(
  rows: readonly AcceptRow[],
  { leased, horizonMs, ordered, withoutDerived }: CommitOptions,
): { owed: Owed; singles: Single[] } {
  const owed: Owed = { kinds: [], row: [], kind: [] }
  const singles: Single[] = []
  // By identity: a plan gives the same object for the same rule and sink.
  const numbers = { leased: new Map<PlannedDelivery, number>(), pending: new Map<PlannedDelivery, number>() }
  for (const [n, row] of rows.entries()) {
    for (const [position, delivery] of row.owed.entries()) {
      const { rule, sink } = delivery
      if ('dead' in delivery) {
        singles.push({ row: n + 1, rule, sink, subject: null, horizonMs: 0, dead: delivery.dead })
        continue
      }
      if (ordered(sink)) {
        // As a replay has it, which finds no subject in the store.
        const subject = withoutDerived ? row.request.webhookId : row.event.subject
        singles.push({ row: n + 1, rule, sink, subject, horizonMs: horizonMs(sink), dead: undefined })
        continue
      }
      const isLeased = leased(n, position)
      const known = isLeased ? numbers.leased : numbers.pending
      let kind = known.get(delivery)
      if (kind === undefined) {
        kind = owed.kinds.push({ rule, sink, leased: isLeased, horizonMs: horizonMs(sink) })
        known.set(delivery, kind)
      }
      owed.row.push(n + 1)
      owed.kind.push(kind)
    }
  }
  return { owed, singles }
}

/** Of one event. Nothing is derived where Postgres refused what was. */
function eventValues({ request, event, time }: AcceptRow, withoutDerived: boolean): (string | Buffer | null)[] {
  const { source, webhookId, scheme, receivedAt, body, claimsMetadata } = request
  const derived = withoutDerived
    ? { type: null, subject: null, time: null, metadata: null }
    : { type: event.type, subject: event.subject, time, metadata: metadataBytes(claimsMetadata) }
  return [
    source,
    webhookId,
    scheme,
    derived.type,
    derived.subject,
    derived.time === null ? null : timestamptz(derived.time),
    timestamptz(receivedAt),
    body,
    derived.metadata,
  ]
}

/** Of many: the same, each an array. */
function eventColumns(rows: readonly AcceptRow[], withoutDerived: boolean): Buffer[] {
  const derived = <T>(value: T): T | null => (withoutDerived ? null : value)
  return [
    textArray(rows.map(({ request }) => request.source)),
    textArray(rows.map(({ request }) => request.webhookId)),
    textArray(rows.map(({ request }) => request.scheme)),
    textArray(rows.map(({ event }) => derived(event.type))),
    textArray(rows.map(({ event }) => derived(event.subject))),
    timestamptzArray(rows.map(({ time }) => derived(time))),
    timestamptzArray(rows.map(({ request }) => request.receivedAt)),
    byteaArray(rows.map(({ request }) => request.body)),
    byteaArray(rows.map(({ request }) => derived(metadataBytes(request.claimsMetadata)))),
  ]
}

function kindValues({ kinds }: Owed): Buffer[] {
  return [
    textArray(kinds.map(({ rule }) => rule)),
    textArray(kinds.map(({ sink }) => sink)),
    boolArray(kinds.map(({ leased }) => leased)),
    int8Array(kinds.map(({ horizonMs }) => horizonMs)),
  ]
}

function singleValues(singles: readonly Single[]): Buffer[] {
  return [
    int8Array(singles.map(({ row }) => row)),
    textArray(singles.map(({ rule }) => rule)),
    textArray(singles.map(({ sink }) => sink)),
    textArray(singles.map(({ subject }) => subject)),
    int8Array(singles.map((single) => single.horizonMs)),
    textArray(singles.map(({ dead }) => dead?.code ?? null)),
    textArray(singles.map(({ dead }) => dead?.message.replaceAll('\0', '\uFFFD') ?? null)),
  ]
}

function committedOf(found: readonly ResultRow[]): Committed {
  const committed: Committed = { eventIds: new Map(), suppressed: new Set(), leaseId: '', leased: [] }
  const rowOf = new Map<string, number>()
  for (const row of found) {
    // Events come first.
    if (row[0] !== null) {
      const n = Number(row[0]) - 1
      if (row[1] === null) committed.suppressed.add(n)
      else {
        committed.eventIds.set(n, row[1])
        rowOf.set(row[1], n)
      }
      continue
    }
    const [, , lease, rule, sink, createdAt, expiresAt, ids, events] = row
    committed.leaseId = lease
    committed.leased.push({
      rule,
      sink,
      group: { createdAt, expiresAt, takeovers: 0 },
      deliveries: ids.map((id, n) => ({ id, row: rowOf.get(events[n] ?? '') ?? -1 })),
    })
  }
  return committed
}

function metadataBytes(metadata: Record<string, unknown> | undefined): Buffer | null {
  return metadata === undefined ? null : Buffer.from(JSON.stringify(metadata))
}
