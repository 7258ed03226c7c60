/** What a source received last. */
import type { Pool } from './pool.ts'

export interface LastEvent {
  id: string
  webhook_id: string
  type: string | null
  scheme: string
  received_at: Date
}

/** No index leads from a source to its newest events: so many are looked at, from the newest back. */
export const lookedAt = 100_000

// By the primary key, backwards: it ends at the first one.
const lastOf = `
select id, webhook_id, type, scheme, received_at
from (select id, source, webhook_id, type, scheme, received_at from gemini_relay.events order by id desc limit $2) e
where source = $1 order by id desc limit 1`

/** @returns undefined where none of the last 100,000 events is of this source */
export async function readLastEvent(pool: Pool, source: string): Promise<LastEvent | undefined> {
  const { rows } = await pool.query<LastEvent>(lastOf, [source, lookedAt])
  return rows[0]
}
