/** What the relay made of the events, read from its database: the demo shows the truth, not what it hopes. */
import type { Pool } from '../store/pool.ts'

export interface Arrival {
  webhook_id: string
  rule: string
  sink: string
  state: string
  error: string | null
}

export async function readArrivals(pool: Pool): Promise<Arrival[]> {
  const { rows } = await pool.query<Arrival>(
    `select e.webhook_id, d.rule, d.sink, d.state, d.code || ': ' || d.message as error
     from gemini_relay.events e join gemini_relay.deliveries d on d.event_id = e.id order by d.id`,
  )
  return rows
}

export interface JobRow {
  job_id: string
  status: string
  finished_at: Date | null
  error: string | null
}

export async function readJobs(pool: Pool): Promise<JobRow[]> {
  const { rows } = await pool.query<JobRow>('select job_id, status, finished_at, error from gemini_jobs order by relay_event_seq')
  return rows
}
