/**
 * The jobs that events point to, each fetched once however many deliveries ask. Within a budget, and without pressing an API that
 * is down. See docs/enrich.md.
 */
import type { GeminiConfig } from '../config/gemini-schema.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { createConceal } from '../sinks/conceal.ts'
import { stringifyJson } from '../sinks/deep-json.ts'
import type { JobResource, RelayEvent } from '../types.ts'
import type { GeminiAccess } from './access.ts'
import { GeminiApiError } from './api-error.ts'
import { createCallBudget } from './call-budget.ts'
import { createJobCache, type Found } from './job-cache.ts'
import { pointerOf, type JobPointer } from './job-pointer.ts'
import { isOver, readJob } from './job-resource.ts'
import { createGeminiRest } from './rest.ts'

export type Fetched = { resource: JobResource | null } | Unavailable

export interface Unavailable {
  /** For the person on call: what happened and what to do. Holds no key. */
  unavailable: string
  /** What the API asked for, if it did, in milliseconds. */
  retryAfterMs?: number | undefined
}

export interface Jobs {
  /** What needs no call: a job that was fetched lately, or null where there is none. Undefined: it has to be fetched. */
  known: (event: RelayEvent) => JobResource | null | undefined
  /** Never throws. */
  fetch: (event: RelayEvent) => Promise<Fetched>
  /** Longest that one call may take, in milliseconds. */
  timeoutMs: number
  stop: () => void
}

export interface JobsOptions {
  access: GeminiAccess
  config: GeminiConfig['enrich']
  log: Log
  limits?: { maxEntries: number; maxBytes: number }
}

interface Outage {
  failure: Unavailable
  until: number
  /** The API said how long. */
  isAsked: boolean
}

const noBudget: Unavailable = { unavailable: 'the budget of calls to the Gemini API (gemini.enrich.budget) is used up' }

/** A job that is over stays as it is. */
const overMs = 3_600_000
/** One that runs on changes; one that is not there may come. */
const runningMs = 2_000
/** Jobs take 1 or 2 KB each, but for those with long outputs. */
const defaultLimits = { maxEntries: 1_000, maxBytes: 16 * 1_048_576 }

/** A failure answers for so long. */
const failureMs = 1_000
/** The API's own wish is honoured up to this: it is asked for texts, which nobody waits an hour for. */
const longestPauseMs = 60_000
/** So many failures in a row are the API's, not a job's. */
const downAfter = 3
/** Calls at once: an answer can hold 32 MB. */
const maxCalls = 8

export function createJobs({ access, config, log, limits = defaultLimits }: JobsOptions): Jobs {
  const now = () => performance.now()
  const rest = createGeminiRest(access)
  const conceal = createConceal([access.apiKey])
  const cache = createJobCache({ ...limits, now })
  const budget = createCallBudget({ rate: config.budget, maxCalls, now })
  const calls = new Map<string, Promise<Found | Unavailable>>()
  /** Of one job each; all within `failureMs`. */
  const failures = new Map<string, { failure: Unavailable; until: number }>()
  /** Of the API as a whole. */
  let outage: Outage | undefined
  let failuresInARow = 0
  let asking = 0
  const stopping = new AbortController()

  function remembered(path: string): Unavailable | undefined {
    for (const [old, { until }] of failures) {
      if (until > now()) break
      failures.delete(old)
    }
    // When that is forgotten one call asks whether the API is back, and the others need not wait for its timeout.
    if (outage !== undefined && (outage.until > now() || (isDown() && asking > 0))) return outage.failure
    return failures.get(path)?.failure
  }

  function isDown(): boolean {
    return failuresInARow >= downAfter
  }

  async function call({ kind, path }: JobPointer): Promise<Found | Unavailable> {
    if (!(await budget.take(config.timeout))) return remembered(path) ?? noBudget
    try {
      // While this one waited, another may have found the API down.
      return remembered(path) ?? (await ask(kind, path))
    } finally {
      budget.done()
    }
  }

  async function ask(kind: JobPointer['kind'], path: string): Promise<Found | Unavailable> {
    const asOf = Date.now()
    asking += 1
    try {
      const answer = await rest.get(path, { what: path, timeoutMs: config.timeout, signal: stopping.signal })
      const resource = readJob(kind, answer)
      answered()
      const found = { resource, asOf: isOver(resource) ? Infinity : asOf }
      cache.set(path, found, isOver(resource) ? overMs : runningMs, stringifyJson(resource).length)
      return found
    } catch (error) {
      if (!(error instanceof GeminiApiError)) throw error
      if (error.status !== 404) return failed(path, error)
      answered()
      const found = { resource: null, asOf }
      cache.set(path, found, runningMs, 0)
      return found
    } finally {
      asking -= 1
    }
  }

  function answered(): void {
    if (isDown()) log.info('the Gemini API answers again')
    failuresInARow = 0
    // One that was sent before a 429 says nothing of the time after it.
    if (outage?.isAsked !== true) outage = undefined
  }

  function failed(path: string, error: GeminiApiError): Unavailable {
    const failure = { unavailable: conceal(whole(error)), retryAfterMs: pauseMs(error) }
    const until = now() + Math.max(failureMs, failure.retryAfterMs ?? 0)
    failures.delete(path)
    failures.set(path, { failure, until: now() + failureMs })
    if (!isOfTheApi(error) || stopping.signal.aborted) return failure
    failuresInARow += 1
    if (failuresInARow === downAfter)
      log.warn({ error: failure.unavailable }, 'the Gemini API cannot be had: jobs are not fetched')
    if (isDown() || error.status === 429) outage = { failure, until, isAsked: error.status === 429 }
    return failure
  }

  function share(pointer: JobPointer): Promise<Found | Unavailable> {
    const { path } = pointer
    const failure = remembered(path)
    if (failure !== undefined) return Promise.resolve(failure)
    const shared =
      calls.get(path) ??
      call(pointer)
        .catch(unexpected)
        .finally(() => calls.delete(path))
    calls.set(path, shared)
    return shared
  }

  function unexpected(error: unknown): Unavailable {
    log.error({ error: messageOf(error) }, 'unexpected: a job could not be read')
    return { unavailable: `unexpected: ${messageOf(error)}` }
  }

  return {
    timeoutMs: config.timeout,
    known(event) {
      const pointer = pointerOf(event)
      if (pointer === undefined) return null
      const found = cache.get(pointer.path)
      return found !== undefined && isOfNow(found, event) ? found.resource : undefined
    },
    async fetch(event) {
      const pointer = pointerOf(event)
      if (pointer === undefined) return { resource: null }
      const joined = calls.get(pointer.path)
      const found = await (joined ?? share(pointer))
      // The call that was under way may show the job as it was before this event.
      return joined === undefined || 'unavailable' in found || isOfNow(found, event) ? found : share(pointer)
    },
    stop() {
      stopping.abort()
      budget.stop()
    },
  }
}

/** A job that runs on is shown only to events that were there when the API was asked. */
function isOfNow({ asOf }: Found, { received_at }: RelayEvent): boolean {
  return asOf >= Date.parse(received_at)
}

/** What an answer about one job does not say. */
function isOfTheApi({ status }: GeminiApiError): boolean {
  return status === undefined || status === 401 || status === 408 || status === 429 || status >= 500
}

function pauseMs({ retryAfterMs }: GeminiApiError): number | undefined {
  return retryAfterMs === undefined ? undefined : Math.min(retryAfterMs, longestPauseMs)
}

function whole({ message, hint }: GeminiApiError): string {
  return hint === undefined ? message : `${message} (${hint})`
}
