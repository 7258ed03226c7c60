/** The one statement behind every 2xx: events and the deliveries they owe, a group of requests at a time. */
import type { ClientBase } from 'pg'
import { boolArray, byteaArray, int8Array, textArray, timestamptz, timestamptzArray } from '../store/binary-array.ts'
import type { DeliveryGroup } from '../types.ts'
import type { PlannedDelivery } from '../route/plan.ts'
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

const columns = 'source, webhook_id, scheme, type, subject, event_time, received_at, body, claims_metadata'

/** What deliveries of one group have in common: the same parameters for one event and for many. */
const kindRows = `unnest($10::text[], $11::text[], $12::bool[], $13::int8[]) with ordinality as k (rule, sink, leased, horizon_ms, kind)`

/**
 * The parts that differ by how many events there are. `numbered` is what this statement inserted, by position in the group: as
 * the CTEs see one snapshot, deliveries exist for new events only. One event alone comes as plain values, and joins nothing: it is the one
 * whose sender waits for nothing but the statement.
 */
const forms = {
  one: {
    numbered: `
with numbered as (
  insert into gemini_relay.events (${columns}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (source, webhook_id) do nothing returning id, 1::bigint as n
)`,
    owing: '',
    ids: `array[nextval('gemini_relay.delivery_rows_id_seq')]`,
    events: 'array[o.id]',
    owed: `numbered o cross join ${kindRows}`,
    holder: '$14',
    leaseMs: '$15',
  },
  // For joins of unnests hash joins are right, and the planner's guess of ten rows an unnest picks nested ones: see `acceptSettings`.
  many: {
    numbered: `
with new_events as (
  insert into gemini_relay.events (${columns})
  select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bytea[], $9::bytea[])
  on conflict (source, webhook_id) do nothing
  returning id, source, webhook_id
), numbered as (
  select e.id, g.n from new_events e join unnest($1::text[], $2::text[]) with ordinality as g (source, webhook_id, n) using (source, webhook_id)
)`,
    owing: `
, owing as (
  select kind, array_agg(id order by id) as ids, array_agg(event_id order by id) as events from (
    select e.id as event_id, o.kind, nextval('gemini_relay.delivery_rows_id_seq') as id
    from numbered e join unnest($14::int8[], $15::int8[]) as o (n, kind) using (n) order by e.id
  ) d group by kind
)`,
    ids: 'o.ids',
    events: 'o.events',
    owed: `owing o join ${kindRows} using (kind)`,
    holder: '$16',
    leaseMs: '$17',
  },
}

type Form = (typeof forms)[keyof typeof forms]

const newGroups = ({ owing, ids, events, owed }: Form, lease: string, dueAt: string) => `${owing}
, new_groups as (
  insert into gemini_relay.delivery_groups (rule, sink, lease, due_at, expires_at, ids, events)
  select k.rule, k.sink, ${lease}, ${dueAt}, clock_timestamp() + k.horizon_ms * interval '1 millisecond', ${ids}, ${events}
  from ${owed}
  returning lease, rule, sink, created_at, expires_at, ids, events
)`

const pendingGroups = (form: Form) => newGroups(form, 'null', 'clock_timestamp()')

const leasedGroups = (form: Form) => `
, lease as (
  select nextval('gemini_relay.lease_numbers') as id where true = any ($12::bool[])
)${newGroups(form, 'case when k.leased then (select id from lease) end', 'case when not k.leased then clock_timestamp() end')}
, new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select lease, ${form.holder}, clock_timestamp() + ${form.leaseMs} * interval '1 millisecond', '{}' from new_groups where lease is not null group by lease
)`

const newRows = `
, new_rows as (
  insert into gemini_relay.delivery_rows (event_id, rule, sink, subject, state, due_at, expires_at, ended_at, code, message)
  select e.id, d.rule, d.sink, d.subject, case when d.code is null then 'pending' else 'dead' end,
    case when d.code is null then clock_timestamp() end, clock_timestamp() + d.horizon_ms * interval '1 millisecond',
    case when d.code is not null then clock_timestamp() end, d.code, d.message
  from numbered e join unnest($18::int8[], $19::text[], $20::text[], $21::text[], $22::int8[], $23::text[], $24::text[]) with ordinality
    as d (n, rule, sink, subject, horizon_ms, code, message, position) using (n) order by e.id, d.position
)`

const selectEvents = `
select n, id, null, null, null, null, null, null, null from numbered`

const selectGroups = `
union all
select null, null, lease, rule, sink, created_at, expires_at, ids, events from new_groups where lease is not null`

/** What a group of requests asks of the statement. A part that is not in it costs nothing, and one event alone waits for each. */
interface Needs {
  count: keyof typeof forms
  owed: keyof ReturnType<typeof statementsOf>
}

function statementsOf(form: Form) {
  return {
    nothing: `${form.numbered}${selectEvents}`,
    pending: `${form.numbered}${pendingGroups(form)}${selectEvents}`,
    leased: `${form.numbered}${leasedGroups(form)}${selectEvents}${selectGroups}`,
    rows: `${form.numbered}${leasedGroups(form)}${newRows}${selectEvents}${selectGroups}`,
  }
}

const statements = { one: statementsOf(forms.one), many: statementsOf(forms.many) }

type ResultRow =
  | [n: string, eventId: string, null, null, null, null, null, null, null]
  | [
      null,
      null,
      lease: string,
      rule: string,
      sink: string,
      createdAt: Date,
      expiresAt: Date,
      ids: readonly string[],
      events: readonly string[],
    ]

/** Settings of the sessions that run {@link commitGroup}. */
export const acceptSettings = '-c enable_nestloop=off'

/** @param rows sorted by (source, webhook_id), each identity once: unsorted concurrent groups that share ids deadlock */
export async function commitGroup(db: ClientBase, rows: readonly AcceptRow[], options: CommitOptions): Promise<Committed> {
  const { owed, singles } = sortOwed(rows, options)
  const [only] = rows
  const alone = rows.length === 1 && singles.length === 0 ? only : undefined
  const needs: Needs = { count: alone === undefined ? 'many' : 'one', owed: neededFor(owed, singles) }
  const withoutDerived = options.withoutDerived ?? false
  const { rows: found } = await db.query<ResultRow>({
    rowMode: 'array',
    name: `accept ${needs.count} ${needs.owed}`,
    text: statements[needs.count][needs.owed],
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

function sortOwed(rows: readonly AcceptRow[], { leased, horizonMs, ordered }: CommitOptions): { owed: Owed; singles: Single[] } {
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
        singles.push({ row: n + 1, rule, sink, subject: row.event.subject, horizonMs: horizonMs(sink), dead: undefined })
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
  const committed: Committed = { eventIds: new Map(), leaseId: '', leased: [] }
  const rowOf = new Map<string, number>()
  for (const row of found) {
    // Events come first.
    if (row[0] !== null) {
      const n = Number(row[0]) - 1
      committed.eventIds.set(n, row[1])
      rowOf.set(row[1], n)
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
