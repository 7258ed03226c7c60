/**
 * Makes the events of ends of which there is none. Exact beside webhooks that come at the same time: it is done under a lock that keeps
 * accept's look-up of `job_ends` away, so that a webhook was either stored before, and is seen here, or looks afterwards, and sees what was made.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import { commitGroup, type CommitOptions } from '../accept/commit.ts'
import { bareName, endOf, spellingsOf, type JobEnd } from '../route/job-end.ts'
import type { AcceptRow } from '../accept/row.ts'
import { RelayError } from '../errors.ts'
import { int8Array, textArray } from '../store/binary-array.ts'
import { sqlState } from '../store/sqlstate.ts'

/** Whoever accepts ends of batches waits behind the lock, and behind who waits for it; a process that froze with it loses its session. */
const begin = `
begin isolation level read committed;
set local lock_timeout = '200ms';
set local statement_timeout = '2s';
set local idle_in_transaction_session_timeout = '2s'`
const lock = 'lock table gemini_relay.job_ends in exclusive mode'

// All three by events_batch_ends, whose condition this repeats.
const isEnd = `type in ('batch.succeeded', 'batch.completed', 'batch.failed', 'batch.cancelled', 'batch.expired')`

const toldBefore = `
select id, subject, type, received_at from gemini_relay.events where id < $2 and source = $1 and ${isEnd} order by id desc limit $3`

const toldAfter = `
select subject, type from gemini_relay.events where id > $2 and source = $1 and ${isEnd}`

const latestWebhook = `
select subject from gemini_relay.events where source = $1 and scheme <> 'reconciled' and ${isEnd} order by id desc limit 1`

const claim = `
insert into gemini_relay.job_ends (source, subject, type, event_id)
select * from unnest($1::text[], $2::text[], $3::text[], $4::int8[])`

/** How this source's webhooks spell the id of a batch, which is documented nowhere: as the last one did. */
export async function spellingOf(client: ClientBase, source: string): Promise<(name: string) => string> {
  const { rows } = await client.query<{ subject: string }>(latestWebhook, [source])
  const [latest] = rows
  return latest === undefined || latest.subject !== bareName(latest.subject) ? (name) => name : bareName
}

export interface KnownEnds {
  /** Keys of ends of which there is an event: see {@link endKey}. */
  keys: Set<string>
  /** The number of the newest event that was looked at. */
  upTo: string
}

const walkSize = 2_000

/** Numbers grow with time, but for what the clocks of several relays differ, in milliseconds. */
const clocksMs = 3_600_000

/** Of events received since then. Nothing is locked: nearly always nothing is missing. */
export async function knownEnds(client: ClientBase, source: string, since: Date, upTo?: string): Promise<KnownEnds> {
  const keys = new Set<string>()
  const newest = upTo ?? (await newestNumber(client))
  for (let before = String(BigInt(newest) + 1n); ;) {
    const { rows } = await client.query<{ id: string; subject: string; type: string; received_at: Date }>(toldBefore, [
      source,
      before,
      walkSize,
    ])
    addKeys(keys, rows)
    const last = rows.at(-1)
    if (last === undefined || rows.length < walkSize || last.received_at.getTime() < since.getTime() - clocksMs)
      return { keys, upTo: newest }
    before = last.id
  }
}

async function newestNumber(client: ClientBase): Promise<string> {
  const { rows } = await client.query<{ id: string }>('select coalesce(max(id), 0) as id from gemini_relay.events')
  return rows[0]?.id ?? '0'
}

function addKeys(keys: Set<string>, rows: readonly { subject: string; type: string }[]): void {
  for (const end of rows.flatMap((row) => endOf(row) ?? [])) keys.add(endKey(end))
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

/** Runs `work` while no end of a batch is being stored. Those that are stored later have greater numbers than any that is there now. */
async function whileLocked<T>(client: ClientBase, work: () => Promise<T>): Promise<T> {
  for (let left = tries - 1; ; left -= 1) {
    try {
      await client.query(begin)
      await client.query(lock)
      const result = await work()
      await client.query('commit')
      return result
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

/** @returns all that there are: what is stored from now on has a number after `upTo` */
export async function settledEnds(client: ClientBase, source: string, since: Date): Promise<KnownEnds> {
  const upTo = await whileLocked(client, () => newestNumber(client))
  return await knownEnds(client, source, since, upTo)
}

/**
 * @param events of one source, in the order of their webhook-ids, at most some hundred: as long as it takes, others wait
 * @param known ends; what was told meanwhile is added, of all ends and not of these alone
 * @returns how many were made
 */
export async function makeEvents(
  client: ClientBase,
  source: string,
  events: readonly MadeEvent[],
  known: KnownEnds,
  commit: CommitOptions,
): Promise<number> {
  const { made, upTo } = await whileLocked(client, async () => {
    const { rows } = await client.query<{ subject: string; type: string }>(toldAfter, [source, known.upTo])
    addKeys(known.keys, rows)
    const missing = events.filter(({ end }) => !known.keys.has(endKey(end)))
    return { made: await makeMissing(client, missing, commit), upTo: await newestNumber(client) }
  })
  known.upTo = upTo
  return made
}

async function makeMissing(client: ClientBase, missing: readonly MadeEvent[], commit: CommitOptions): Promise<number> {
  if (missing.length === 0) return 0
  const rows = missing.map(({ row }) => row)
  const { eventIds } = await commitGroup(client, rows, commit)
  const claims = missing.flatMap(({ end, row }, n) => {
    const id = eventIds.get(n)
    return id === undefined ? [] : spellingsOf(end).map((spelled) => ({ source: row.request.source, ...spelled, id }))
  })
  await client.query(claim, [
    textArray(claims.map(({ source }) => source)),
    textArray(claims.map(({ subject }) => subject)),
    textArray(claims.map(({ type }) => type)),
    int8Array(claims.map(({ id }) => id)),
  ])
  return eventIds.size
}
