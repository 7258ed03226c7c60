/** Retention: old events go, with their deliveries and attempts, in small batches; never one that is still owed. */
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { int8Array } from './binary-array.ts'
import type { Pool } from './pool.ts'
import { pruneJobMessages } from './slack-messages.ts'
import { inTransaction } from './transaction.ts'

/** Small enough that no other statement waits for its locks noticeably. */
const batchSize = 500
const pauseMs = 20
const everyMs = 10 * 60_000

/** A token is verified with a minute of leeway after `exp`; its use is kept an hour beyond. */
const deleteTokens = `
delete from gemini_relay.token_uses where (source, digest) in (
  select source, digest from gemini_relay.token_uses where expires_at < statement_timestamp() - interval '1 hour' order by expires_at limit $1)`

// A probe an event, by delivery_rows_event: for an anti join the planner reads all rows.
const owed = `(select count(*) from gemini_relay.delivery_rows d where d.event_id = e.id and d.state in ('pending', 'leased'))`

// In the order of their numbers, which is that of their arrival but for the clocks of several processes: no index on time is
// kept for the one reader of old events, at a tenth of what accepting costs Postgres.
const nextEvents = `
select id, received_at < statement_timestamp() - $2 * interval '1 millisecond' as old
from gemini_relay.events where id > $1 order by id limit $3`

const lockOld = `
select e.id from gemini_relay.events e
where e.id = any ($1::int8[])
  and ${owed} = 0
  and e.id < coalesce((select min(events[1]) from gemini_relay.delivery_groups), e.id + 1)
for update of e skip locked`

// Asked again under the lock: a replay may have made new deliveries in between.
const deleteLocked = `
with gone as (
  delete from gemini_relay.events e where e.id = any ($1::int8[])
    and ${owed} = 0
  returning id
), their_deliveries as (
  delete from gemini_relay.delivery_rows where event_id in (select id from gone)
), their_ends as (
  delete from gemini_relay.job_ends where event_id in (select id from gone)
)
select id from gone`

export interface Pruned {
  /** How many went, at most one batch. */
  events: number
  /** The number to go on after; undefined where nothing old is left behind it. */
  next: string | undefined
}

/** @param after the event number to begin after */
export async function pruneBatch(pool: Pool, retentionMs: number, after = '0'): Promise<Pruned> {
  await pool.query(deleteTokens, [batchSize])
  await pruneJobMessages(pool, retentionMs, batchSize)
  const { rows } = await pool.query<{ id: string; old: boolean }>(nextEvents, [after, retentionMs, batchSize])
  const old = rows.filter((row) => row.old)
  if (old.length === 0) return { events: 0, next: undefined }
  return { events: await deleteEvents(pool, old), next: rows.at(-1)?.id }
}

function deleteEvents(pool: Pool, events: readonly { id: string }[]): Promise<number> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string }>(lockOld, [int8Array(events.map(({ id }) => id))])
    const { rowCount } = await client.query(deleteLocked, [int8Array(rows.map(({ id }) => id))])
    return rowCount ?? 0
  })
}

export interface Pruner {
  start(): void
  stop(): Promise<void>
}

export function createPruner({ pool, retentionMs, log }: { pool: Pool; retentionMs: () => number; log: Log }): Pruner {
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> = Promise.resolve()
  const stop = new AbortController()
  const stopping = stop.signal

  async function prune(): Promise<void> {
    let events = 0
    try {
      for (let after: string | undefined = '0'; after !== undefined && !stopping.aborted;) {
        const pruned: Pruned = await pruneBatch(pool, retentionMs(), after)
        events += pruned.events
        after = pruned.next
        await sleep(pauseMs)
      }
      if (events > 0) log.info({ events }, 'pruned events past their retention')
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'pruning failed: next try in ten minutes')
    }
    if (stopping.aborted) return
    timer = setTimeout(() => {
      running = prune()
    }, everyMs)
    timer.unref()
  }

  return {
    start() {
      running = prune()
    },
    async stop() {
      stop.abort()
      clearTimeout(timer)
      await running
    },
  }
}
