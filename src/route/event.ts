/** From stored bytes to the event that rules, expressions and texts see. Pure. */
import { isMap, type JsonMap } from '../json-map.ts'
import type { RelayEvent, Scheme } from '../types.ts'

/** The type of what is no envelope: a body that is no JSON object, or whose `type` is missing, empty or no text. */
export const unrecognizedType = 'relay.unrecognized'

/** `type` and `subject` are indexed columns: a btree entry holds about 2,700 bytes, and no real one is near this. */
const maxColumnBytes = 512

export interface ReceivedBytes {
  source: string
  webhookId: string
  scheme: Scheme
  receivedAt: Date
  /** The parsed body, undefined when it is not JSON: see verify/json.ts. */
  json: unknown
  /** `user_metadata` of a JWT's claims. */
  claimsMetadata?: Record<string, unknown>
}

export interface ReadEvent {
  event: RelayEvent
  /** The envelope's timestamp where it is a date that Postgres can hold, else null. */
  time: Date | null
}

/** Reads an event out of what was received, whatever that is: every authenticated request is an event. */
export function readEvent(received: ReceivedBytes): ReadEvent {
  const envelope = isMap(received.json) ? received.json : {}
  const data = own(envelope, 'data') ?? null
  const timestamp = textOrNull(own(envelope, 'timestamp'))
  return {
    event: {
      type: columnText(textOrNull(own(envelope, 'type'))) ?? unrecognizedType,
      version: textOrNull(own(envelope, 'version')),
      timestamp,
      data,
      subject: subjectOf(data) ?? received.webhookId,
      source: received.source,
      webhook_id: received.webhookId,
      scheme: received.scheme,
      user_metadata: metadataOf(data, envelope, received.claimsMetadata),
      received_at: isoOf(received.receivedAt),
    },
    time: timestamp === null ? null : dateOf(timestamp),
  }
}

function subjectOf(data: unknown): string | undefined {
  if (!isMap(data)) return undefined
  return columnText(own(data, 'id')) ?? columnText(own(data, 'file_id'))
}

/** Its place in the body is documented nowhere: the likeliest first. */
function metadataOf(data: unknown, envelope: JsonMap, claims: JsonMap | undefined): JsonMap {
  const inData = isMap(data) ? own(data, 'user_metadata') : undefined
  if (isMap(inData)) return inData
  const onTop = own(envelope, 'user_metadata')
  return isMap(onTop) ? onTop : (claims ?? {})
}

/**
 * A text that a Postgres column takes: no NUL, no lone surrogate (U+FFFD instead), cut to 512 bytes of UTF-8 between
 * characters. Numbers count as their digits. Undefined when nothing is left.
 */
function columnText(value: unknown): string | undefined {
  const text = typeof value === 'number' && Number.isFinite(value) ? String(value) : value
  if (typeof text !== 'string') return undefined
  if (text.length <= maxColumnBytes && isAscii(text) && !text.includes('\0')) return text === '' ? undefined : text
  const bytes = Buffer.from(text.replaceAll('\0', ''), 'utf8')
  let end = Math.min(bytes.length, maxColumnBytes)
  while (isContinuation(bytes[end])) end -= 1
  return end === 0 ? undefined : bytes.toString('utf8', 0, end)
}

function isAscii(text: string): boolean {
  return Buffer.byteLength(text) === text.length
}

/** Whether a byte of UTF-8 belongs to the character before it. */
function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

const isoDate = /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?$/i

/** Years 1 and 10000 in milliseconds: outside of them dates have other spellings in Postgres, ISO 8601 and CEL. */
const [earliestMs, latestMs] = [Date.parse('0001-01-01T00:00:00Z'), Date.parse('+010000-01-01T00:00:00Z')]

/** The usual spelling: nothing to make up, and a day that every month has. */
const usualDate = /^\d{4}-\d{2}-(?:[01]\d|2[0-8])T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?Z$/

/** ISO 8601; without an offset it is UTC, on whatever machine this runs. */
function dateOf(text: string): Date | null {
  const ms = usualDate.test(text) ? Date.parse(text) : anyDateMs(text)
  return ms >= earliestMs && ms < latestMs ? new Date(ms) : null
}

function anyDateMs(text: string): number {
  const [, year, month, day, minutes = '00:00', seconds = ':00', offset = 'Z'] = isoDate.exec(text) ?? []
  if (year === undefined || month === undefined || day === undefined) return Number.NaN
  if (Number(day) > daysIn(Number(year), Number(month))) return Number.NaN // Date would go on into the next month
  const zone = offset.toUpperCase().replace(/^(...)(\d\d)$/, '$1:$2')
  return Date.parse(`${year}-${month}-${day}T${minutes}${seconds}${zone}`)
}

function daysIn(year: number, month: number): number {
  // The Gregorian calendar repeats every 400 years, and Date.UTC reads years below 100 as 19xx.
  return new Date(Date.UTC(2000 + (year % 400), month, 0)).getUTCDate()
}

let latest = { ms: Number.NaN, iso: '' }

/** Under load many events come in one millisecond, and writing one down takes longer than the rest of its reading. */
function isoOf(date: Date): string {
  const ms = date.getTime()
  if (ms !== latest.ms) latest = { ms, iso: date.toISOString() }
  return latest.iso
}

function own(map: JsonMap, key: string): unknown {
  return Object.hasOwn(map, key) ? map[key] : undefined
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
