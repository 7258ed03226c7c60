/** Claiming: what is due becomes leased to this process, oldest first. */
import { readEvent } from '../route/event.ts'
import type { DeliveryGroup, Lease, LeasedDelivery, Scheme, StoredEvent } from '../types.ts'
import { isObject } from '../verify/envelope.ts'
import { parseJson } from '../verify/json.ts'
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
 * Bodies in one claim, in bytes, less the last one's: they cross the wire as hex, twice as long, within the statement's
 * timeout. A claim that holds so much has left the rest.
 */
export const maxClaimBytes = 8 * 1_048_576

/** Groups in one claim at most: while the sink was down each request may have made one of its own, and each costs a lock. */
const maxGroups = 500

// Indexes delivery_rows_due and delivery_groups_due (sink, rule, due_at, id): one short range a rule of each, oldest first, flat
// whatever the backlog. How many groups are enough is looked up before any is locked. A group of which only a part fits is cut: the
// part that is taken becomes a group of its own. Whether it fits is told by the version that was locked, which may be younger than
// the snapshot: another claim may have cut it meanwhile.
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
  select null::bigint as group_id, id, event_id, rule, replay, attempts, due_at from single
  union all
  select g.id, d.id, d.event_id, g.rule, 0, 0, g.due_at from grouped g cross join unnest(g.ids, g.events) as d (id, event_id)
), first as (
  select *, row_number() over (order by due_at, id) as n from due order by due_at, id limit $3
), taken as (
  select * from (
    select f.*, e.source, e.webhook_id, e.scheme, e.event_time, e.received_at, e.body, e.claims_metadata,
      coalesce(sum(octet_length(e.body)) over (order by f.n), 0) - coalesce(octet_length(e.body), 0) as before
    from first f left join gemini_relay.events e on e.id = f.event_id
  ) sized where before < $6
), lease as (
  select nextval('gemini_relay.lease_numbers') as id where exists (select from taken)
), leased_rows as (
  update gemini_relay.delivery_rows d set state = 'leased', due_at = null, lease = l.id
  from taken t, lease l where t.group_id is null and d.id = t.id
  returning d.id
), part as (
  select g.id as group_id, array_agg(t.id order by t.n) as ids, array_agg(t.event_id order by t.n) as events, count(*) = g.size as whole
  from taken t join grouped g on g.id = t.group_id group by g.id, g.size
), leased_groups as (
  update gemini_relay.delivery_groups g set lease = l.id, due_at = null
  from part p, lease l where g.id = p.group_id and p.whole
), cut as (
  update gemini_relay.delivery_groups g set ids = g.ids[cardinality(p.ids) + 1:], events = g.events[cardinality(p.ids) + 1:]
  from part p where g.id = p.group_id and not p.whole
), cut_off as (
  insert into gemini_relay.delivery_groups (rule, sink, lease, takeovers, created_at, expires_at, ids, events)
  select g.rule, g.sink, l.id, g.takeovers, g.created_at, g.expires_at, p.ids, p.events
  from part p join grouped g on g.id = p.group_id, lease l where not p.whole
), new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select l.id, $4, clock_timestamp() + $5 * interval '1 millisecond', coalesce((select array_agg(id) from leased_rows), '{}') from lease l
)
select t.id, t.rule, t.replay, t.attempts, l.id as lease, t.group_id, g.created_at, g.expires_at, g.takeovers,
  t.event_id, t.source, t.webhook_id, t.scheme, t.event_time, t.received_at, t.body, t.claims_metadata,
  (select count(*) from grouped)::int as groups
from taken t cross join lease l left join grouped g on g.id = t.group_id where t.source is not null order by t.n`

type ClaimedRow = EventRow & {
  id: string
  rule: string
  replay: number
  attempts: number
  lease: string
  /** All groups that were looked at. */
  groups: number
} & ({ group_id: null } | { group_id: string; created_at: Date; expires_at: Date; takeovers: number })

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

export async function claimDeliveries(
  pool: Pool,
  { sink, rules, limit, holder, leaseMs, leaseMarginMs }: ClaimOptions,
): Promise<Claim> {
  const lease: Lease = { id: '', until: performance.now() + leaseMs - leaseMarginMs }
  const { rows } = await pool.query<ClaimedRow>({
    name: 'claim',
    text: claim,
    values: [sink, rules, limit, holder, leaseMs, maxClaimBytes, maxGroups],
  })
  const groups = new Map<string, DeliveryGroup>()
  const events = new Map<string, StoredEvent>()
  let bytes = 0
  const deliveries = rows.map((row): LeasedDelivery => {
    lease.id = row.lease
    bytes += row.body.length
    let stored = events.get(row.event_id)
    if (stored === undefined) events.set(row.event_id, (stored = storedEvent(row)))
    const delivery = { id: row.id, rule: row.rule, sink, replay: row.replay, attempts: row.attempts, stored, lease }
    return row.group_id === null ? delivery : { ...delivery, group: groupOf(row, groups) }
  })
  return { deliveries, more: rows.length === limit || bytes >= maxClaimBytes || (rows[0]?.groups ?? 0) >= maxGroups }
}

function groupOf(
  row: { group_id: string; created_at: Date; expires_at: Date; takeovers: number },
  groups: Map<string, DeliveryGroup>,
): DeliveryGroup {
  const known = groups.get(row.group_id)
  if (known !== undefined) return known
  const group = { createdAt: row.created_at, expiresAt: row.expires_at, takeovers: row.takeovers }
  groups.set(row.group_id, group)
  return group
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
