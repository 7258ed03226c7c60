import type { RelayEvent } from '../types.ts'

/** What CEL is told about each field of `event`; also the names that patterns and texts may use. */
export const eventFieldTypes = {
  type: 'string',
  version: 'dyn', // string or null
  timestamp: 'dyn', // string or null
  data: 'dyn',
  subject: 'string',
  source: 'string',
  webhook_id: 'string',
  scheme: 'string',
  user_metadata: 'map<string, dyn>',
  received_at: 'string',
} as const satisfies Record<keyof RelayEvent, string>

/** What texts, keys and columns see besides: the job, fetched for a target with `enrich`. */
export const resourceField = 'resource'

export const resourceTooLate = '`event.resource` is fetched for a delivery, after rules have decided which ones there are'

export const eventFields: readonly string[] = Object.keys(eventFieldTypes)

export function isEventField(name: string): name is keyof RelayEvent {
  return Object.hasOwn(eventFieldTypes, name)
}
