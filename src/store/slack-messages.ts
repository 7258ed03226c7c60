/** The message of each job, as Slack knows it: what an answer in its thread or an edit needs. */
import type { StoredEvent } from '../types.ts'
import type { Pool } from './pool.ts'

/** A job's message: a job of the same id at another source is another job. */
export interface JobMessageKey {
  sink: string
  /** As configured. */
  channel: string
  source: string
  subject: string
}

export interface JobMessage {
  /** As Slack answered, and takes it for an edit. */
  channel: string
  ts: string
  /** The event that the message itself shows. */
  shown: Pick<StoredEvent, 'id' | 'time'>
  /** The last delivery that was shown, in the message or in its thread, and the number of its lease. */
  delivery: string
  lease: string
}

const find = `
select posted_channel, ts, shown_time, shown_event, delivery_id, lease from gemini_relay.slack_messages
where sink = $1 and channel = $2 and source = $3 and subject = $4`

interface Row {
  posted_channel: string
  ts: string
  shown_time: Date
  shown_event: string
  delivery_id: string
  lease: string
}

export async function findJobMessage(
  pool: Pool,
  { sink, channel, source, subject }: JobMessageKey,
): Promise<JobMessage | undefined> {
  const { rows } = await pool.query<Row>({ name: 'find job message', text: find, values: [sink, channel, source, subject] })
  const [row] = rows
  if (row === undefined) return undefined
  const shown = { time: row.shown_time, id: row.shown_event }
  return { channel: row.posted_channel, ts: row.ts, shown, delivery: row.delivery_id, lease: row.lease }
}

const save = `
insert into gemini_relay.slack_messages as m
  (sink, channel, source, subject, posted_channel, ts, shown_time, shown_event, delivery_id, lease)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (sink, channel, source, subject) do update set posted_channel = excluded.posted_channel, ts = excluded.ts,
  shown_time = excluded.shown_time, shown_event = excluded.shown_event, delivery_id = excluded.delivery_id, lease = excluded.lease,
  used_at = clock_timestamp()
where m.lease <= excluded.lease`

/**
 * Also says that the job had an event just now.
 *
 * @returns false where a newer lease has written: nothing was changed
 */
export async function saveJobMessage(pool: Pool, key: JobMessageKey, message: JobMessage): Promise<boolean> {
  const { sink, channel, source, subject } = key
  const { shown, delivery, lease } = message
  const values = [
    sink,
    channel,
    source,
    subject,
    message.channel,
    message.ts,
    shown.time.toISOString(),
    shown.id,
    delivery,
    lease,
  ]
  const { rowCount } = await pool.query({ name: 'save job message', text: save, values })
  return rowCount === 1
}

// By slack_messages_used.
const deleteUnused = `
delete from gemini_relay.slack_messages where (sink, channel, source, subject) in (
  select sink, channel, source, subject from gemini_relay.slack_messages
  where used_at < statement_timestamp() - $1 * interval '1 millisecond' order by used_at limit $2 for update skip locked
) and used_at < statement_timestamp() - $1 * interval '1 millisecond'`

/** Forgets messages of jobs that had no event for so long, at most `limit`. */
export async function pruneJobMessages(pool: Pool, retentionMs: number, limit: number): Promise<void> {
  await pool.query(deleteUnused, [retentionMs, limit])
}
