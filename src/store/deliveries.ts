/** The statements of a delivery's life after its insert: claim, outcome, release, takeover, expiry. */
import type { FailureCode } from '../errors.ts'
import { readEvent } from '../route/event.ts'
import type { Lease, LeasedDelivery, Scheme, StoredEvent } from '../types.ts'
import { boolArray, int8Array, textArray } from './binary-array.ts'
import { isObject } from '../verify/envelope.ts'
import { parseJson } from '../verify/json.ts'
import type { Pool } from './pool.ts'

/** Takeovers after which a delivery is dead: one that kills its process cannot do so for ever. */
const maxTakeovers = 5

export interface ClaimOptions {
  sink: string
  /** Of these rules only: a process claims what its configuration knows. */
  rules: readonly string[]
  limit: number
  holder: string
  leaseMs: number
  leaseMarginMs: number
}

/**
 * Bodies in one claim, in bytes, less the last one's: they cross the wire as hex, twice as long, within the statement's
 * timeout. A claim that holds so much has left the rest.
 */
export const maxClaimBytes = 8 * 1_048_576

// Index deliveries_due (sink, rule, due_at, id): one short range a rule, oldest first, flat whatever the backlog.
const claim = `
with due as (
  select d.* from unnest($2::text[]) as r (rule) cross join lateral (
    select id, event_id, due_at from gemini_relay.deliveries
    where sink = $1 and rule = r.rule and due_at <= statement_timestamp() and expires_at > statement_timestamp()
    order by due_at, id limit $3 for update skip locked
  ) d order by d.due_at, d.id limit $3
), fitting as (
  select id from (
    select due.id, sum(octet_length(e.body)) over (order by due.due_at, due.id) - octet_length(e.body) as before
    from due join gemini_relay.events e on e.id = due.event_id
  ) sized where before < $6
), lease as (
  select nextval('gemini_relay.lease_numbers') as id where exists (select from fitting)
), claimed as (
  update gemini_relay.deliveries d set state = 'leased', due_at = null, lease = l.id
  from fitting f, lease l where d.id = f.id
  returning d.id, d.event_id, d.rule, d.replay, d.attempts, d.lease
), new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select l.id, $4, clock_timestamp() + $5 * interval '1 millisecond', (select array_agg(id) from claimed) from lease l
)
select c.id, c.rule, c.replay, c.attempts, c.lease, e.id as event_id, e.source, e.webhook_id, e.scheme, e.event_time, e.received_at, e.body, e.claims_metadata
from claimed c join gemini_relay.events e on e.id = c.event_id order by c.id`

interface ClaimedRow extends EventRow {
  id: string
  rule: string
  replay: number
  attempts: number
  lease: string
}

export interface EventRow {
  event_id: string
  source: string
  webhook_id: string
  scheme: Scheme
  event_time: Date | null
  received_at: Date
  body: Buffer
  claims_metadata: Buffer | null
}

/** @returns up to `limit` deliveries, all under one new lease, oldest first */
export async function claimDeliveries(
  pool: Pool,
  { sink, rules, limit, holder, leaseMs, leaseMarginMs }: ClaimOptions,
): Promise<LeasedDelivery[]> {
  const lease: Lease = { id: '', until: performance.now() + leaseMs - leaseMarginMs }
  const { rows } = await pool.query<ClaimedRow>({
    name: 'claim',
    text: claim,
    values: [sink, rules, limit, holder, leaseMs, maxClaimBytes],
  })
  return rows.map((row) => {
    lease.id = row.lease
    return { id: row.id, rule: row.rule, sink, replay: row.replay, attempts: row.attempts, stored: storedEvent(row), lease }
  })
}

export function storedEvent(row: EventRow): StoredEvent {
  const claimsMetadata = row.claims_metadata === null ? undefined : parseJson(row.claims_metadata)
  const { event, time } = readEvent({
    source: row.source,
    webhookId: row.webhook_id,
    scheme: row.scheme,
    receivedAt: row.received_at,
    json: parseJson(row.body),
    ...(isObject(claimsMetadata) ? { claimsMetadata } : {}),
  })
  return { id: row.event_id, event, time: time ?? row.received_at, body: row.body }
}

/** How a delivery goes on. */
export interface DeliveryEnd {
  id: string
  lease: string
  /** `exhausted`: dead, because no further attempt is allowed. */
  state: 'delivered' | 'dead' | 'exhausted' | 'pending'
  /** For pending: from now, in milliseconds. Null: where it stood, at its creation. */
  delayMs: number | null
  /** Whether this was an attempt: it is counted, and a failed one becomes a row of `attempts`. */
  attempted: boolean
  code: FailureCode | null
  message: string | null
}

const dueAt = `case when e.delay_ms is null then d.created_at else statement_timestamp() + e.delay_ms * interval '1 millisecond' end`
const again = `(e.state = 'pending' and ${dueAt} < d.expires_at)`

// A pending one that has no time left is dead. What is given back keeps the failure it had. How the last attempt failed
// stays readable where that is not why the delivery ended: in `message` and in `attempts`.
const end = `
with changed as (
  update gemini_relay.deliveries d set
    state    = case when e.state in ('delivered', 'dead') then e.state when ${again} then 'pending' else 'dead' end,
    due_at   = case when ${again} then ${dueAt} end,
    attempts = d.attempts + e.attempted::int,
    ended_at = case when not ${again} then clock_timestamp() end,
    code     = case when e.state = 'exhausted' then 'attempts_exhausted' when e.state = 'pending' and not ${again} then 'expired' when e.state = 'pending' then coalesce(e.code, d.code) else e.code end,
    message  = case when e.state = 'exhausted' then (d.attempts + 1) || ' attempts made, the last: ' || e.code || ': ' || e.message
                    when e.state = 'pending' and not ${again}
                    then 'no time left for another attempt' || coalesce('; the last failure: ' || coalesce(e.message, d.message), '')
                    when e.state = 'pending' then coalesce(e.message, d.message) else e.message end
  from unnest($1::int8[], $2::int8[], $3::text[], $4::int8[], $5::bool[], $6::text[], $7::text[])
    as e (id, lease, state, delay_ms, attempted, code, message)
  where d.id = e.id and d.lease = e.lease and d.state = 'leased'
  returning d.id, d.attempts, e.attempted, e.code, e.message
), logged as (
  insert into gemini_relay.attempts (delivery_id, number, code, message)
  select id, attempts, code, message from changed where attempted and code is not null
)
select id from changed`

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
    ],
  })
  return new Set(rows.map(([id]) => id))
}

const renew = `
update gemini_relay.leases l set deadline = clock_timestamp() + $2 * interval '1 millisecond'
from (select id from gemini_relay.leases where id = any($1::int8[]) order by id for update) mine
where l.id = mine.id returning l.id`

/** @returns the leases that are still held */
export async function renewLeases(pool: Pool, leases: readonly string[], leaseMs: number): Promise<Set<string>> {
  const { rows } = await pool.query<{ id: string }>({ name: 'renew', text: renew, values: [int8Array(leases), leaseMs] })
  return new Set(rows.map(({ id }) => id))
}

/** Deletes leases that cover nothing any more. */
export async function deleteLeases(pool: Pool, leases: readonly string[]): Promise<void> {
  await pool.query({
    name: 'delete-leases',
    text: 'delete from gemini_relay.leases where id = any($1::int8[])',
    values: [int8Array(leases)],
  })
}

const takeOver = `
with expired as (
  delete from gemini_relay.leases where id in (
    select id from gemini_relay.leases where deadline < clock_timestamp() order by id limit 200 for update skip locked
  ) returning id, holder, deliveries
), taken as (
  update gemini_relay.deliveries d set
    takeovers = d.takeovers + 1,
    state     = case when d.takeovers + 1 >= $1::int then 'dead' else 'pending' end,
    due_at    = case when d.takeovers + 1 >= $1::int then null else d.created_at end,
    ended_at  = case when d.takeovers + 1 >= $1::int then clock_timestamp() end,
    code      = case when d.takeovers + 1 >= $1::int then 'abandoned' else d.code end,
    message   = case when d.takeovers + 1 >= $1::int then 'its process died or hung ' || $1::int || ' times while attempting it' else d.message end
  from expired e where d.id = any(e.deliveries) and d.lease = e.id and d.state = 'leased'
  returning d.sink, d.state
)
select sink, count(*) filter (where state = 'pending')::int as pending, count(*) filter (where state = 'dead')::int as dead from taken group by sink`

export interface Takeover {
  sink: string
  pending: number
  dead: number
}

/** Makes what expired leases covered pending again, whoever held them. */
export async function takeOverExpired(pool: Pool): Promise<Takeover[]> {
  const { rows } = await pool.query<Takeover>({ name: 'take-over', text: takeOver, values: [maxTakeovers] })
  return rows
}

// Index deliveries_expiry.
const expire = `
update gemini_relay.deliveries set state = 'dead', due_at = null, ended_at = clock_timestamp(), code = 'expired',
  message = 'not delivered within its horizon' || coalesce('; the last failure: ' || message, '')
where id in (
  select id from gemini_relay.deliveries where due_at is not null and expires_at <= statement_timestamp()
  order by expires_at limit $1 for update skip locked
)`

/** @returns how many pending deliveries ran out of time, at most `limit` a call */
export async function expireDeliveries(pool: Pool, limit: number): Promise<number> {
  const { rowCount } = await pool.query({ name: 'expire', text: expire, values: [limit] })
  return rowCount ?? 0
}

// Walks deliveries_due from one (sink, rule) to the next: as many steps as there are pairs, however many rows.
const pendingPairs = `
with recursive pairs as (
  (select sink, rule from gemini_relay.deliveries where due_at is not null order by sink, rule limit 1)
  union all
  select next.sink, next.rule from pairs p cross join lateral (
    select sink, rule from gemini_relay.deliveries
    where due_at is not null and (sink, rule) > (p.sink, p.rule) order by sink, rule limit 1
  ) next
)
select sink, rule from pairs`

/** The (sink, rule) pairs that have pending deliveries. */
export async function findPendingPairs(pool: Pool): Promise<{ sink: string; rule: string }[]> {
  const { rows } = await pool.query<{ sink: string; rule: string }>({ name: 'pending-pairs', text: pendingPairs })
  return rows
}
