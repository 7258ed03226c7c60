/**
 * Signs as Gemini does, in each of the three forms. Independent of the verifier on purpose: the two share no line, so that
 * one mistake cannot hide another.
 */
import { randomUUID, sign } from 'node:crypto'
import { SignJWT } from 'jose'
import { Webhook } from 'standardwebhooks'
import type { SigningKey } from './keys.ts'

export interface Message {
  id: string
  timestamp: Date
  body: string | Buffer
}

export type WebhookHeaders = Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>

/**
 * Standard Webhooks v1; one entry per secret, as during a rotation. The library reads bytes as UTF-8, so that a body which
 * is not gets a signature of something else.
 */
export function signHmac(message: Message & { secret: string | readonly string[] }): WebhookHeaders {
  const secrets = typeof message.secret === 'string' ? [message.secret] : message.secret
  const entries = secrets.map((secret) => new Webhook(secret).sign(message.id, message.timestamp, message.body))
  return headers(message, entries.join(' '))
}

/** Standard Webhooks v1a; one entry per key. */
export function signEd25519(message: Message & { key: SigningKey | readonly SigningKey[] }): WebhookHeaders {
  const content = Buffer.concat([Buffer.from(`${message.id}.${seconds(message.timestamp)}.`), Buffer.from(message.body)])
  const entries = [message.key].flat().map((key) => `v1a,${sign(null, content, key.privateKey).toString('base64')}`)
  return headers(message, entries.join(' '))
}

export interface TokenOptions {
  key: SigningKey
  audience?: string
  /** Makes two tokens of one second differ. Default: a random one; null leaves it out. */
  jti?: string | null
  expiresAt?: Date
  notBefore?: Date
  /** Further claims: an envelope (`type`, `data`, …) binds the token to its event. */
  claims?: Record<string, unknown>
}

/** A bare JWT. It binds neither the webhook-id nor, without envelope claims, the body. */
export async function signJwt(message: Message & TokenOptions): Promise<WebhookHeaders> {
  const token = new SignJWT(message.claims ?? {})
    .setProtectedHeader({ alg: message.key.alg, kid: message.key.kid, typ: 'JWT' })
    .setIssuedAt(seconds(message.timestamp))
  if (message.audience !== undefined) token.setAudience(message.audience)
  if (message.jti !== null) token.setJti(message.jti ?? randomUUID())
  if (message.expiresAt !== undefined) token.setExpirationTime(seconds(message.expiresAt))
  if (message.notBefore !== undefined) token.setNotBefore(seconds(message.notBefore))
  return headers(message, await token.sign(message.key.privateKey))
}

function headers({ id, timestamp }: Message, signature: string): WebhookHeaders {
  return { 'webhook-id': id, 'webhook-timestamp': String(seconds(timestamp)), 'webhook-signature': signature }
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1_000)
}
