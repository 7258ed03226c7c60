/** What one event looks like as a Kafka record, in either value format. Pure. */
import { isUtf8 } from 'node:buffer'
import { Kafka as CloudEventsKafka, V1, type CloudEventV1 } from 'cloudevents'
import type { SinkConfigOf } from '../config/schema.ts'
import type { StoredEvent } from '../types.ts'

export interface KafkaRecord {
  key: string | null
  value: Buffer
  headers: Record<string, string>
}

export type KafkaFormat = SinkConfigOf<'kafka'>['format']

/**
 * - `json`: the envelope as received, with `source`, `webhook_id` and `received_at` added.
 * - `cloudevents`: the body as received, the attributes in `ce_*` headers (CloudEvents 1.0, binary mode).
 *
 * What `value` made takes the place of either; it is JSON.
 *
 * Neither sets the record's own timestamp: brokers refuse one far from their clock, and delete by it.
 */
export function buildRecord(format: KafkaFormat, stored: StoredEvent, key: string | null, shaped?: Buffer): KafkaRecord {
  const { event, body } = stored
  const ids = { 'webhook-id': event.webhook_id, 'webhook-source': event.source }
  if (format === 'json')
    return { key, value: shaped ?? jsonValue(stored), headers: { ...ids, 'content-type': 'application/json' } }
  const isOfJson = shaped !== undefined || isJson(event.type, body)
  return { key, value: shaped ?? body, headers: { ...ids, ...cloudEventHeaders(stored, isOfJson) } }
}

/** The text of a key that CEL gave: none for null, JSON for what is neither text nor a number nor a boolean. */
export function recordKey(value: unknown): string | null {
  if (value === null || value === undefined) return null
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** The type of events whose body is no envelope; see the receiver's contract. */
const unrecognized = 'relay.unrecognized'

/**
 * The members are added to the body's bytes: integers beyond 2^53, `1e400000` and any depth of nesting stay what they were.
 * Ours come last, so that they win over members of the same name with the usual parsers.
 */
function jsonValue({ event, body }: StoredEvent): Buffer {
  const { type, source, webhook_id, received_at } = event
  const added = { source, webhook_id, received_at }
  if (!isJsonObject(type, body))
    return Buffer.from(JSON.stringify({ type: unrecognized, ...added, body_base64: body.toString('base64') }))
  // Bytes that are not UTF-8 were read as U+FFFD when the envelope was parsed; a JSON value must not hold them.
  const bytes = isUtf8(body) ? body : Buffer.from(body.toString())
  const members = JSON.stringify(type === unrecognized ? { type, ...added } : added)
  const end = bytes.lastIndexOf('}')
  const separator = lastVisible(bytes, end) === openingBrace ? '' : ','
  return Buffer.concat([bytes.subarray(0, end), Buffer.from(separator + members.slice(1))])
}

/** A body with a type of its own was parsed when the event was accepted: only the others are parsed here. */
function isJsonObject(type: string, body: Buffer): boolean {
  if (type !== unrecognized) return firstVisible(body) === openingBrace
  try {
    const parsed: unknown = JSON.parse(body.toString())
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
  } catch {
    return false
  }
}

const openingBrace = 0x7b
/** JSON's white space: space, tab, line feed, carriage return. */
const blanks = new Set([0x20, 0x09, 0x0a, 0x0d])

function firstVisible(bytes: Buffer): number | undefined {
  let at = 0
  while (blanks.has(bytes[at] ?? 0)) at++
  return bytes[at]
}

/** The last byte before `end` that is no white space. */
function lastVisible(bytes: Buffer, end: number): number | undefined {
  let at = end - 1
  while (blanks.has(bytes[at] ?? 0)) at--
  return bytes[at]
}

/** RFC 3339, the only form that CloudEvents takes for `time`. */
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i

/**
 * A plain object, which is what the binding asks for: the package's class adds half again to the time of a record, and its
 * validation refuses sources and subjects that are no URIs. Without `data`, because the value is the record's own.
 */
function cloudEventHeaders({ event, time }: StoredEvent, isOfJson: boolean): Record<string, string> {
  const { webhook_id, type, source, subject, timestamp } = event
  const exact = timestamp !== null && rfc3339.test(timestamp) && !Number.isNaN(Date.parse(timestamp))
  const cloudEvent: CloudEventV1<undefined> = {
    specversion: V1,
    id: webhook_id,
    type,
    source,
    time: exact ? timestamp : time.toISOString(),
    datacontenttype: isOfJson ? 'application/json' : 'application/octet-stream',
  }
  if (subject !== '') cloudEvent.subject = subject
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(CloudEventsKafka.binary(cloudEvent).headers)) {
    // The binding maps datacontenttype to content-type alone.
    if (name !== 'ce_datacontenttype' && typeof value === 'string') headers[name] = value
  }
  return headers
}

function isJson(type: string, body: Buffer): boolean {
  if (type !== unrecognized) return isUtf8(body)
  try {
    JSON.parse(body.toString())
    return isUtf8(body)
  } catch {
    return false
  }
}
