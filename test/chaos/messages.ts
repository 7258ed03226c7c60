/** What the senders send, and where each of it has to end up: written down once, without the relay's code. */
import { createHash } from 'node:crypto'
import type { Random } from './random.ts'

export type MessageKind = keyof typeof kinds

/** By what a sender proves itself; see signing.ts. */
export type MessageScheme = 'hmac' | 'ed25519' | 'jwt'

/** Most senders have a secret; a JWT costs a signature of RSA. */
const drawnSchemes: readonly [MessageScheme, ...MessageScheme[]] = [
  'hmac',
  'hmac',
  'hmac',
  'hmac',
  'hmac',
  'hmac',
  'hmac',
  'ed25519',
  'ed25519',
  'jwt',
]

export interface Message {
  /** The webhook-id. */
  id: string
  kind: MessageKind
  scheme: MessageScheme
  type: string
  subject: string
  /** Of the envelope, milliseconds since the epoch; null where the body is no envelope. */
  time: number | null
  note: string
  body: Buffer
  /** SHA-256 of the body, in hex. */
  digest: string
}

/** One delivery that a message has to become. */
export interface Expected {
  rule: string
  sink: string
  state: 'delivered' | 'dead'
  /** Of a dead one. */
  code?: string
}

/** Which optional sinks are part of the run. */
export interface Sinks {
  kafka: boolean
}

/** Shares of 100. `odd` has text that is hard to carry; `unreadable` is no envelope at all. */
const kinds = {
  plain: { share: 45, type: 'batch.succeeded' },
  odd: { share: 15, type: 'interaction.completed' },
  alert: { share: 10, type: 'batch.failed' },
  counted: { share: 8, type: 'batch.expired' },
  uncountable: { share: 6, type: 'batch.expired' },
  refused: { share: 6, type: 'batch.cancelled' },
  unreadable: { share: 10, type: 'relay.unrecognized' },
} as const

/** Several events are about one job; some jobs have more than others, but none so many that an ordered sink cannot follow. */
const subjects = { count: 1_000, skew: 1.3 }

/** The rest of a body of about 1 KB. */
const paddingBytes = 700

/** Some events come later than younger ones of their job. */
const lateness = { share: 0.1, maxMs: 60_000 }

export interface MessageFactory {
  next(): Message
}

/** @param run keeps the ids of two runs apart */
export function createMessages(random: Random, run: string): MessageFactory {
  let number = 0
  return {
    next() {
      const n = number++
      const id = `msg_${run}_${String(n).padStart(7, '0')}`
      const kind = drawKind(random)
      const scheme = random.pick(drawnSchemes)
      const { type } = kinds[kind]
      if (kind === 'unreadable') {
        const body = unreadableBody(random, id)
        return { id, kind, scheme, type, subject: id, time: null, note: '', body, digest: digestOf(body) }
      }
      const subject = `batches/${run}-${Math.floor(random.next() ** subjects.skew * subjects.count)}`
      const time = Date.now() - (random.next() < lateness.share ? random.between(1, lateness.maxMs) : 0)
      const note = noteOf(kind, random)
      const count = kind === 'uncountable' ? 'many' : 11
      const data = { id: subject, note, count, padding: 'p'.repeat(random.between(1, paddingBytes * 2)) }
      const body = Buffer.from(JSON.stringify({ type, version: 'v1', timestamp: new Date(time).toISOString(), data }))
      return { id, kind, scheme, type, subject, time, note, body, digest: digestOf(body) }
    },
  }
}

function drawKind(random: Random): MessageKind {
  let left = random.next() * 100
  for (const [kind, { share }] of entries) {
    left -= share
    if (left < 0) return kind
  }
  return 'plain'
}

const entries = Object.entries(kinds).filter((entry): entry is [MessageKind, (typeof kinds)[MessageKind]] => entry[0] in kinds)

const oddTexts = [
  '\u0000',
  '😀',
  '\\u0000',
  '"quoted"',
  "O'Brien; drop table",
  '\u2028',
  '<!channel>',
  '{{ event }}',
  '\ud800',
  '\t\r\n',
  'é',
  '$1',
]

function noteOf(kind: MessageKind, random: Random): string {
  if (kind === 'odd')
    return Array.from({ length: random.between(1, 6) }, () => oddTexts[random.between(0, oddTexts.length - 1)]).join('')
  if (kind === 'alert') return `quota <exceeded> & "over" 😀 ${random.between(0, 99)}`
  return `note ${random.between(0, 99)}`
}

/** Each body is another: two events that are mixed up show. */
function unreadableBody(random: Random, id: string): Buffer {
  const tail = Buffer.from(` ${id}`)
  const odd = random.pick([
    Buffer.from([0xff, 0xfe, 0x00, 0x80, 0xc3, 0x28]),
    Buffer.from('not JSON at all'),
    Buffer.from('{"type":"batch.failed"'),
    Buffer.from('\ufeff{"type":'),
    Buffer.from('[1e400000,"\\u0000","\\ud800"]'),
    Buffer.from('['.repeat(2_000)),
  ])
  return Buffer.concat([odd, tail])
}

export function digestOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** The rules of config.ts, once more and by hand: what the oracle holds the relay to. */
export function expectedOf({ kind, type }: Message, { kafka }: Sinks): Expected[] {
  const delivered = (rule: string, sink: string): Expected => ({ rule, sink, state: 'delivered' })
  return [
    delivered('everything', 'forward'),
    delivered('everything', 'seen'),
    delivered('everything', 'mirror'),
    ...(kafka ? [delivered('everything', 'stream')] : []),
    delivered('everything', 'ordered'),
    // Where the configuration had the guest when the message was stored: see `guestOf`.
    ...(type.startsWith('batch.') ? [delivered('jobs', 'state'), delivered('guest', 'guest')] : []),
    ...(kind === 'alert' ? [delivered('alerts', 'ops')] : []),
    ...(kind === 'counted' ? [delivered('counted', 'forward')] : []),
    ...(kind === 'uncountable' ? [{ rule: 'counted', sink: 'forward', state: 'dead', code: 'condition_error' } as const] : []),
    ...(kind === 'refused' ? [{ rule: 'refused', sink: 'refuser', state: 'dead', code: 'rejected' } as const] : []),
  ]
}

/** What has to arrive of a message at a sink, in the words in which the sink's end notes it. */
export function payloadOf(message: Message, sink: string): string {
  if (sink === 'ops') return slackText(message)
  if (sink === 'seen' || sink === 'mirror' || sink === 'state')
    return rowText(message.type, message.subject, postgresText(message.note))
  return message.digest
}

export function rowText(type: string, subject: string, note: string | null): string {
  return JSON.stringify([type, subject, note ?? ''])
}

/** Slack's escapes, so that a note cannot write `<!channel>`. */
function slackText({ type, subject, note }: Message): string {
  return `${type} ${subject} ${note.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')}`
}

/** A text column takes neither NUL nor half a surrogate pair: U+FFFD stands for both. */
function postgresText(text: string): string {
  return Buffer.from(text).toString().replaceAll('\0', '\uFFFD')
}
