/** Stored events for a replay, and the new deliveries it makes. Originals stay as they are. */
import type { ClientBase } from 'pg'
import type { StoredEvent } from '../types.ts'
import { boolArray, int8Array, textArray } from './binary-array.ts'
import { eventColumns, storedEvent, type EventRow } from './events.ts'
import type { Pool } from './pool.ts'

/** @param ids event numbers or webhook-ids; a webhook-id may name one event in each source */
export async function findEvents(pool: Pool, ids: readonly string[]): Promise<StoredEvent[]> {
  const numbers = ids.filter((id) => /^\d{1,18}$/.test(id))
  const { rows } = await pool.query<EventRow>(
    `select ${eventColumns} from gemini_relay.events e where e.id = any ($1::int8[])
     union select ${eventColumns} from gemini_relay.events e where e.webhook_id = any ($2::text[]) order by event_id`,
    [numbers, ids],
  )
  return rows.map(storedEvent)
}

export interface DeadDelivery {
  deliveryId: string
  rule: string
  sink: string
  stored: StoredEvent
}

/**
 * Dead deliveries that no later replay has followed yet, oldest first.
 *
 * @param after only those with a greater delivery id
 */
export async function findDead(
  pool: Pool,
  filter: { sink?: string; rule?: string; after: string; limit: number },
): Promise<DeadDelivery[]> {
  const { rows } = await pool.query<EventRow & { delivery_id: string; rule: string; sink: string }>(
    `select d.id as delivery_id, d.rule, d.sink, ${eventColumns}
     from gemini_relay.delivery_rows d join gemini_relay.events e on e.id = d.event_id
     where d.state = 'dead' and d.code is not null and ($1::text is null or d.sink = $1) and ($2::text is null or d.rule = $2) and d.id > $3
       and not exists (select from gemini_relay.delivery_rows later
         where later.event_id = d.event_id and later.rule = d.rule and later.sink = d.sink and later.replay > d.replay)
     order by d.id limit $4`,
    [filter.sink ?? null, filter.rule ?? null, filter.after, filter.limit],
  )
  return rows.map((row) => ({ deliveryId: row.delivery_id, rule: row.rule, sink: row.sink, stored: storedEvent(row) }))
}

export interface ReplayedDelivery {
  eventId: string
  rule: string
  sink: string
  horizonMs: number
  /** Whether its sink keeps the order of its subjects. */
  ordered: boolean
  dead?: { code: string; message: string }
}

// Two replays at once take the same number: the second adds nothing, which is what it wanted. The lock keeps the events from being
// pruned meanwhile.
const insertReplays = `
insert into gemini_relay.delivery_rows (event_id, rule, sink, subject, replay, state, due_at, expires_at, ended_at, code, message)
select r.event_id, r.rule, r.sink, case when r.ordered and not r.dead then coalesce(e.subject, e.webhook_id) end,
  coalesce((select max(d.replay) from gemini_relay.delivery_rows d where d.event_id = r.event_id and d.rule = r.rule and d.sink = r.sink), 0) + 1,
  case when r.dead then 'dead' else 'pending' end,
  case when not r.dead then clock_timestamp() end,
  clock_timestamp() + r.horizon_ms * interval '1 millisecond',
  case when r.dead then clock_timestamp() end, r.code, r.message
from unnest($1::int8[], $2::text[], $3::text[], $4::int8[], $5::bool[], $6::text[], $7::text[], $8::bool[])
  with ordinality as r (event_id, rule, sink, horizon_ms, dead, code, message, ordered, position)
join (select id, subject, webhook_id from gemini_relay.events where id = any ($1::int8[]) for key share) e on e.id = r.event_id
order by r.position
on conflict do nothing`

/** @returns how many were made */
export async function insertReplayed(pool: Pool | ClientBase, deliveries: readonly ReplayedDelivery[]): Promise<number> {
  const { rowCount } = await pool.query(insertReplays, [
    int8Array(deliveries.map(({ eventId }) => eventId)),
    textArray(deliveries.map(({ rule }) => rule)),
    textArray(deliveries.map(({ sink }) => sink)),
    int8Array(deliveries.map(({ horizonMs }) => horizonMs)),
    boolArray(deliveries.map(({ dead }) => dead !== undefined)),
    textArray(deliveries.map(({ dead }) => dead?.code ?? null)),
    textArray(deliveries.map(({ dead }) => dead?.message ?? null)),
    boolArray(deliveries.map(({ ordered }) => ordered)),
  ])
  return rowCount ?? 0
}
