/** Deliveries that a test wants to change one by one: groups become rows, and stay whatever they were. */
import type pg from 'pg'

const singleOut = `
with gone as (
  delete from gemini_relay.delivery_groups returning *
), made as (
  insert into gemini_relay.delivery_rows (id, event_id, rule, sink, state, due_at, lease, takeovers, created_at, expires_at)
  overriding system value
  select d.id, d.event_id, g.rule, g.sink, case when g.lease is null then 'pending' else 'leased' end, g.due_at, g.lease, g.takeovers, g.created_at, g.expires_at
  from gone g cross join unnest(g.ids, g.events) as d (id, event_id)
  on conflict (id) do nothing returning id, lease
)
update gemini_relay.leases l set deliveries = l.deliveries || (select array_agg(id) from made where lease = l.id)
where id in (select lease from made)`

export async function makeSingleRows(db: pg.Pool): Promise<void> {
  await db.query(singleOut)
}
