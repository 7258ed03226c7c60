/** The end of a batch that an event tells: what a webhook and a reconciled event may both tell, each spelled in its own way. */
import type { RelayEvent } from '../types.ts'

/** Two events with the same source and the same of these are about the same end. */
export interface JobEnd {
  /** `batches/…`, however the event spells it. */
  subject: string
  type: BatchEndType
}

export const batchEndTypes = ['batch.succeeded', 'batch.failed', 'batch.cancelled', 'batch.expired'] as const
export type BatchEndType = (typeof batchEndTypes)[number]

/** Gemini's texts have two names for one of them. */
const endOfType: ReadonlyMap<string, BatchEndType> = new Map([
  ...batchEndTypes.map((type) => [type, type] as const),
  ['batch.completed', 'batch.succeeded'],
])

export function tellsEnd({ type }: Pick<RelayEvent, 'type'>): boolean {
  return endOfType.has(type)
}

const prefix = 'batches/'

/** @returns undefined for an event that tells no such end */
export function endOf({ type, subject }: Pick<RelayEvent, 'type' | 'subject'>): JobEnd | undefined {
  const end = endOfType.get(type)
  return end === undefined ? undefined : { type: end, subject: fullName(subject) }
}

/** Of a batch, from either of its spellings. */
export function fullName(subject: string): string {
  return subject.startsWith(prefix) ? subject : prefix + subject
}

export function bareName(subject: string): string {
  return subject.startsWith(prefix) ? subject.slice(prefix.length) : subject
}

/** Every way in which an event may tell this end. */
export function spellingsOf({ subject, type }: JobEnd): { subject: string; type: string }[] {
  const types = [...endOfType].flatMap(([spelled, end]) => (end === type ? [spelled] : []))
  return [subject, bareName(subject)].flatMap((spelled) => types.map((one) => ({ subject: spelled, type: one })))
}
