/** Which job of the API an event points to. Its subject is data of the sender: what is no id of a job points to nothing. Pure. */
import type { RelayEvent } from '../types.ts'

export interface JobPointer {
  kind: 'batch' | 'interaction'
  /** Under the version of the API. */
  path: string
}

const collections = { batch: 'batches/', interaction: 'interactions/' } as const

/** Those seen are letters, digits, `-` and `_`. One segment of a path, never `..`; a subject is cut at 512 bytes, so a longer id is none. */
const jobId = /^[A-Za-z0-9_-][A-Za-z0-9._~=-]{0,255}$/

/** The form of `data.id` is documented nowhere: bare, or with its collection in front. */
export function pointerOf({ type, subject }: Pick<RelayEvent, 'type' | 'subject'>): JobPointer | undefined {
  const kind = kindOf(type)
  if (kind === undefined) return undefined
  const collection = collections[kind]
  const id = subject.startsWith(collection) ? subject.slice(collection.length) : subject
  return jobId.test(id) ? { kind, path: `${collection}${encodeURIComponent(id)}` } : undefined
}

function kindOf(type: string): JobPointer['kind'] | undefined {
  if (type.startsWith('batch.')) return 'batch'
  return type.startsWith('interaction.') ? 'interaction' : undefined
}
