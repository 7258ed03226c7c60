/** What the operator asks of deliveries. Nothing here changes anything. */
import type { Pool } from './pool.ts'

export interface DeliveryRow {
  id: string
  state: 'pending' | 'leased' | 'delivered' | 'dead'
  sink: string
  rule: string
  replay: number
  attempts: number
  takeovers: number
  event_id: string
  webhook_id: string
  source: string
  type: string | null
  subject: string | null
  created_at: Date
  due_at: Date | null
  expires_at: Date
  ended_at: Date | null
  code: string | null
  message: string | null
}

export interface DeliveryFilter {
  state?: string
  sink?: string
  rule?: string
  limit: number
}

const columns = `d.id, d.state, d.sink, d.rule, d.replay, d.attempts, d.takeovers, d.event_id, e.webhook_id, e.source, e.type, e.subject,
  d.created_at, d.due_at, d.expires_at, d.ended_at, d.code, d.message`

const wanted = (table: string) => `($1::text is null or ${table}.sink = $1) and ($2::text is null or ${table}.rule = $2)`

const ofGroups = `
  select d.id, d.event_id, g.rule, g.sink, 0 as replay, case when g.lease is null then 'pending' else 'leased' end as state, g.due_at, 0 as attempts, g.takeovers,
    g.created_at, g.expires_at, null::timestamptz as ended_at, null::text as code, null::text as message
  from g cross join unnest(g.ids, g.events) as d (id, event_id)
  where (select true from gemini_relay.delivery_rows r where r.id = d.id) is null
  order by d.id desc limit $3`

// Rows are bounded by an index, pending groups by their number; leased ones are those of the last seconds. A probe an id: a join
// would read all rows.
const parts = {
  rows: (narrow: string) => `
  select id, event_id, rule, sink, replay, state, due_at, attempts, takeovers, created_at, expires_at, ended_at, code, message
  from gemini_relay.delivery_rows r where ${wanted('r')} ${narrow} order by id desc limit $3`,
  pending: `
  with g as (select * from gemini_relay.delivery_groups g where lease is null and ${wanted('g')} order by id desc limit $3) ${ofGroups}`,
  leased: `
  with g as (select * from gemini_relay.delivery_groups g where lease is not null and ${wanted('g')}) ${ofGroups}`,
}

/** Newest first. */
export async function listDeliveries(pool: Pool, { state, sink, rule, limit }: DeliveryFilter): Promise<DeliveryRow[]> {
  const { rows } = await pool.query<DeliveryRow>(
    `select ${columns} from (${partsOf(state)
      .map((part) => `(${part})`)
      .join(' union all ')}) d join gemini_relay.events e on e.id = d.event_id order by d.id desc limit $3`,
    [sink ?? null, rule ?? null, limit],
  )
  return rows
}

function partsOf(state: string | undefined): string[] {
  // What is dead or failed has a code, what is pending a due_at: both have an index that holds little else.
  if (state === 'dead') return [parts.rows(`and state = 'dead' and code is not null`)]
  if (state === 'delivered') return [parts.rows(`and state = 'delivered'`)]
  if (state === 'pending') return [parts.rows('and due_at is not null'), parts.pending]
  if (state === 'leased') return [parts.rows(`and state = 'leased'`), parts.leased]
  return [parts.rows(''), parts.pending, parts.leased]
}

export interface AttemptRow {
  number: number
  ended_at: Date
  code: string
  message: string
}

export async function findDelivery(
  pool: Pool,
  id: string,
): Promise<{ delivery: DeliveryRow; attempts: AttemptRow[]; body: Buffer } | undefined> {
  const { rows } = await pool.query<DeliveryRow & { body: Buffer }>(
    `select ${columns}, e.body from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where d.id = $1`,
    [id],
  )
  const [found] = rows
  if (found === undefined) return undefined
  const { rows: attempts } = await pool.query<AttemptRow>(
    'select number, ended_at, code, message from gemini_relay.attempts where delivery_id = $1 order by id',
    [id],
  )
  const { body, ...delivery } = found
  return { delivery, attempts, body }
}
