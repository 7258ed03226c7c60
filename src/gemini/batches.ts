/** Batches that are over, as the API lists them. Interactions cannot be listed: the API has no such call. */
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import type { BatchEndType } from '../route/job-end.ts'
import { GeminiApiError } from './api-error.ts'
import type { GeminiRest } from './rest.ts'

/** How a batch ended, as its webhook would tell it. */
export interface BatchEnd {
  /** `batches/123`. */
  name: string
  type: BatchEndType
  endedAt: Date
  /** Fields of the webhook's `data`, besides `id`. */
  result: Record<string, string>
}

export interface ListedBatches {
  ends: BatchEnd[]
  /** Over, in states that we do not know: how many of each. */
  unknownStates: Record<string, number>
  /** Entries without a name, or ended nobody knows when. */
  unreadable: number
}

export interface ListOptions {
  /** Told after each page: how many batches there were so far. */
  listed?: (count: number) => void
  signal?: AbortSignal
  /** Pause before the second try of a page, in milliseconds; each further one is twice as long. */
  firstPauseMs?: number
}

const pageSchema = z.looseObject({
  operations: z.array(z.unknown()).default([]),
  nextPageToken: z.string().optional(),
})

const time = z.string().transform((text, ctx) => {
  const date = new Date(text)
  if (!Number.isNaN(date.getTime())) return date
  ctx.addIssue('is no time')
  return z.NEVER
})

const batchSchema = z.looseObject({
  name: z.string().regex(/^batches\/[^/]+$/),
  done: z.boolean().default(false),
  metadata: z.looseObject({
    state: z.string(),
    endTime: time.optional(),
    updateTime: time.optional(),
    output: z.looseObject({ responsesFile: z.string().optional() }).optional(),
  }),
  error: z.looseObject({ code: z.number().optional(), message: z.string().optional() }).optional(),
})

type Batch = z.output<typeof batchSchema>

/** A page with its inlined responses may take long. */
const timeoutMs = 30_000

/** Halved at each page that does not come through: a batch can hold 20 MB of responses. */
const usualPageSize = 100

const tries = 6

/** Six tries in about eight seconds: the SDK makes five in seven. */
const usualFirstPauseMs = 250

/** @throws GeminiApiError */
export async function listEndedBatches(rest: GeminiRest, options: ListOptions = {}): Promise<ListedBatches> {
  const listed: ListedBatches = { ends: [], unknownStates: {}, unreadable: 0 }
  const tokens = new Set<string>()
  let count = 0
  const readPage = pageReader(rest, options)
  for (let token = ''; ;) {
    const { operations, nextPageToken = '' } = await readPage(token)
    for (const operation of operations) addBatch(listed, operation)
    count += operations.length
    options.listed?.(count)
    if (nextPageToken === '') return listed
    // A list that leads back to a page that was there would go on for ever.
    if (tokens.has(nextPageToken)) throw oddAnswer('a page that was there before')
    tokens.add(nextPageToken)
    token = nextPageToken
  }
}

const what = 'listing the batches'

function pageReader(rest: GeminiRest, { signal, firstPauseMs = usualFirstPauseMs }: ListOptions) {
  let pageSize = usualPageSize

  async function readOnce(token: string): Promise<z.output<typeof pageSchema>> {
    const query = { pageSize: String(pageSize), ...(token === '' ? {} : { pageToken: token }) }
    const answer = await rest.get('batches', { what, query, timeoutMs, ...(signal === undefined ? {} : { signal }) })
    const { data, error } = pageSchema.safeParse(answer)
    if (error !== undefined) throw oddAnswer('no page of batches', error)
    return data
  }

  return async function read(token: string): Promise<z.output<typeof pageSchema>> {
    for (let pauseMs = firstPauseMs, left = tries - 1; ; pauseMs *= 2, left -= 1) {
      try {
        return await readOnce(token)
      } catch (error) {
        if (left === 0 || signal?.aborted || !(error instanceof GeminiApiError) || error.code !== 'gemini_unavailable')
          throw error
        if (error.status === undefined) pageSize = Math.ceil(pageSize / 2)
        await sleep(pauseMs, undefined, signal === undefined ? {} : { signal })
      }
    }
  }
}

function oddAnswer(instead: string, cause?: unknown): GeminiApiError {
  return new GeminiApiError(`${what}: the Gemini API answered ${instead}`, { cause })
}

const typeOfState: ReadonlyMap<string, BatchEndType> = new Map([
  ['SUCCEEDED', 'batch.succeeded'],
  ['FAILED', 'batch.failed'],
  ['CANCELLED', 'batch.cancelled'],
  ['EXPIRED', 'batch.expired'],
])

function addBatch(listed: ListedBatches, operation: unknown): void {
  const { data: batch } = batchSchema.safeParse(operation)
  if (batch === undefined) {
    listed.unreadable += 1
    return
  }
  const { state, endTime, updateTime } = batch.metadata
  // The API says BATCH_STATE_…, the SDK's type JOB_STATE_….
  const type = typeOfState.get(state.replace(/^(BATCH|JOB)_STATE_/, ''))
  const endedAt = endTime ?? updateTime
  if (type === undefined) {
    if (batch.done) listed.unknownStates[state] = (listed.unknownStates[state] ?? 0) + 1
  } else if (endedAt === undefined) listed.unreadable += 1
  else listed.ends.push({ name: batch.name, type, endedAt, result: resultOf(batch, type) })
}

/** Where webhooks say that files are. */
const filesUrl = 'https://generativelanguage.googleapis.com/v1beta/'

function resultOf({ metadata, error }: Batch, type: BatchEndType): Record<string, string> {
  const file = metadata.output?.responsesFile
  if (type === 'batch.succeeded') return file === undefined ? {} : { output_file_uri: filesUrl + file }
  if (type !== 'batch.failed') return {}
  return { error_code: rpcCodes[error?.code ?? 2] ?? 'UNKNOWN', error_message: error?.message ?? '' }
}

/** Names of google.rpc.Code, by number. */
const rpcCodes =
  'OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE DATA_LOSS UNAUTHENTICATED'.split(
    ' ',
  )
