/** The statements of a delivery's life after its claim: outcome, renewal, takeover, expiry. */
import type { FailureCode } from '../errors.ts'
import type { DeliveryGroup } from '../types.ts'
import { boolArray, int8Array, textArray, timestamptzArray } from './binary-array.ts'
import type { Pool } from './pool.ts'

/** Takeovers after which a delivery is dead: one that kills its process cannot do so for ever. */
const maxTakeovers = 5

/** How a delivery goes on. */
export interface DeliveryEnd {
  id: string
  lease: string
  eventId: string
  rule: string
  sink: string
  /** Of one that has no row yet, and gets it now. */
  group: DeliveryGroup | undefined
  /** `exhausted`: dead, because no further attempt is allowed. */
  state: 'delivered' | 'dead' | 'exhausted' | 'pending'
  /** For pending: from now, in milliseconds. Null: where it stood, at its creation. */
  delayMs: number | null
  /** Whether this was an attempt: it is counted, and a failed one becomes a row of `attempts`. */
  attempted: boolean
  code: FailureCode | null
  message: string | null
}

// `d` is the delivery before its outcome `e`. A pending one that has no time left is dead. What is given back keeps the failure
// it had. How the last attempt failed stays readable where that is not why the delivery ended: in `message` and in `attempts`.
const dueAt = `case when e.delay_ms is null then d.created_at else statement_timestamp() + e.delay_ms * interval '1 millisecond' end`
const again = `(e.state = 'pending' and ${dueAt} < d.expires_at)`
const outcome = {
  state: `case when e.state in ('delivered', 'dead') then e.state when ${again} then 'pending' else 'dead' end`,
  due_at: `case when ${again} then ${dueAt} end`,
  attempts: `d.attempts + e.attempted::int`,
  ended_at: `case when not ${again} then clock_timestamp() end`,
  code: `case when e.state = 'exhausted' then 'attempts_exhausted' when e.state = 'pending' and not ${again} then 'expired' when e.state = 'pending' then coalesce(e.code, d.code) else e.code end`,
  message: `case when e.state = 'exhausted' then (d.attempts + 1) || ' attempts made, the last: ' || e.code || ': ' || e.message
                 when e.state = 'pending' and not ${again}
                 then 'no time left for another attempt' || coalesce('; the last failure: ' || coalesce(e.message, d.message), '')
                 when e.state = 'pending' then coalesce(e.message, d.message) else e.message end`,
}
const changedColumns = Object.keys(outcome)
const changedValues = Object.values(outcome)

// A delivery of a group gets its row here, if its lease still stands: the lock keeps a takeover away until this is committed.
// An id that has a row already was written by an earlier try whose answer was lost. Where a sink keeps order, the next of the subject is
// due, even if a claim that runs at this moment is putting it off.
const end = `
with ended as (
  select * from unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::bool[], $6::text[], $7::text[],
      $8::int8[], $9::text[], $10::text[], $11::timestamptz[], $12::timestamptz[], $13::int8[])
    as e (id, lease, state, delay_ms, attempted, code, message, event_id, rule, sink, created_at, expires_at, takeovers)
), held as (
  select id from gemini_relay.leases where id = any ((select array_agg(distinct lease) from ended where created_at is not null)::int8[]) for key share
), changed as (
  update gemini_relay.delivery_rows d set ${changedColumns.map((column, n) => `${column} = ${changedValues[n]}`).join(', ')}
  from ended e where e.created_at is null and d.id = e.id and d.lease = e.lease and d.state = 'leased'
  returning d.id, d.attempts, e.attempted, e.code, e.message, d.sink, d.subject, d.state
), woken as (
  update gemini_relay.delivery_rows n set due_at = statement_timestamp() from changed c
  where c.subject is not null and c.state in ('delivered', 'dead') and n.state = 'pending' and n.id = (
    select o.id from gemini_relay.delivery_rows o
    where o.sink = c.sink and o.subject = c.subject and o.state in ('pending', 'leased') and o.id <> c.id order by o.id limit 1
  )
), made as (
  insert into gemini_relay.delivery_rows (id, event_id, rule, sink, lease, takeovers, created_at, expires_at, ${changedColumns.join(', ')})
  overriding system value
  select d.id, e.event_id, e.rule, e.sink, e.lease, e.takeovers, e.created_at, e.expires_at, ${changedValues.join(', ')}
  from ended e join held h on h.id = e.lease
    cross join lateral (select e.id, e.created_at, e.expires_at, 0 as attempts, null::text as code, null::text as message) d
  where e.created_at is not null
  on conflict (id) do nothing
  returning id
), written as (
  select id, attempts, attempted, code, message from changed
  union all
  select e.id, e.attempted::int, e.attempted, e.code, e.message from ended e join made using (id)
), logged as (
  insert into gemini_relay.attempts (delivery_id, number, code, message)
  select id, attempts, code, message from written where attempted and code is not null
)
select id from written`

/**
 * Writes outcomes, each only while its lease is still the delivery's.
 *
 * @returns ids that were written; a missing one belongs to somebody else now
 */
export async function endDeliveries(pool: Pool, ends: readonly DeliveryEnd[]): Promise<Set<string>> {
  const { rows } = await pool.query<[string]>({
    name: 'end',
    rowMode: 'array',
    text: end,
    values: [
      int8Array(ends.map(({ id }) => id)),
      int8Array(ends.map(({ lease }) => lease)),
      textArray(ends.map(({ state }) => state)),
      int8Array(ends.map(({ delayMs }) => delayMs)),
      boolArray(ends.map(({ attempted }) => attempted)),
      textArray(ends.map(({ code }) => code)),
      textArray(ends.map(({ message }) => message?.replaceAll('\0', '\uFFFD') ?? null)),
      int8Array(ends.map(({ eventId }) => eventId)),
      textArray(ends.map(({ rule }) => rule)),
      textArray(ends.map(({ sink }) => sink)),
      timestamptzArray(ends.map(({ group }) => group?.createdAt ?? null)),
      timestamptzArray(ends.map(({ group }) => group?.expiresAt ?? null)),
      int8Array(ends.map(({ group }) => group?.takeovers ?? null)),
    ],
  })
  return new Set(rows.map(([id]) => id))
}

// A weaker lock than `for update`: an outcome that holds its lease, and waits for a locked user table, holds up no renewal.
const renew = `
update gemini_relay.leases l set deadline = clock_timestamp() + $2 * interval '1 millisecond'
from (select id from gemini_relay.leases where id = any($1::int8[]) order by id for no key update) mine
where l.id = mine.id returning l.id`

/** @returns the leases that are still held */
export async function renewLeases(pool: Pool, leases: readonly string[], leaseMs: number): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>({ name: 'renew', text: renew, values: [int8Array(leases), leaseMs] })
  return new Set(rows.map(({ id }) => id))
}

// What is still open, because its outcome could not be written, keeps its lease, which then expires.
const deleteFinished = `
with open as (
  select g.lease from gemini_relay.delivery_groups g where g.lease = any($1::int8[])
    and cardinality(g.ids) > (select count(*) from gemini_relay.delivery_rows d where d.id = any(g.ids))
  union all
  select l.id from gemini_relay.leases l where l.id = any($1::int8[])
    and exists (select from gemini_relay.delivery_rows d where d.id = any(l.deliveries) and d.lease = l.id and d.state = 'leased')
), finished as (
  delete from gemini_relay.leases where id = any($1::int8[]) and id not in (select lease from open) returning id
)
delete from gemini_relay.delivery_groups where lease in (select id from finished)`

/** Deletes leases that cover nothing any more, and the groups that they covered. */
export async function deleteLeases(pool: Pool, leases: readonly string[]): Promise<void> {
  await pool.query({ name: 'delete-leases', text: deleteFinished, values: [int8Array(leases)] })
}

// Of a group, what has a row by now is not owed by it any more. A holder that is just writing outcomes has its lease locked
// and is skipped; one that wrote them a moment ago, unseen by this snapshot, costs another attempt, and its rows stay as they are.
const takeOver = `
with expired as (
  delete from gemini_relay.leases where id in (
    select id from gemini_relay.leases where deadline < clock_timestamp() order by id limit $2 for update skip locked
  ) returning id, deliveries
), taken as (
  update gemini_relay.delivery_rows d set
    takeovers = d.takeovers + 1,
    state     = case when d.takeovers + 1 >= $1::int then 'dead' else 'pending' end,
    due_at    = case when d.takeovers + 1 >= $1::int then null else d.created_at end,
    ended_at  = case when d.takeovers + 1 >= $1::int then clock_timestamp() end,
    code      = case when d.takeovers + 1 >= $1::int then 'abandoned' else d.code end,
    message   = case when d.takeovers + 1 >= $1::int then 'its process died or hung ' || $1::int || ' times while attempting it' else d.message end
  from expired e where d.id = any(e.deliveries) and d.lease = e.id and d.state = 'leased'
  returning d.sink, d.state
), left_over as (
  select g.id, g.rule, g.sink, g.lease, g.takeovers + 1 as takeovers, g.created_at, g.expires_at,
    array_agg(d.id order by d.id) filter (where r.id is null) as ids, array_agg(d.event_id order by d.id) filter (where r.id is null) as events
  from expired e join gemini_relay.delivery_groups g on g.lease = e.id cross join unnest(g.ids, g.events) as d (id, event_id)
    left join gemini_relay.delivery_rows r on r.id = d.id
  group by g.id
), reopened as (
  update gemini_relay.delivery_groups g set lease = null, due_at = g.created_at, takeovers = o.takeovers, ids = o.ids, events = o.events
  from left_over o where g.id = o.id and o.ids is not null and o.takeovers < $1::int
  returning g.sink, cardinality(g.ids) as pending
), over as (
  delete from gemini_relay.delivery_groups g using left_over o where g.id = o.id and (o.ids is null or o.takeovers >= $1::int)
), abandoned as (
  insert into gemini_relay.delivery_rows (id, event_id, rule, sink, state, lease, takeovers, created_at, expires_at, ended_at, code, message)
  overriding system value
  select d.id, d.event_id, o.rule, o.sink, 'dead', o.lease, o.takeovers, o.created_at, o.expires_at, clock_timestamp(), 'abandoned',
    'its process died or hung ' || $1::int || ' times while attempting it'
  from left_over o cross join unnest(o.ids, o.events) as d (id, event_id) where o.takeovers >= $1::int
  on conflict (id) do nothing
  returning sink
)
select (select count(*) from expired)::int as leases, (select coalesce(json_agg(by_sink), '[]') from (
  select sink, sum(pending)::int as pending, sum(dead)::int as dead from (
    select sink, (state = 'pending')::int as pending, (state = 'dead')::int as dead from taken
    union all select sink, pending, 0 from reopened
    union all select sink, 0, 1 from abandoned
  ) t group by sink
) by_sink) as sinks`

export interface Takeover {
  sink: string
  pending: number
  dead: number
}

/** Leases taken over in one statement; a busy process holds thousands. */
const takenLeases = 200

/** Makes what expired leases covered pending again, whoever held them. `more`: as many as one call takes had expired. */
export async function takeOverExpired(pool: Pool): Promise<{ sinks: Takeover[]; more: boolean }> {
  const { rows } = await pool.query<{ leases: number; sinks: Takeover[] }>({
    name: 'take-over',
    text: takeOver,
    values: [maxTakeovers, takenLeases],
  })
  return { sinks: rows.flatMap(({ sinks }) => sinks), more: rows.some(({ leases }) => leases === takenLeases) }
}

/** Groups that expire in one statement: each may hold hundreds of deliveries. */
const expiredGroups = 20

// Indexes delivery_rows_expiry and delivery_groups_expiry.
const expire = `
with gone as (
  delete from gemini_relay.delivery_groups where id in (
    select id from gemini_relay.delivery_groups where due_at is not null and expires_at <= statement_timestamp()
    order by expires_at limit $2 for update skip locked
  ) returning *
), made as (
  insert into gemini_relay.delivery_rows (id, event_id, rule, sink, state, takeovers, created_at, expires_at, ended_at, code, message)
  overriding system value
  select d.id, d.event_id, g.rule, g.sink, 'dead', g.takeovers, g.created_at, g.expires_at, clock_timestamp(), 'expired', 'not delivered within its horizon'
  from gone g cross join unnest(g.ids, g.events) as d (id, event_id)
  on conflict (id) do nothing
), changed as (
  update gemini_relay.delivery_rows set state = 'dead', due_at = null, ended_at = clock_timestamp(), code = 'expired',
    message = 'not delivered within its horizon' || coalesce('; the last failure: ' || message, '')
  where id in (
    select id from gemini_relay.delivery_rows where due_at is not null and expires_at <= statement_timestamp()
    order by expires_at limit $1 for update skip locked
  ) returning id
)
select (select count(*) from changed)::int as single, (select count(*) from gone)::int as groups`

/**
 * Ends pending deliveries that ran out of time, at most `limit` single ones a call.
 *
 * @returns whether there may be more
 */
export async function expireDeliveries(pool: Pool, limit: number): Promise<boolean> {
  const { rows } = await pool.query<{ single: number; groups: number }>({
    name: 'expire',
    text: expire,
    values: [limit, expiredGroups],
  })
  return rows.some(({ single, groups }) => single === limit || groups === expiredGroups)
}

// Walks the index on (sink, rule, due_at, id) from one pair to the next: as many steps as there are pairs, however many rows.
const pairsOf = (table: string) => `
select * from (
  with recursive pairs as (
    (select sink, rule from ${table} where due_at is not null order by sink, rule limit 1)
    union all
    select next.sink, next.rule from pairs p cross join lateral (
      select sink, rule from ${table}
      where due_at is not null and (sink, rule) > (p.sink, p.rule) order by sink, rule limit 1
    ) next
  )
  select sink, rule from pairs
) of_table`

const pendingPairs = `${pairsOf('gemini_relay.delivery_rows')} union ${pairsOf('gemini_relay.delivery_groups')}`

/** The (sink, rule) pairs that have pending deliveries. */
export async function findPendingPairs(pool: Pool): Promise<{ sink: string; rule: string }[]> {
  const { rows } = await pool.query<{ sink: string; rule: string }>({ name: 'pending-pairs', text: pendingPairs })
  return rows
}
