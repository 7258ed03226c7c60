/** Sinks that are paused until somebody resumes them. Each change is told to every relay that listens. */
import type { Pool } from './pool.ts'

export interface SinkPause {
  sink: string
  reason: string
  /** Of the address that answered 410; null when a person paused it. */
  address: string | null
  pausedAt: Date
}

export const sinksChannel = 'gemini_relay_sinks'

// A pause of an address that is not the sink's any more is as good as none.
const pause = `
with paused as (
  insert into gemini_relay.sink_pauses as p (sink, reason, address) values ($1, $2, $3)
  on conflict (sink) do update set reason = excluded.reason, address = excluded.address, paused_at = excluded.paused_at
  where p.address is not null and p.address is distinct from $4
  returning sink
)
select pg_notify('${sinksChannel}', sink) from paused`

/**
 * @param current the address that the sink has now
 * @returns false when it was paused already
 */
export async function pauseSink(
  pool: Pool,
  { sink, reason, address, current }: Pick<SinkPause, 'sink' | 'reason' | 'address'> & { current: string | null },
): Promise<boolean> {
  const { rows } = await pool.query(pause, [sink, reason.replaceAll('\0', '\uFFFD'), address, current])
  return rows.length > 0
}

const resume = `
with resumed as (delete from gemini_relay.sink_pauses where sink = $1 returning sink)
select pg_notify('${sinksChannel}', sink) from resumed`

/** @returns false when it was not paused */
export async function resumeSink(pool: Pool, sink: string): Promise<boolean> {
  const { rows } = await pool.query(resume, [sink])
  return rows.length > 0
}

const resumeMoved = `
with resumed as (
  delete from gemini_relay.sink_pauses p using unnest($1::text[], $2::text[]) as now (sink, address)
  where p.sink = now.sink and p.address is not null and p.address is distinct from now.address
  returning p.sink
)
select sink, pg_notify('${sinksChannel}', sink) from resumed`

/** Resumes those that a 410 paused at another address than they have now. @returns their names */
export async function resumeMovedSinks(pool: Pool, addresses: ReadonlyMap<string, string | null>): Promise<string[]> {
  const { rows } = await pool.query<{ sink: string }>(resumeMoved, [[...addresses.keys()], [...addresses.values()]])
  return rows.map(({ sink }) => sink)
}

export async function readPauses(pool: Pool): Promise<SinkPause[]> {
  const { rows } = await pool.query<SinkPause>(
    'select sink, reason, address, paused_at as "pausedAt" from gemini_relay.sink_pauses order by sink',
  )
  return rows
}

/** Whether it holds for a sink that has this address now. */
export function holdsAt({ address }: SinkPause, current: string | null): boolean {
  return address === null || address === current
}

export interface SinkCounts {
  sink: string
  pending: number
  dead: number
}

/** Beyond it nobody needs to know exactly, and counting is no longer cheap. */
export const countLimit = 100_000

// Indexes delivery_rows_due, delivery_groups_due and delivery_rows_failed: a dead delivery has a code.
const counts = `
select s.sink,
  least($2::int, (select count(*) from (
      select from gemini_relay.delivery_rows where sink = s.sink and due_at is not null limit $2
    ) r) + (select coalesce(sum(size), 0) from (
      select cardinality(ids) as size from gemini_relay.delivery_groups where sink = s.sink and due_at is not null limit $2
    ) g))::int as pending,
  (select count(*) from (
    select from gemini_relay.delivery_rows where sink = s.sink and code is not null and state = 'dead' limit $2
  ) d)::int as dead
from unnest($1::text[]) as s (sink)`

/** At most {@link countLimit} of each. */
export async function countBySink(pool: Pool, sinks: readonly string[]): Promise<Map<string, SinkCounts>> {
  const { rows } = await pool.query<SinkCounts>(counts, [sinks, countLimit])
  return new Map(rows.map((row) => [row.sink, row]))
}
