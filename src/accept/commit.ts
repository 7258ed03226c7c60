/** The one statement behind every 2xx: events and the deliveries they owe, a group of requests at a time. */
import type { ClientBase } from 'pg'
import type { Pool } from '../store/pool.ts'
import { boolArray, byteaArray, int8Array, textArray, timestamptzArray } from '../store/binary-array.ts'
import type { AcceptRow } from './row.ts'

export interface CommitOptions {
  /** Names this process in `leases`. */
  holder: string
  leaseMs: number
  /** Whether the owed delivery `owed` of row `row` goes in leased to this process. */
  leased(row: number, owed: number): boolean
  /** Store type, subject, time and claims as null: for a row that Postgres refused with them. */
  withoutDerived?: boolean
}

/** What was new. Rows not named here were duplicates. */
export interface Committed {
  /** By row. */
  eventIds: Map<number, string>
  leaseId: string | null
  leased: { row: number; owed: number; deliveryId: string }[]
}

// The CTEs see one snapshot: `new_events` is what this statement inserted, so deliveries exist for new events only. What
// comes back is matched to the rows here and not by joins there: the planner guesses ten rows for an unnest, and the nested
// loops it then picks made a group of 256 cost 20 ms. For the one join that is left they are off, see `acceptSettings`.
const insertGroup = `
with lease as (
  select nextval('gemini_relay.lease_numbers') as id
), new_events as (
  insert into gemini_relay.events (source, webhook_id, scheme, type, subject, event_time, received_at, body, claims_metadata)
  select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bytea[], $9::bytea[])
  on conflict (source, webhook_id) do nothing
  returning id, source, webhook_id
), new_deliveries as (
  insert into gemini_relay.deliveries (event_id, rule, sink, state, due_at, lease, expires_at, ended_at, code, message)
  select e.id, d.rule, d.sink,
    case when d.code is not null then 'dead' when d.leased then 'leased' else 'pending' end,
    case when d.code is null and not d.leased then clock_timestamp() end,
    case when d.leased then (select id from lease) end,
    clock_timestamp() + d.horizon_ms * interval '1 millisecond',
    case when d.code is not null then clock_timestamp() end,
    d.code, d.message
  from new_events e
  join unnest($10::text[], $11::text[], $12::text[], $13::text[], $14::bool[], $15::int8[], $16::text[], $17::text[])
    as d (source, webhook_id, rule, sink, leased, horizon_ms, code, message) using (source, webhook_id)
  returning id, event_id, rule, sink, state
), new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select (select id from lease), $18, clock_timestamp() + $19 * interval '1 millisecond', array_agg(id)
  from new_deliveries where state = 'leased' having count(*) > 0
  returning id
)
select id, source, webhook_id, null, null, null, null from new_events
union all
select event_id, null, null, id, rule, sink, (select id from new_lease) from new_deliveries where state = 'leased'`

type ResultRow =
  | [eventId: string, source: string, webhookId: string, null, null, null, null]
  | [eventId: string, null, null, deliveryId: string, rule: string, sink: string, leaseId: string]

/** Settings of the sessions that run {@link commitGroup}. */
export const acceptSettings = '-c enable_nestloop=off'

/** @param rows sorted by (source, webhook_id), each identity once: unsorted concurrent groups that share ids deadlock */
export async function commitGroup(db: Pool | ClientBase, rows: readonly AcceptRow[], options: CommitOptions): Promise<Committed> {
  const derived = <T>(value: T): T | null => (options.withoutDerived ? null : value)
  const owed = rows.flatMap((row, n) => row.owed.map((delivery, position) => ({ n, position, request: row.request, delivery })))
  const { rows: found } = await db.query<ResultRow>({
    name: 'accept',
    rowMode: 'array',
    text: insertGroup,
    values: [
      textArray(rows.map(({ request }) => request.source)),
      textArray(rows.map(({ request }) => request.webhookId)),
      textArray(rows.map(({ request }) => request.scheme)),
      textArray(rows.map(({ event }) => derived(event.type))),
      textArray(rows.map(({ event }) => derived(event.subject))),
      timestamptzArray(rows.map(({ time }) => derived(time))),
      timestamptzArray(rows.map(({ request }) => request.receivedAt)),
      byteaArray(rows.map(({ request }) => request.body)),
      byteaArray(rows.map(({ request }) => derived(metadataBytes(request.claimsMetadata)))),
      textArray(owed.map(({ request }) => request.source)),
      textArray(owed.map(({ request }) => request.webhookId)),
      textArray(owed.map(({ delivery }) => delivery.rule)),
      textArray(owed.map(({ delivery }) => delivery.sink)),
      boolArray(owed.map(({ n, position }) => options.leased(n, position))),
      int8Array(owed.map(({ delivery }) => delivery.horizonMs)),
      textArray(owed.map(({ delivery }) => delivery.dead?.code ?? null)),
      textArray(owed.map(({ delivery }) => delivery.dead?.message.replaceAll('\0', '\uFFFD') ?? null)),
      options.holder,
      options.leaseMs,
    ],
  })
  return committedOf(rows, found)
}

function committedOf(rows: readonly AcceptRow[], found: readonly ResultRow[]): Committed {
  const rowOf = new Map(rows.map(({ request }, n) => [`${request.source} ${request.webhookId}`, n]))
  const rowOfEvent = new Map<string, number>()
  const committed: Committed = { eventIds: new Map(), leaseId: null, leased: [] }
  // Events come first.
  for (const [eventId, source, webhookId, deliveryId, rule, sink, leaseId] of found) {
    if (deliveryId === null) {
      const n = rowOf.get(`${source} ${webhookId}`) ?? -1
      rowOfEvent.set(eventId, n)
      committed.eventIds.set(n, eventId)
    } else {
      const row = rowOfEvent.get(eventId) ?? -1
      const owed = rows[row]?.owed.findIndex((delivery) => delivery.rule === rule && delivery.sink === sink) ?? -1
      committed.leaseId = leaseId
      committed.leased.push({ row, owed, deliveryId })
    }
  }
  return committed
}

function metadataBytes(metadata: Record<string, unknown> | undefined): Buffer | null {
  return metadata === undefined ? null : Buffer.from(JSON.stringify(metadata))
}
