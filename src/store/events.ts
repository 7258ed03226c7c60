/** Stored events, read back as what rules and sinks see. */
import { isMap } from '../json-map.ts'
import { readEvent } from '../route/event.ts'
import type { Scheme, StoredEvent } from '../types.ts'
import { parseJson } from '../verify/json.ts'
import { int8Array } from './binary-array.ts'
import type { Pool } from './pool.ts'

export interface EventRow {
  event_id: string
  source: string
  webhook_id: string
  scheme: Scheme
  /** Since the epoch: `pg` takes longer over a timestamp than over the rest of the row. */
  received_seconds: number
  body: Buffer
  claims_metadata: Buffer | null
}

/** Of `events e`. */
export const eventColumns = `e.id as event_id, e.source, e.webhook_id, e.scheme, date_part('epoch', e.received_at) as received_seconds, e.body, e.claims_metadata`

/** @returns by number; one that is not stored is missing */
export async function readEvents(pool: Pool, ids: Iterable<string>): Promise<Map<string, StoredEvent>> {
  const { rows } = await pool.query<EventRow>({
    name: 'events',
    text: `select ${eventColumns} from gemini_relay.events e where e.id = any ($1::int8[])`,
    values: [int8Array([...ids])],
  })
  return new Map(rows.map((row) => [row.event_id, storedEvent(row)]))
}

export function storedEvent(row: EventRow): StoredEvent {
  const receivedAt = new Date(Math.round(row.received_seconds * 1_000))
  const claimsMetadata = row.claims_metadata === null ? undefined : parseJson(row.claims_metadata)
  const { event, time } = readEvent({
    source: row.source,
    webhookId: row.webhook_id,
    scheme: row.scheme,
    receivedAt,
    json: parseJson(row.body),
    ...(isMap(claimsMetadata) ? { claimsMetadata } : {}),
  })
  return { id: row.event_id, event, time: time ?? receivedAt, body: row.body }
}
