/** Jobs of one kind, in memory: they run for a while on the emulator's clock and end as planned, or as somebody asks. */
import { randomBytes } from 'node:crypto'
import { ApiError } from './api-error.ts'
import type { Cancel, EmulatedClock } from './clock.ts'

export interface JobError {
  code: string
  message: string
}

/** Who hears of a job's end. */
export interface WebhookConfig {
  /** Instead of the registered webhooks, where there are any. */
  uris: readonly string[]
  userMetadata: Record<string, unknown> | undefined
}

export interface Job<Details, End extends string> {
  id: string
  /** Its place in the list of all: grows. */
  number: number
  details: Details
  webhookConfig: WebhookConfig
  /** Milliseconds since the epoch, on the emulator's clock; so are the others. */
  createdAt: number
  updatedAt: number
  /** Undefined while it runs. */
  end: { how: End; at: number; error: JobError | undefined } | undefined
  /** Deleted: nobody sees it, and it goes on. */
  isHidden: boolean
}

export interface Jobs<Details, End extends string> {
  /** @param plan how it ends, and after how many milliseconds; null: not by itself */
  create: (details: Details, webhookConfig: WebhookConfig, plan: { end: End; afterMs: number | null }) => Job<Details, End>
  /** @throws ApiError NOT_FOUND */
  get: (id: string) => Job<Details, End>
  find: (id: string) => Job<Details, End> | undefined
  /** In the order they were made. */
  list: () => Job<Details, End>[]
  /** Instead of what was planned. Nothing happens to a job that is over. @param at as the clock counts; default: now */
  end: (job: Job<Details, End>, how: End, error?: JobError, at?: number) => void
  hide: (id: string) => void
}

export interface JobsOptions<Details, End extends string> {
  /** As messages call one. */
  noun: string
  clock: EmulatedClock
  ended: (job: Job<Details, End>, how: End, at: number, error: JobError | undefined) => void
}

/** Jobs that are over make room for new ones, the oldest first. */
const maxJobs = 20_000

export function createJobs<Details, End extends string>(options: JobsOptions<Details, End>): Jobs<Details, End> {
  const { noun, clock, ended } = options
  const all = new Map<string, Job<Details, End>>()
  const plans = new Map<string, Cancel>()
  let made = 0

  function makeRoom(): void {
    if (all.size < maxJobs) return
    const over = [...all.values()].filter(({ end }) => end !== undefined).slice(0, maxJobs / 10)
    for (const { id } of over) all.delete(id)
    if (over.length === 0) throw new ApiError('RESOURCE_EXHAUSTED', `There are ${maxJobs} unfinished jobs of this kind.`)
  }

  function finish(job: Job<Details, End>, how: End, at: number, error: JobError | undefined): void {
    plans.get(job.id)?.()
    plans.delete(job.id)
    if (job.end !== undefined) return
    job.end = { how, at, error }
    job.updatedAt = at
    ended(job, how, at, error)
  }

  function find(id: string): Job<Details, End> | undefined {
    const job = all.get(id)
    return job === undefined || job.isHidden ? undefined : job
  }

  function get(id: string): Job<Details, End> {
    const job = find(id)
    if (job === undefined) throw new ApiError('NOT_FOUND', `${noun} ${JSON.stringify(id.slice(0, 100))} was not found.`)
    return job
  }

  function plan(job: Job<Details, End>, how: End, time: number, error?: JobError): void {
    plans.get(job.id)?.()
    const cancel = clock.at(time, (at) => finish(job, how, at, error))
    plans.set(job.id, cancel)
  }

  return {
    create(details, webhookConfig, { end, afterMs }) {
      makeRoom()
      const now = clock.now()
      const id = randomBytes(12).toString('hex')
      const times = { createdAt: now, updatedAt: now }
      const number = (made += 1)
      const job: Job<Details, End> = { id, number, details, webhookConfig, ...times, end: undefined, isHidden: false }
      all.set(id, job)
      if (afterMs !== null) plan(job, end, now + afterMs)
      return job
    },
    get,
    find,
    list: () => [...all.values()].filter(({ isHidden }) => !isHidden),
    end(job, how, error, at) {
      if (at === undefined) finish(job, how, clock.now(), error)
      else if (job.end === undefined) plan(job, how, at, error)
    },
    hide(id) {
      get(id).isHidden = true
    },
  }
}
