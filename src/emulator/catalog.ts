/** An example of each event type that Gemini documents. */
import { isCatalogType, type CatalogType } from '../gemini/catalog.ts'

export interface Envelope {
  type: string
  version: string
  /** ISO 8601. */
  timestamp: string
  data: Record<string, unknown>
}

type ExampleData = (id: string) => Record<string, unknown>

const failure: ExampleData = (id) => ({ id, error_code: 'INTERNAL', error_message: 'The job failed on our side. Try again.' })
const pointer: ExampleData = (id) => ({ id })

const examples = {
  'batch.succeeded': (id) => ({ id, output_file_uri: `https://generativelanguage.googleapis.com/v1/files/${id}-output` }),
  // the name that older texts give to batch.succeeded
  'batch.completed': (id) => ({
    id,
    output_file_uri: `https://generativelanguage.googleapis.com/v1/files/${id}-output`,
    error_count: 0,
  }),
  'batch.cancelled': pointer,
  'batch.expired': pointer,
  'batch.failed': failure,
  'interaction.requires_action': pointer,
  'interaction.completed': pointer,
  'interaction.cancelled': pointer,
  'interaction.failed': failure,
  'video.generated': (id) => ({
    id,
    output_file_uri: `https://generativelanguage.googleapis.com/v1/files/${id}-video`,
    file_name: `files/${id}-video`,
  }),
} satisfies Record<CatalogType, ExampleData>

export const eventTypes: readonly string[] = Object.keys(examples)

export interface ExampleOptions {
  /** Of the job that the event is about. */
  id: string
  now: Date
  /** Laid over the example's `data`. */
  data?: Record<string, unknown>
  /** Becomes `data.user_metadata`, where it is looked for first. */
  metadata?: Record<string, unknown>
}

/** An envelope as Gemini would send it; a type that is not in the catalog has the job's id for data. */
export function exampleEvent(type: string, { id, now, data = {}, metadata }: ExampleOptions): Envelope {
  const example = isCatalogType(type) ? examples[type] : pointer
  return {
    type,
    version: 'v1',
    timestamp: now.toISOString(),
    data: { ...example(id), ...data, ...(metadata === undefined ? {} : { user_metadata: metadata }) },
  }
}
