/** Claiming for a sink that keeps the order of its subjects: of each subject only the oldest delivery that is still open. */
import type { Lease } from '../types.ts'
import { maxClaimBytes, type Claim, type ClaimOptions } from './claim.ts'
import { readEvents } from './events.ts'
import type { Pool } from './pool.ts'
import { retryConflicts, sqlState } from './sqlstate.ts'

/** Groups made before the sink kept order become rows, so many of each rule at a time. */
const maxGroups = 20

/** So many times the limit is looked at: those that wait for their turn are put off, and not looked at again. */
const lookAhead = 4

/** Who waits for its turn is put off to when the one before it is due, at least so long; the end of that one makes it due at once. */
const putOffMs = 1_000

/** What failed before the sink kept order has no subject yet: so many rows get one in a claim. */
const maxNamed = 1_000

// What waits from before the sink kept order: groups become rows, and rows get their subject. A statement of its own, as the claim has to
// see what it made. Indexes delivery_groups_due and delivery_rows_unnamed, which are empty but for a while.
const adopt = `
with ungrouped as (
  delete from gemini_relay.delivery_groups where id in (
    select g.id from unnest($2::text[]) as r (rule) cross join lateral (
      select id from gemini_relay.delivery_groups
      where sink = $1 and rule = r.rule and due_at is not null
      order by due_at, id limit $3 for update skip locked
    ) g
  ) returning *
), made as (
  insert into gemini_relay.delivery_rows (id, event_id, rule, sink, subject, state, due_at, takeovers, created_at, expires_at)
  overriding system value
  select d.id, d.event_id, g.rule, g.sink, coalesce(e.subject, e.webhook_id), 'pending', g.created_at, g.takeovers, g.created_at, g.expires_at
  from ungrouped g cross join unnest(g.ids, g.events) as d (id, event_id) left join gemini_relay.events e on e.id = d.event_id
), named as (
  update gemini_relay.delivery_rows d set subject = coalesce(e.subject, e.webhook_id)
  from gemini_relay.events e
  where e.id = d.event_id and d.id in (
    select id from gemini_relay.delivery_rows
    where sink = $1 and rule = any ($2::text[]) and subject is null and due_at is not null limit $4 for update skip locked
  )
  returning d.id
)
select (select count(*) from ungrouped)::int as groups, (select count(*) from named)::int as rows`

// Indexes delivery_rows_due for what is due, oldest first, and delivery_rows_subject and delivery_rows_turn for whose turn it is. The order
// is that of the deliveries' numbers, which are given in the order of acceptance; of two relays the older number may be committed last, and
// waits for what is under way. As an open delivery is never skipped, a dead one releases its subject.
const claim = `
with due as (
  select d.* from unnest($2::text[]) as r (rule) cross join lateral (
    select id, event_id, rule, replay, attempts, due_at, subject from gemini_relay.delivery_rows
    where sink = $1 and rule = r.rule and due_at <= statement_timestamp() and expires_at > statement_timestamp()
    order by due_at, id limit $7 for update skip locked
  ) d
), judged as (
  select d.*, first.due_at as first_due, coalesce(first.id = d.id, true) and not exists (
    select from gemini_relay.delivery_rows o where o.sink = $1 and o.subject = d.subject and o.state = 'leased'
  ) as has_turn
  from due d left join lateral (
    select o.id, o.due_at from gemini_relay.delivery_rows o
    where o.sink = $1 and o.subject = d.subject and o.state in ('pending', 'leased') order by o.id limit 1
  ) first on true
), put_off as (
  update gemini_relay.delivery_rows d set due_at = greatest(j.first_due, statement_timestamp() + $8 * interval '1 millisecond')
  from judged j where d.id = j.id and not j.has_turn
), sized as (
  select j.*, row_number() over oldest as position, sum(b.bytes) over oldest - b.bytes as bytes_before
  from judged j cross join lateral (
    select coalesce(sum(octet_length(e.body)), 0) as bytes from gemini_relay.events e where e.id = j.event_id
  ) b where j.has_turn window oldest as (order by j.due_at, j.id)
), taken as (
  select * from sized where position <= $3 and bytes_before < $6
), lease as (
  select nextval('gemini_relay.lease_numbers') as id where exists (select from taken)
), leased as (
  update gemini_relay.delivery_rows d set state = 'leased', due_at = null, lease = l.id
  from taken t, lease l where d.id = t.id
  returning d.id
), new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select l.id, $4, clock_timestamp() + $5 * interval '1 millisecond', array(select id from leased) from lease l
)
select m.more, t.id, t.event_id, t.rule, t.replay, t.attempts, l.id as lease
from (
  select (select count(*) from due) >= $7 or (select count(*) from taken) < (select count(*) from sized) as more
) m left join (taken t cross join lease l) on true
order by t.position`

type ClaimedRow = { more: boolean } & (
  { id: null } | { id: string; event_id: string; rule: string; replay: number; attempts: number; lease: string }
)

export async function claimHeads(
  pool: Pool,
  { sink, rules, limit, holder, leaseMs, leaseMarginMs }: ClaimOptions,
): Promise<Claim> {
  while (await adoptUnordered(pool, sink, rules));
  const until = performance.now() + leaseMs - leaseMarginMs
  const { rows } = await retryConflicts(
    () =>
      pool.query<ClaimedRow>({
        name: 'claim ordered',
        text: claim,
        values: [sink, rules, limit, holder, leaseMs, maxClaimBytes, limit * lookAhead, putOffMs],
      }),
    isTurnTaken,
  )
  const claimed = rows.flatMap((row) => (row.id === null ? [] : [row]))
  const events = await readEvents(pool, new Set(claimed.map((row) => row.event_id)))
  const [first] = claimed
  const lease: Lease = { id: first?.lease ?? '', until }
  const deliveries = claimed.flatMap(({ id, event_id, rule, replay, attempts }) => {
    const stored = events.get(event_id)
    return stored === undefined ? [] : [{ id, rule, sink, replay, attempts, stored, lease }]
  })
  return { deliveries, more: rows.some(({ more }) => more) }
}

/** By a claim that this one did not see: index delivery_rows_turn. */
function isTurnTaken(error: unknown): boolean {
  return sqlState(error) === '23505'
}

/** @returns whether there may be more of it */
async function adoptUnordered(pool: Pool, sink: string, rules: readonly string[]): Promise<boolean> {
  const { rows } = await pool.query<{ groups: number; rows: number }>({
    name: 'adopt',
    text: adopt,
    values: [sink, rules, maxGroups, maxNamed],
  })
  return rows.some(({ groups, rows: named }) => groups >= maxGroups || named >= maxNamed)
}
