/** The one statement behind every 2xx: events and the deliveries they owe, a group of requests at a time. */
import type { ClientBase } from 'pg'
import type { Pool } from '../store/pool.ts'
import { boolArray, byteaArray, int4Array, int8Array, textArray, timestamptzArray } from '../store/binary-array.ts'
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

// The CTEs see one snapshot: `new_events` is what this statement inserted, so deliveries exist for new events only.
const insertGroup = `
with lease as (
  select nextval('gemini_relay.lease_numbers') as id
), incoming as (
  select * from unnest($1::int4[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::bytea[], $10::bytea[])
    as t (n, source, webhook_id, scheme, type, subject, event_time, received_at, body, claims_metadata)
), new_events as (
  insert into gemini_relay.events (source, webhook_id, scheme, type, subject, event_time, received_at, body, claims_metadata)
  select source, webhook_id, scheme, type, subject, event_time, received_at, body, claims_metadata from incoming order by n
  on conflict (source, webhook_id) do nothing
  returning id, source, webhook_id
), owed as (
  select e.id as event_id, d.*
  from new_events e
  join incoming i using (source, webhook_id)
  join unnest($11::int4[], $12::int4[], $13::text[], $14::text[], $15::bool[], $16::int8[], $17::text[], $18::text[])
    as d (n, position, rule, sink, leased, horizon_ms, code, message) on d.n = i.n
), new_deliveries as (
  insert into gemini_relay.deliveries (event_id, rule, sink, state, due_at, lease, expires_at, ended_at, code, message)
  select event_id, rule, sink,
    case when code is not null then 'dead' when leased then 'leased' else 'pending' end,
    case when code is null and not leased then clock_timestamp() end,
    case when leased then (select id from lease) end,
    clock_timestamp() + horizon_ms * interval '1 millisecond',
    case when code is not null then clock_timestamp() end,
    code, message
  from owed order by n, position
  returning id, event_id, rule, sink, state
), new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select l.id, $19, clock_timestamp() + $20 * interval '1 millisecond', array_agg(d.id)
  from lease l, new_deliveries d where d.state = 'leased' group by l.id
  returning id
)
select i.n, e.id, o.position, d.id, (select id from new_lease)
from new_events e
join incoming i using (source, webhook_id)
left join new_deliveries d on d.event_id = e.id and d.state = 'leased'
left join owed o on o.event_id = e.id and o.rule = d.rule and o.sink = d.sink`

type ResultRow = [n: number, eventId: string, owed: number | null, deliveryId: string | null, leaseId: string | null]

/** @param rows sorted by (source, webhook_id), each identity once: unsorted concurrent groups that share ids deadlock */
export async function commitGroup(db: Pool | ClientBase, rows: readonly AcceptRow[], options: CommitOptions): Promise<Committed> {
  const derived = <T>(value: T): T | null => (options.withoutDerived ? null : value)
  const owed = rows.flatMap((row, n) => row.owed.map((delivery, position) => ({ n, position, delivery })))
  const { rows: found } = await db.query<ResultRow>({
    name: 'accept',
    rowMode: 'array',
    text: insertGroup,
    values: [
      int4Array(rows.map((_, n) => n)),
      textArray(rows.map(({ request }) => request.source)),
      textArray(rows.map(({ request }) => request.webhookId)),
      textArray(rows.map(({ request }) => request.scheme)),
      textArray(rows.map(({ event }) => derived(event.type))),
      textArray(rows.map(({ event }) => derived(event.subject))),
      timestamptzArray(rows.map(({ time }) => derived(time))),
      timestamptzArray(rows.map(({ request }) => request.receivedAt)),
      byteaArray(rows.map(({ request }) => request.body)),
      byteaArray(rows.map(({ request }) => derived(metadataBytes(request.claimsMetadata)))),
      int4Array(owed.map(({ n }) => n)),
      int4Array(owed.map(({ position }) => position)),
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
  const committed: Committed = { eventIds: new Map(), leaseId: null, leased: [] }
  for (const [n, eventId, position, deliveryId, leaseId] of found) {
    committed.eventIds.set(n, eventId)
    if (position === null || deliveryId === null) continue
    committed.leaseId = leaseId
    committed.leased.push({ row: n, owed: position, deliveryId })
  }
  return committed
}

function metadataBytes(metadata: Record<string, unknown> | undefined): Buffer | null {
  return metadata === undefined ? null : Buffer.from(JSON.stringify(metadata))
}
