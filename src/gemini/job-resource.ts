/** From what the API answers to `event.resource`. What it leaves out, or spells otherwise than documented, is null. Pure. */
import { isMap, type JsonMap } from '../json-map.ts'
import type { BatchResource, InteractionResource, JobError, JobResource } from '../types.ts'
import type { JobPointer } from './job-pointer.ts'

/** Characters of a summary: a few lines in a message. */
const maxSummary = 500

const batchEnds = new Set(['succeeded', 'partially_succeeded', 'failed', 'cancelled', 'expired'])
/** `requires_action` and `requires_continuation` go on when somebody acts. */
const interactionEnds = new Set(['completed', 'failed', 'cancelled', 'incomplete', 'budget_exceeded'])

export function readJob(kind: JobPointer['kind'], answer: unknown): JobResource {
  return kind === 'batch' ? readBatch(mapOf(answer)) : readInteraction(mapOf(answer))
}

/** Whether the API will answer the same from now on. */
export function isOver({ kind, state }: JobResource): boolean {
  return state !== null && (kind === 'batch' ? batchEnds : interactionEnds).has(state)
}

/** A long-running operation: the job is its metadata. */
function readBatch(operation: JsonMap): BatchResource {
  const job = mapOf(operation['metadata'])
  const stats = mapOf(job['batchStats'])
  const file = textOf(mapOf(job['output'])['responsesFile']) ?? textOf(mapOf(operation['response'])['responsesFile'])
  return {
    kind: 'batch',
    name: textOf(operation['name']) ?? textOf(job['name']),
    state: stateOf(job['state']),
    display_name: textOf(job['displayName']),
    model: textOf(job['model']),
    counts: {
      total: countOf(stats['requestCount']),
      succeeded: countOf(stats['successfulRequestCount']),
      failed: countOf(stats['failedRequestCount']),
      pending: countOf(stats['pendingRequestCount']),
    },
    output_files: file === null ? [] : [file],
    create_time: textOf(job['createTime']),
    end_time: textOf(job['endTime']),
    error: errorOf(operation['error']),
  }
}

function readInteraction(interaction: JsonMap): InteractionResource {
  const outputs = outputsOf(interaction)
  return {
    kind: 'interaction',
    id: textOf(interaction['id']),
    state: stateOf(interaction['status']),
    model: textOf(interaction['model']),
    agent: textOf(interaction['agent']),
    summary: cut(outputs.flatMap(({ type, text }) => (type === 'text' && typeof text === 'string' ? [text] : [])).join('\n')),
    outputs: outputs.map(withoutData),
    create_time: textOf(interaction['created']),
    update_time: textOf(interaction['updated']),
    error: errorOf(listOf(interaction['errors'])[0]),
  }
}

/** `outputs` where the API still has it (1.x of the SDK reads it), else what the steps of the model put out (2.x and 3.x). */
function outputsOf(interaction: JsonMap): JsonMap[] {
  const blocks = Array.isArray(interaction['outputs']) ? interaction['outputs'] : listOf(interaction['steps']).flatMap(contentOf)
  return blocks.filter(isMap)
}

function contentOf(step: unknown): readonly unknown[] {
  const { type, content } = mapOf(step)
  return type === 'model_output' ? listOf(content) : []
}

/** Images, audio and video are there as base64, megabytes of it. */
function withoutData(block: JsonMap): JsonMap {
  return Object.fromEntries(Object.entries(block).filter(([key]) => key !== 'data'))
}

/** `BATCH_STATE_…` of this API, `JOB_STATE_…` of the SDK; interactions have none of these prefixes. */
function stateOf(value: unknown): string | null {
  return (
    textOf(value)
      ?.toLowerCase()
      .replace(/^(batch|job)_state_/, '') ?? null
  )
}

/** Numbers of 64 bits are strings in the JSON of Google's APIs; those that are 0 are left out. */
function countOf(value: unknown): number {
  const count = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value
  return typeof count === 'number' && Number.isFinite(count) ? count : 0
}

function errorOf(value: unknown): JobError | null {
  if (!isMap(value)) return null
  const { code } = value
  return { code: typeof code === 'number' ? code : textOf(code), message: textOf(value['message']) }
}

/** Between code points. */
function cut(text: string): string {
  // No character takes more than two units: what is looked at is enough, whatever the length of the rest.
  const characters = Array.from(text.slice(0, 2 * maxSummary + 2))
  return characters.length <= maxSummary ? characters.join('') : `${characters.slice(0, maxSummary - 1).join('')}…`
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

function mapOf(value: unknown): JsonMap {
  return isMap(value) ? value : {}
}
