/** Events for dry runs: an envelope as a sender would post it, read as the receiver would read it. */
import { readEvent } from '../route/event.ts'
import { stringifyJson } from '../sinks/deep-json.ts'
import type { JobResource, Scheme, StoredEvent } from '../types.ts'

export interface DryEvent {
  /** The envelope: `type`, `data` and the rest of a body. */
  body: unknown
  source: string
  webhookId?: string | undefined
  scheme?: Scheme | undefined
  /** `user_metadata` of a JWT's claims. */
  claimsMetadata?: Record<string, unknown> | undefined
  receivedAt?: Date | undefined
}

/** What a rule's deliveries are made from. */
export interface DryInput {
  stored: StoredEvent
  /** What `enrich` would fetch; nothing is fetched in a dry run. */
  resource: JobResource | null
}

/** The same each time, so that what is rendered from it can be compared. */
const usualReceipt = new Date('2026-01-02T03:04:05.678Z')

export function dryEvent({
  body,
  source,
  webhookId = 'msg_dry_run',
  scheme = 'hmac',
  claimsMetadata,
  receivedAt = usualReceipt,
}: DryEvent): StoredEvent {
  const bytes = Buffer.from(typeof body === 'string' ? body : stringifyJson(body))
  const { event, time } = readEvent({
    source,
    webhookId,
    scheme,
    receivedAt,
    json: typeof body === 'string' ? undefined : body,
    ...(claimsMetadata === undefined ? {} : { claimsMetadata }),
  })
  return { id: '0', event, time: time ?? receivedAt, body: bytes }
}
