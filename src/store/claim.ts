/** Claiming: what is due becomes leased to this process, oldest first. */
import type { DeliveryGroup, Lease, LeasedDelivery } from '../types.ts'
import { readEvents } from './events.ts'
import type { Pool } from './pool.ts'

export interface ClaimOptions {
  sink: string
  /** Of these rules only: a process claims what its configuration knows. */
  rules: readonly string[]
  limit: number
  holder: string
  leaseMs: number
  leaseMarginMs: number
}

export interface Claim {
  /** All under one new lease, oldest first. */
  deliveries: LeasedDelivery[]
  /** Whether something may have been left: a bound was reached. */
  more: boolean
}

/**
 * Bodies in one claim, in bytes, less those of the last group: they cross the wire as hex, twice as long, within the statement's
 * timeout. A group holds no more than this itself, see accept/acceptor.ts. A claim that holds so much has left the rest.
 */
export const maxClaimBytes = 8 * 1_048_576

/** Groups in one claim at most: while the sink was down each request may have made one of its own, and each costs a lock. */
const maxGroups = 500

// Indexes delivery_rows_due and delivery_groups_due (sink, rule, due_at, id): one short range a rule of each, oldest first, flat
// whatever the backlog. How many groups are enough is looked up before any is locked. A group of which only a part fits is cut: the
// part that is taken becomes a group of its own. Whether it fits is told by the version that was locked, which may be younger than
// the snapshot: another claim may have cut it meanwhile. Nothing here touches a body: the events are read by a second statement, as
// this one would copy them from step to step. A row that has a subject is from when the sink kept order: it has no turn to wait for.
const claim = `
with enough as (
  select r.rule, (
    select count(*) from (
      select sum(size) over (order by due_at, id) - size as before from (
        select due_at, id, cardinality(ids) as size from gemini_relay.delivery_groups
        where sink = $1 and rule = r.rule and due_at <= statement_timestamp() and expires_at > statement_timestamp()
        order by due_at, id limit least($7::int, $3::int)
      ) g
    ) b where before < $3
  ) as groups
  from unnest($2::text[]) as r (rule)
), single as (
  select d.* from unnest($2::text[]) as r (rule) cross join lateral (
    select id, event_id, rule, replay, attempts, due_at from gemini_relay.delivery_rows
    where sink = $1 and rule = r.rule and due_at <= statement_timestamp() and expires_at > statement_timestamp()
    order by due_at, id limit $3 for update skip locked
  ) d
), grouped as (
  select g.* from enough e cross join lateral (
    select *, cardinality(ids) as size from gemini_relay.delivery_groups
    where sink = $1 and rule = e.rule and due_at <= statement_timestamp() and expires_at > statement_timestamp()
    order by due_at, id limit e.groups for update skip locked
  ) g
), due as (
  select id as group_id, rule, 0 as replay, 0 as attempts, takeovers, created_at, expires_at, due_at, ids, events, size from grouped
  union all
  select null, rule, replay, attempts, null, null, null, due_at, array[id], array[event_id], 1 from single
), sized as (
  select d.*, sum(d.size) over oldest - d.size as before, sum(b.bytes) over oldest - b.bytes as bytes_before
  from due d cross join lateral (
    select coalesce(sum(octet_length(e.body)), 0) as bytes from gemini_relay.events e where e.id = any (d.events)
  ) b window oldest as (order by d.due_at, d.ids[1])
), taken as (
  select *, least(size, $3 - before)::int as take from sized where before < $3 and bytes_before < $6
), lease as (
  select nextval('gemini_relay.lease_numbers') as id where exists (select from taken)
), leased_rows as (
  update gemini_relay.delivery_rows d set state = 'leased', due_at = null, lease = l.id, subject = null
  from taken t, lease l where t.group_id is null and d.id = t.ids[1]
  returning d.id
), leased_groups as (
  update gemini_relay.delivery_groups g set lease = l.id, due_at = null
  from taken t, lease l where g.id = t.group_id and t.take = t.size
), cut as (
  update gemini_relay.delivery_groups g set ids = g.ids[t.take + 1:], events = g.events[t.take + 1:]
  from taken t where g.id = t.group_id and t.take < t.size
), cut_off as (
  insert into gemini_relay.delivery_groups (rule, sink, lease, takeovers, created_at, expires_at, ids, events)
  select t.rule, $1, l.id, t.takeovers, t.created_at, t.expires_at, t.ids[:t.take], t.events[:t.take]
  from taken t, lease l where t.take < t.size
), new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select l.id, $4, clock_timestamp() + $5 * interval '1 millisecond', coalesce((select array_agg(id) from leased_rows), '{}') from lease l
)
select l.id as lease, t.group_id is not null as grouped, t.rule, t.replay, t.attempts, t.created_at, t.expires_at, t.takeovers,
  array_to_string(t.ids[:t.take], ',') as ids, array_to_string(t.events[:t.take], ',') as events,
  (select count(*) from grouped)::int as groups, (select count(*) from taken) < (select count(*) from due) as left_out
from taken t cross join lease l order by t.before`

/** A group, or the part of it that is taken, or one delivery that has a row of its own. */
type ClaimedRow = {
  lease: string
  rule: string
  replay: number
  attempts: number
  /** Decimal digits, between commas. */
  ids: string
  events: string
  /** All groups that were looked at. */
  groups: number
  /** Whether a bound left something that was looked at. */
  left_out: boolean
} & ({ grouped: false } | { grouped: true; created_at: Date; expires_at: Date; takeovers: number })

export async function claimDeliveries(
  pool: Pool,
  { sink, rules, limit, holder, leaseMs, leaseMarginMs }: ClaimOptions,
): Promise<Claim> {
  const until = performance.now() + leaseMs - leaseMarginMs
  const { rows } = await pool.query<ClaimedRow>({
    name: 'claim',
    text: claim,
    values: [sink, rules, limit, holder, leaseMs, maxClaimBytes, maxGroups],
  })
  const [first] = rows
  if (first === undefined) return { deliveries: [], more: false }
  const lease: Lease = { id: first.lease, until }
  const claimed = rows.map((row) => ({ row, group: groupOf(row), ids: row.ids.split(','), events: row.events.split(',') }))
  const events = await readEvents(pool, new Set(claimed.flatMap((part) => part.events)))
  const deliveries = claimed.flatMap(({ row: { rule, replay, attempts }, group, ids, events: eventIds }) =>
    ids.flatMap((id, n): LeasedDelivery[] => {
      const stored = events.get(eventIds[n] ?? '')
      if (stored === undefined) return []
      return [{ id, rule, sink, replay, attempts, stored, lease, ...(group === undefined ? {} : { group }) }]
    }),
  )
  return { deliveries, more: first.left_out || deliveries.length === limit || first.groups >= maxGroups }
}

function groupOf(row: ClaimedRow): DeliveryGroup | undefined {
  return row.grouped ? { createdAt: row.created_at, expiresAt: row.expires_at, takeovers: row.takeovers } : undefined
}
