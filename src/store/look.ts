/** What the operator asks of deliveries. Bounded reads; nothing here changes anything. */
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

/** Newest first. */
export async function listDeliveries(pool: Pool, { state, sink, rule, limit }: DeliveryFilter): Promise<DeliveryRow[]> {
  // What is dead or failed has a code, what is pending a due_at: both have an index that holds little else.
  const narrow = state === 'dead' ? 'and d.code is not null' : state === 'pending' ? 'and d.due_at is not null' : ''
  const { rows } = await pool.query<DeliveryRow>(
    `select ${columns} from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id
     where ($1::text is null or d.state = $1) and ($2::text is null or d.sink = $2) and ($3::text is null or d.rule = $3) ${narrow}
     order by d.id desc limit $4`,
    [state ?? null, sink ?? null, rule ?? null, limit],
  )
  return rows
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
