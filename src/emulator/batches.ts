/** Batches: what they are asked for, how they end, what their end says. */
import type { EmulatedClock } from './clock.ts'
import { createJobs, type Job, type JobError, type Jobs } from './jobs.ts'
import type { Sender } from './sender.ts'
import type { BatchEnd, JobPlan, Settings } from './settings.ts'

export interface BatchDetails {
  /** `models/…`. */
  model: string
  displayName: string | undefined
  /** `files/…`; undefined: the requests came with the call. */
  inputFile: string | undefined
  requests: number
}

export type Batch = Job<BatchDetails, BatchEnd>
export type Batches = Jobs<BatchDetails, BatchEnd>

/** Documented: what is not finished by then expires. */
const horizonMs = 86_400_000

export interface BatchesOptions {
  clock: EmulatedClock
  sender: Sender
  settings: () => Settings
}

export function createBatches({ clock, sender, settings }: BatchesOptions): Batches {
  return createJobs({
    noun: 'Batch',
    clock,
    ended(batch, how, at, error) {
      const { uris, userMetadata } = batch.webhookConfig
      const id = settings().batchIds === 'name' ? batchName(batch) : batch.id
      sender.emit({ type: `batch.${how}`, at, data: { id, ...resultOf(batch, how, error) }, userMetadata }, uris)
    },
  })
}

export function batchName({ id }: Batch): string {
  return `batches/${id}`
}

/** Of a batch that succeeded and had its requests in a file. */
export function outputFile({ id }: Batch): string {
  return `files/batch-${id}`
}

export function planOfBatch({ end, durationMs }: JobPlan<BatchEnd>): { end: BatchEnd; afterMs: number | null } {
  return durationMs === null || durationMs > horizonMs ? { end: 'expired', afterMs: horizonMs } : { end, afterMs: durationMs }
}

export const usualError: JobError = { code: 'INTERNAL', message: 'The job failed on our side. Try again.' }

function resultOf(batch: Batch, how: BatchEnd, error: JobError = usualError): Record<string, unknown> {
  if (how === 'failed') return { error_code: error.code, error_message: error.message }
  if (how !== 'succeeded' || batch.details.inputFile === undefined) return {}
  return { output_file_uri: `https://generativelanguage.googleapis.com/v1beta/${outputFile(batch)}` }
}
