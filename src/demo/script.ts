/** What the demo sends: every type of the catalog by each scheme, and what a receiver has to get right besides. */
import { randomUUID } from 'node:crypto'
import { eventTypes, exampleEvent } from '../emulator/catalog.ts'
import type { SigningKey } from '../emulator/keys.ts'
import { signEd25519, signHmac, signJwt, type WebhookHeaders } from '../emulator/sign.ts'
import type { SigningScheme } from '../types.ts'

export interface Credentials {
  secret: string
  ed25519: SigningKey
  rsa: SigningKey
  audience: string
}

export interface Shipment {
  /** What is odd about it, if anything. */
  note: string
  type: string
  scheme: SigningScheme
  subject: string
  webhookId: string
  headers: WebhookHeaders
  body: string
  expected: { status: number; answer: string }
}

const received = { status: 200, answer: 'received' }
const staleByMs = 10 * 60_000

export async function writeScript(credentials: Credentials): Promise<Shipment[]> {
  const shipments: Shipment[] = []
  for (const scheme of ['hmac', 'ed25519', 'jwt'] as const) {
    for (const type of eventTypes) shipments.push(await ship(credentials, { type, scheme }))
  }
  const high = { job_group: 'nightly-eval', priority: 'high' }
  shipments.push(
    await ship(credentials, {
      type: 'batch.completed',
      scheme: 'hmac',
      note: 'user_metadata',
      metadata: high,
      data: { error_count: 12 },
    }),
  )
  const original = await ship(credentials, { type: 'batch.succeeded', scheme: 'hmac', note: 'sent twice' })
  shipments.push(original, { ...original, note: 'duplicate', expected: { status: 200, answer: 'duplicate' } })
  const genuine = await ship(credentials, { type: 'batch.failed', scheme: 'hmac', note: 'tampered' })
  shipments.push({
    ...genuine,
    body: genuine.body.replace('batch.failed', 'batch.succeeded'),
    expected: { status: 400, answer: 'signature_mismatch' },
  })
  const stale = await ship(credentials, {
    type: 'batch.failed',
    scheme: 'hmac',
    note: 'stale',
    sentAt: new Date(Date.now() - staleByMs),
  })
  shipments.push({ ...stale, expected: { status: 400, answer: 'stale_timestamp' } })
  shipments.push(await ship(credentials, { type: 'cache.expired', scheme: 'hmac', note: 'unknown type' }))
  return shipments
}

export interface ShipOptions {
  type: string
  scheme: SigningScheme
  note?: string
  data?: Record<string, unknown>
  metadata?: Record<string, unknown>
  sentAt?: Date
}

export async function ship(
  credentials: Credentials,
  { type, scheme, note = '', data, metadata, sentAt = new Date() }: ShipOptions,
): Promise<Shipment> {
  const subject = `${type.split('.')[0] ?? 'job'}_${randomUUID().slice(0, 6)}`
  const event = exampleEvent(type, { id: subject, now: sentAt, ...(data ? { data } : {}), ...(metadata ? { metadata } : {}) })
  const message = { id: `msg_${randomUUID().replaceAll('-', '').slice(0, 20)}`, timestamp: sentAt, body: JSON.stringify(event) }
  const headers = await sign(credentials, scheme, message)
  return { note, type, scheme, subject, webhookId: message.id, headers, body: message.body, expected: received }
}

async function sign(
  { secret, ed25519, rsa, audience }: Credentials,
  scheme: SigningScheme,
  message: { id: string; timestamp: Date; body: string },
): Promise<WebhookHeaders> {
  if (scheme === 'hmac') return signHmac({ ...message, secret })
  if (scheme === 'ed25519') return signEd25519({ ...message, key: ed25519 })
  return await signJwt({ ...message, key: rsa, audience })
}
