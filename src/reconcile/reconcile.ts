/** Asks the API which batches have ended, and makes the events that never came. */
import type { PoolClient } from 'pg'
import { keepsOrder, type Config } from '../config/schema.ts'
import { notifyBacklog } from '../deliver/notify.ts'
import { listEndedBatches, type BatchEnd } from '../gemini/batches.ts'
import type { GeminiRest } from '../gemini/rest.ts'
import { readEvent } from '../route/event.ts'
import type { Plan } from '../route/plan.ts'
import type { Pool } from '../store/pool.ts'
import type { JobEnd } from '../route/job-end.ts'
import { endKey, knownEnds, makeEvents, settledEnds, spellingOf, type KnownEnds, type MadeEvent } from './make-events.ts'

export interface ReconcileOptions {
  rest: GeminiRest
  /** Of sessions with `acceptSettings`. */
  pool: Pool
  config: Config
  plan: Plan
  /** Whose events are made. */
  source: string
  /** Batches that ended so long ago at most, in milliseconds; never longer than events are kept. */
  sinceMs: number
  /** Leaves alone what ended so short a time ago, in milliseconds: its webhook is on its way. */
  settledMs?: number
  /** Only tells what would be made. */
  dryRun?: boolean
  /** Told now and then: what is being done, and how far it is. */
  progress?: (line: string) => void
  signal?: AbortSignal
}

export interface Reconciled {
  /** Batches that ended before this are left alone. */
  since: Date
  /** How many batches ended since then. */
  ended: number
  /** Events that were made; that would be, of a dry run. */
  made: number
  /** Ends of which there was an event. */
  there: number
  missing: BatchEnd[]
  /** Batches that are over in a state that we do not know: how many of each. */
  unknownStates: Record<string, number>
  /** Entries of the list that say too little. */
  unreadable: number
}

/** What accept waits for at most: a few milliseconds. */
const chunkSize = 100

/** An event is kept from its receipt on, by another clock than that of the API: nothing is made of what may just have been pruned. */
const clocksMs = 600_000

/** @throws GeminiApiError, RelayError */
export async function reconcile(options: ReconcileOptions): Promise<Reconciled> {
  const { rest, pool, config, source, dryRun = false, progress = () => {}, signal } = options
  const now = Date.now()
  const since = new Date(now - Math.min(options.sinceMs, config.retention.events - clocksMs))
  const until = now - (options.settledMs ?? Number.NEGATIVE_INFINITY)
  const listed = (count: number) => progress(`${count} batches listed`)
  const { ends, unknownStates, unreadable } = await listEndedBatches(rest, {
    listed,
    ...(signal === undefined ? {} : { signal }),
  })
  const ended = uniqueEnds(ends.filter(({ endedAt }) => endedAt >= since && endedAt.getTime() <= until))

  const missing = ended.length === 0 ? [] : missingOf(ended, await withClient(pool, (client) => knownEnds(client, source, since)))
  const made = dryRun ? missing.length : await makeMissing(options, missing, since)
  return { since, ended: ended.length, made, there: ended.length - made, missing, unknownStates, unreadable }
}

function missingOf(ends: readonly BatchEnd[], { keys }: KnownEnds): BatchEnd[] {
  return ends.filter((end) => !keys.has(endKey(jobEnd(end))))
}

async function withClient<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    const result = await work(client)
    client.release()
    return result
  } catch (error) {
    client.release(true)
    throw error
  }
}

/** A list that changes while it is read may hold a batch twice. */
function uniqueEnds(ends: readonly BatchEnd[]): BatchEnd[] {
  return [...new Map(ends.map((end) => [endKey(jobEnd(end)), end])).values()]
}

function jobEnd({ name, type }: BatchEnd): JobEnd {
  return { subject: name, type }
}

async function makeMissing(options: ReconcileOptions, found: readonly BatchEnd[], since: Date): Promise<number> {
  const { pool, config, plan, source, progress, signal } = options
  if (found.length === 0) return 0
  const sinks = new Set<string>()
  const all = await withClient(pool, async (client) => {
    const known = await settledEnds(client, source, since)
    const missing = missingOf(found, known)
    const spelled = await spellingOf(client, source)
    const events = missing.map((end) => madeEvent(end, { source, plan, id: spelled(end.name) })).toSorted(byWebhookId)
    let made = 0
    for (const chunk of chunksOf(events)) {
      signal?.throwIfAborted()
      made += await makeEvents(client, source, chunk, known, {
        holder: '',
        leaseMs: 0,
        horizonMs: (sink) => config.sinks[sink]?.retry.horizon ?? 0,
        ordered: (sink) => keepsOrder(config.sinks[sink]),
        leased: () => false,
      })
      for (const { row } of chunk) for (const { sink } of row.owed) sinks.add(sink)
      progress?.(`${made} events made`)
    }
    return made
  })
  await notifyBacklog(pool, [...sinks])
  return all
}

function byWebhookId({ row: a }: MadeEvent, { row: b }: MadeEvent): number {
  return a.request.webhookId < b.request.webhookId ? -1 : 1
}

/** As its webhook would have told it, with an identity that no other end has. */
function madeEvent(end: BatchEnd, { source, plan, id }: { source: string; plan: Plan; id: string }): MadeEvent {
  const { name, type, endedAt, result } = end
  const json = { type, version: 'v1', timestamp: endedAt.toISOString(), data: { id, ...result } }
  const request = {
    source,
    webhookId: `reconciled:${type}:${name}`,
    scheme: 'reconciled' as const,
    receivedAt: new Date(),
    body: Buffer.from(JSON.stringify(json)),
    json,
  }
  const { event, time } = readEvent(request)
  return { end: jobEnd(end), row: { request, event, time, owed: plan.route(event) } }
}

function chunksOf<T>(all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / chunkSize) }, (_, n) => all.slice(n * chunkSize, (n + 1) * chunkSize))
}
