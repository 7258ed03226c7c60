/** A store that is years old in a minute: events and deliveries by SQL. All that the benchmarks know of the tables is here. */
import type pg from 'pg'

export interface Owed {
  rule: string
  sink: string
  /** Events, each of which owes one delivery. */
  events: number
}

/**
 * As the generator's: 1,024 bytes in body, ids in no order.
 *
 * @param from number of the first, beyond all that are there
 */
const insertEvents = (from: string): string => `
  insert into gemini_relay.events (source, webhook_id, scheme, type, subject, event_time, received_at, body)
  select 'gemini', 'msg_' || md5(n::text), 'hmac', 'batch.succeeded', 'batches/' || n, at, at,
    convert_to(rpad('{"type":"batch.succeeded","version":"v1","timestamp":"2026-01-01T00:00:00Z","data":{"id":"batches/' || n || '","output_file_uri":"', 1021, 'f') || '"}}', 'UTF8')
  from generate_series(${from} + 1, ${from} + $1::bigint) n, lateral (select now() - interval '20 days' + n * interval '100 milliseconds' as at) t`

const lastEvent = `(select coalesce(max(id), 0) from gemini_relay.events)`

const insertDelivered = `
  insert into gemini_relay.delivery_rows (event_id, rule, sink, state, lease, attempts, created_at, expires_at, ended_at)
  select id, $1, $2, 'delivered', id / 40, 1, received_at, received_at + interval '3 days', received_at + interval '5 milliseconds'
  from gemini_relay.events where id > $3 order by id`

/** Deliveries that came in together: as many as 64 connections make at once. */
const groupSize = 40

const insertGroups = `
  insert into gemini_relay.delivery_groups (rule, sink, due_at, expires_at, ids, events)
  select $1, $2, clock_timestamp(), clock_timestamp() + interval '3 days', array_agg(id order by id), array_agg(event_id order by id)
  from (
    select nextval('gemini_relay.delivery_rows_id_seq') as id, id as event_id, row_number() over (order by id) / ${groupSize} as part
    from gemini_relay.events where id > $3
  ) d group by part order by part`

const insertRetries = `
  insert into gemini_relay.delivery_rows (event_id, rule, sink, state, due_at, attempts, expires_at, code, message)
  select id, $1, $2, 'pending', clock_timestamp(), 1, clock_timestamp() + interval '3 days', 'unavailable', 'connection refused'
  from gemini_relay.events where id > $3 order by id`

/** Of the events, as many come after the checkpoint: enough to meet each page of the index of ids, where a hundred share one. */
const lastPart = 0.07

/**
 * Events whose deliveries were made, each of its one; in tables that are empty. Indexes are made afterwards, which is
 * quicker. A checkpoint lies behind it, and so does what it costs: pages go into the WAL whole when they are first changed.
 */
export async function seedDelivered(client: pg.ClientBase, { rule, sink, events }: Owed): Promise<void> {
  await client.query(`set maintenance_work_mem = '512MB'; set wal_compression = off`)
  const last = Math.floor(events * lastPart)
  await withoutIndexes(client, 'gemini_relay.events', () => client.query(insertEvents('0'), [events - last]))
  await withoutIndexes(client, 'gemini_relay.delivery_rows', () => client.query(insertDelivered, [rule, sink, 0]))
  await client.query('vacuum analyze')
  await client.query('checkpoint')
  await client.query(insertEvents(lastEvent), [last])
  await client.query(insertDelivered, [rule, sink, events - last])
}

/** Pending deliveries of new events: as they came in, or each for itself after a failure. */
export async function seedPending(client: pg.ClientBase, how: 'groups' | 'retries', { rule, sink, events }: Owed): Promise<void> {
  const { rows } = await client.query<{ last: string }>(`select ${lastEvent} as last`)
  await client.query(insertEvents(lastEvent), [events])
  await client.query(how === 'groups' ? insertGroups : insertRetries, [rule, sink, rows[0]?.last])
}

/** Nothing is owed any more. */
export async function forgetOwed(client: pg.ClientBase): Promise<void> {
  await client.query('truncate gemini_relay.delivery_groups, gemini_relay.leases, gemini_relay.attempts')
  await client.query(`delete from gemini_relay.delivery_rows where state in ('pending', 'leased')`)
}

/** All but the primary key, which comes in order. */
async function withoutIndexes(client: pg.ClientBase, table: string, fill: () => Promise<unknown>): Promise<void> {
  const { rows: constraints } = await client.query<{ name: string; definition: string }>(
    `select conname as name, pg_get_constraintdef(oid) as definition from pg_constraint where conrelid = $1::regclass and contype = 'u'`,
    [table],
  )
  const { rows: indexes } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index i
     where indrelid = $1::regclass and not exists (select from pg_constraint c where c.conindid = i.indexrelid)`,
    [table],
  )
  for (const { name } of constraints) await client.query(`alter table ${table} drop constraint ${name}`)
  for (const { name } of indexes) await client.query(`drop index ${name}`)
  await fill()
  for (const { name, definition } of constraints) await client.query(`alter table ${table} add constraint ${name} ${definition}`)
  for (const { definition } of indexes) await client.query(definition)
}
