import { Refusal } from '../errors.ts'
import type { UnverifiedRequest } from '../types.ts'

/** How far a request's timestamp may be from our clock, in seconds, both ways: what Standard Webhooks says. */
const toleranceSeconds = 300

/** It becomes part of a key in Postgres and of a header of Kafka records and requests. */
const idShape = /^[\x21-\x7e]{1,256}$/

/** Integer seconds; twelve digits last for 30,000 years. */
const timestampShape = /^\d{1,12}$/

/** The three headers, well-formed and fresh, and not yet believed. */
export interface WebhookHeaders {
  id: string
  /** As received: these digits are what was signed. */
  timestamp: string
  signature: string
}

/** @throws Refusal `missing_header`, `malformed_header`, `stale_timestamp` */
export function readHeaders(request: UnverifiedRequest, nowMs: number): WebhookHeaders {
  const id = only('webhook-id', request.webhookId)
  const timestamp = only('webhook-timestamp', request.webhookTimestamp)
  const signature = only('webhook-signature', request.webhookSignature)
  if (!idShape.test(id)) throw new Refusal('malformed_header', 'webhook-id must be 1 to 256 visible ASCII characters')
  if (!timestampShape.test(timestamp)) throw new Refusal('malformed_header', 'webhook-timestamp must be integer unix seconds')
  const age = Math.floor(nowMs / 1_000) - Number(timestamp)
  if (Math.abs(age) > toleranceSeconds) {
    throw new Refusal('stale_timestamp', `webhook-timestamp is more than ${toleranceSeconds} s away from this clock`)
  }
  return { id, timestamp, signature }
}

function only(header: string, values: readonly string[]): string {
  if (values.length > 1) throw new Refusal('malformed_header', `${header} came more than once`)
  const value = values[0]
  if (value === undefined || value === '') throw new Refusal('missing_header', `${header} is missing`)
  return value
}
