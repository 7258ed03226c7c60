/** What a source received last. */
import type { Scheme } from '../types.ts'
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

/** Of the newest event of any source; 0 where there is none. */
export async function readNewestId(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('select coalesce(max(id), 0) as id from gemini_relay.events')
  return rows[0]?.id ?? '0'
}

/** The first one behind `after`, which is a number of one that is new. */
export async function readEventAfter(
  pool: Pool,
  { source, scheme, after }: { source: string; scheme: Scheme; after: string },
): Promise<LastEvent | undefined> {
  const { rows } = await pool.query<LastEvent>(
    `select id, webhook_id, type, scheme, received_at from gemini_relay.events
     where id > $1 and source = $2 and scheme = $3 order by id limit 1`,
    [after, source, scheme],
  )
  return rows[0]
}
