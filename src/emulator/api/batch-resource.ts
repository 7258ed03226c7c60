/** Batches as the API takes and shows them: each is a long-running operation. */
import { ApiError } from '../api-error.ts'
import { batchName, outputFile, usualError, type Batch, type BatchDetails } from '../batches.ts'
import type { WebhookConfig } from '../jobs.ts'
import { snakeCased, type Fields } from './body.ts'
import { parseWebhookConfig, recordField, textField } from './job-input.ts'
import { isoTime } from './webhook-resource.ts'

export interface BatchInput {
  details: BatchDetails
  webhookConfig: WebhookConfig
}

/** Of a file: nobody uploaded one here, so that its lines cannot be counted. */
const requestsInFile = 10

/** As the SDK and the reference have it: everything under `batch`. */
export function parseBatch(model: string, body: Fields): BatchInput {
  const batch = snakeCased(recordField(snakeCased(body), 'batch'))
  const input = snakeCased(recordField(batch, 'input_config'))
  const inputFile = textField(input, 'file_name')
  const inline = snakeCased(recordField(input, 'requests')).requests
  return batchInput(model, textField(batch, 'display_name'), inputFile ?? inline, batch.webhook_config)
}

/** As the guide's curl has it: `src`, and the rest under `config`. */
export function parseGuideBatch(model: string, body: Fields): BatchInput {
  const { src } = body
  const config = snakeCased(recordField(body, 'config'))
  return batchInput(model, textField(config, 'display_name'), src, config.webhook_config)
}

function batchInput(model: string, displayName: string | undefined, source: unknown, webhookConfig: unknown): BatchInput {
  const isFile = typeof source === 'string' && source !== ''
  if (!isFile && (!Array.isArray(source) || source.length === 0))
    throw new ApiError('INVALID_ARGUMENT', 'A batch needs requests, or the name of a file that holds them.')
  const requests = isFile ? requestsInFile : source.length
  const details = { model: `models/${model}`, displayName, inputFile: isFile ? source : undefined, requests }
  return { details, webhookConfig: parseWebhookConfig(webhookConfig) }
}

const states = {
  succeeded: 'BATCH_STATE_SUCCEEDED',
  failed: 'BATCH_STATE_FAILED',
  cancelled: 'BATCH_STATE_CANCELLED',
  expired: 'BATCH_STATE_EXPIRED',
} as const

/** Guessed: how long a batch is pending before it runs, in milliseconds. */
const pendingMs = 1_000

/** @param now on the emulator's clock */
export function batchResource(batch: Batch, now: number): Fields {
  const { details, createdAt, updatedAt, end } = batch
  const output = end?.how === 'succeeded' ? outputOf(batch) : undefined
  const started = now >= createdAt + pendingMs ? 'BATCH_STATE_RUNNING' : 'BATCH_STATE_PENDING'
  const name = batchName(batch)
  return {
    name,
    metadata: {
      '@type': 'type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatch',
      name,
      model: details.model,
      ...(details.displayName === undefined ? {} : { displayName: details.displayName }),
      ...(details.inputFile === undefined ? {} : { inputConfig: { fileName: details.inputFile } }),
      createTime: isoTime(createdAt),
      updateTime: isoTime(updatedAt),
      ...(end === undefined ? {} : { endTime: isoTime(end.at) }),
      state: end === undefined ? started : states[end.how],
      batchStats: statsOf(batch),
      ...(output === undefined ? {} : { output }),
    },
    ...(end === undefined ? {} : { done: true }),
    ...(output === undefined ? {} : { response: { '@type': outputType, ...output } }),
    ...(end === undefined || end.how === 'succeeded' ? {} : { error: errorOf(end) }),
  }
}

const outputType = 'type.googleapis.com/google.ai.generativelanguage.v1main.GenerateContentBatchOutput'

function outputOf(batch: Batch): Fields {
  const { inputFile, requests } = batch.details
  if (inputFile !== undefined) return { responsesFile: outputFile(batch) }
  const answer = { content: { role: 'model', parts: [{ text: 'An answer of the emulator.' }] }, finishReason: 'STOP' }
  const responses = Array.from({ length: requests }, () => ({ response: { candidates: [answer] } }))
  return { inlinedResponses: { inlinedResponses: responses } }
}

/** Numbers of 64 bits are strings in the JSON of Google's APIs; those that are 0 are left out. */
function statsOf({ details: { requests }, end }: Batch): Fields {
  const successful = end?.how === 'succeeded' ? requests : 0
  const failed = end?.how === 'failed' ? requests : 0
  const counts = {
    requestCount: requests,
    successfulRequestCount: successful,
    failedRequestCount: failed,
    pendingRequestCount: requests - successful - failed,
  }
  const told = Object.entries(counts).filter(([, count]) => count > 0)
  return Object.fromEntries(told.map(([name, count]) => [name, String(count)]))
}

/** Codes of google.rpc.Code. */
function errorOf({ how, error = usualError }: NonNullable<Batch['end']>): Fields {
  if (how === 'cancelled') return { code: 1, message: 'The batch was cancelled.' }
  if (how === 'expired') return { code: 4, message: 'The batch was not finished in 24 hours.' }
  return { code: 13, message: error.message }
}
