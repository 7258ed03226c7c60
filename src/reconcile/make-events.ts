/**
 * Makes the events of ends of which there is none. Exact beside webhooks that come at the same time: it is done under a lock that keeps
 * accept's look-up of `job_ends` away, so that a webhook was either stored before, and is seen here, or looks afterwards, and sees what was made.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import { commitGroup, type CommitOptions } from '../accept/commit.ts'
import { bareName, endOf, type JobEnd } from '../route/job-end.ts'
import type { AcceptRow } from '../accept/row.ts'
import { RelayError } from '../errors.ts'
import { int8Array, textArray } from '../store/binary-array.ts'
import { sqlState } from '../store/sqlstate.ts'

/**
 * Those who accept ends of batches wait behind the lock, and behind who waits for it. Nor may a process that froze with it keep them waiting: its session
 * is ended.
 */
const begin = `begin isolation level read committed; set local lock_timeout = '200ms'; set local idle_in_transaction_session_timeout = '2s'`
const lock = 'lock table gemini_relay.job_ends in exclusive mode'

// By events_batch_ends, whose condition this repeats.
const known = `
select subject, type from gemini_relay.events
where source = $1 and subject = any ($2)
  and type in ('batch.succeeded', 'batch.completed', 'batch.failed', 'batch.cancelled', 'batch.expired')`

const claim = `
insert into gemini_relay.job_ends (source, subject, type, event_id)
select * from unnest($1::text[], $2::text[], $3::text[], $4::int8[])`

// By its number where such events are frequent, by events_batch_ends where they are rare: the planner knows which.
const latestSubject = `
select subject from gemini_relay.events
where source = $1 and scheme <> 'reconciled'
  and type in ('batch.succeeded', 'batch.completed', 'batch.failed', 'batch.cancelled', 'batch.expired')
order by id desc limit 1`

/** How this source's webhooks spell the id of a batch, which is documented nowhere: as the last one did. */
export async function spellingOf(client: ClientBase, source: string): Promise<(name: string) => string> {
  const { rows } = await client.query<{ subject: string }>(latestSubject, [source])
  const [latest] = rows
  return latest === undefined || latest.subject !== bareName(latest.subject) ? (name) => name : bareName
}

/** @returns keys, see {@link endKey}, of those of which there is an event */
export async function knownEnds(client: ClientBase, source: string, ends: readonly JobEnd[]): Promise<Set<string>> {
  const spellings = ends.flatMap(({ subject }) => [subject, bareName(subject)])
  const { rows } = await client.query<{ subject: string; type: string }>(known, [source, spellings])
  return new Set(rows.flatMap((row) => endOf(row) ?? []).map(endKey))
}

export function endKey({ subject, type }: JobEnd): string {
  return `${type} ${subject}`
}

/** An event to make, and the end that it tells. */
export interface MadeEvent {
  end: JobEnd
  row: AcceptRow
}

const tries = 20
const pauseMs = 250

/**
 * @param events of one source, in the order of their webhook-ids, at most some hundred: as long as it takes, others wait
 * @returns how many were made
 */
export async function makeEvents(client: ClientBase, events: readonly MadeEvent[], commit: CommitOptions): Promise<number> {
  for (let left = tries - 1; ; left -= 1) {
    try {
      await client.query(begin)
      await client.query(lock)
      const made = await makeLocked(client, events, commit)
      await client.query('commit')
      return made
    } catch (error) {
      const state = sqlState(error)
      // Locked by somebody else for too long, or a deadlock or serialization failure: nothing was made.
      if (state !== '55P03' && state !== '40P01' && state !== '40001') throw error
      await client.query('rollback')
      if (left === 0)
        throw new RelayError('database_unreachable', 'gemini_relay.job_ends is locked by somebody else', { cause: error })
      await sleep(pauseMs)
    }
  }
}

async function makeLocked(client: ClientBase, events: readonly MadeEvent[], commit: CommitOptions): Promise<number> {
  const [first] = events
  if (first === undefined) return 0
  const { source } = first.row.request
  const there = await knownEnds(
    client,
    source,
    events.map(({ end }) => end),
  )
  const missing = events.filter(({ end }) => !there.has(endKey(end)))
  if (missing.length === 0) return 0
  const { eventIds } = await commitGroup(
    client,
    missing.map(({ row }) => row),
    commit,
  )
  const made = missing.flatMap(({ end }, n) => {
    const id = eventIds.get(n)
    return id === undefined ? [] : { ...end, id }
  })
  await client.query(claim, [
    textArray(made.map(() => source)),
    textArray(made.map(({ subject }) => subject)),
    textArray(made.map(({ type }) => type)),
    int8Array(made.map(({ id }) => id)),
  ])
  return made.length
}
