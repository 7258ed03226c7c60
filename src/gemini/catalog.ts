/** The event types that Gemini documents, and what `data` of each may hold. */

const failure = ['id', 'error_code', 'error_message']
// Both names of one fact: `error_count` is in older texts, which call it batch.completed.
const success = ['id', 'output_file_uri', 'error_count']

/** Besides `user_metadata`, which any of them may carry there. */
const fields = {
  'batch.succeeded': success,
  'batch.completed': success,
  'batch.cancelled': ['id'],
  'batch.expired': ['id'],
  'batch.failed': failure,
  'interaction.requires_action': ['id'],
  'interaction.completed': ['id'],
  'interaction.cancelled': ['id'],
  'interaction.failed': failure,
  // older texts: file_id and video_uri
  'video.generated': ['id', 'output_file_uri', 'file_name', 'file_id', 'video_uri'],
} as const satisfies Record<string, readonly string[]>

export type CatalogType = keyof typeof fields

export const catalogTypes: readonly CatalogType[] = Object.keys(fields).filter(isCatalogType)

export function isCatalogType(type: string): type is CatalogType {
  return Object.hasOwn(fields, type)
}

/** The fields that `data` of a type may have. */
export function dataFieldsOf(type: CatalogType): readonly string[] {
  return fields[type]
}

/** What a webhook is tried with. Guessed: what a ping says is documented nowhere. */
export const pingType = 'webhook.ping'
