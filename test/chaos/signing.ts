/** Signs as Gemini does, in each of the three forms. No line of it is the relay's, nor the relay's emulator's. */
import { createHmac, generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto'
import type { JWK } from 'jose'
import type { MessageScheme } from './messages.ts'

export interface SigningKeys {
  /** `whsec_…`. */
  secret: string
  ed25519: KeyObject
  rs256: KeyObject
}

/** The part of a sender that signs; `stranger` has keys that nobody trusts. */
export interface Signer {
  keys: SigningKeys
  stranger: SigningKeys
  audience: string
}

export function createSigner(): Signer & { published: readonly JWK[] } {
  const [ours, strangers] = [pairs(), pairs()]
  const jwk = (key: KeyObject, more: Record<string, string>) => ({ ...key.export({ format: 'jwk' }), use: 'sig', ...more })
  return {
    keys: { secret: newSecret(), ed25519: ours.ed25519.privateKey, rs256: ours.rs256.privateKey },
    stranger: { secret: newSecret(), ed25519: strangers.ed25519.privateKey, rs256: strangers.rs256.privateKey },
    audience: 'chaos',
    published: [
      jwk(ours.ed25519.publicKey, { kid: 'chaos-ed25519', alg: 'EdDSA' }),
      jwk(ours.rs256.publicKey, { kid: 'chaos-rs256', alg: 'RS256' }),
    ],
  }
}

function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`
}

function pairs() {
  return { ed25519: generateKeyPairSync('ed25519'), rs256: generateKeyPairSync('rsa', { modulusLength: 2_048 }) }
}

export type WebhookHeaders = Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>

/** @param token makes two tokens of one message differ */
export function signed(
  { id, body, scheme, atMs, token = '' }: { id: string; body: Buffer; scheme: MessageScheme; atMs: number; token?: string },
  keys: SigningKeys,
  audience: string,
): WebhookHeaders {
  const seconds = String(Math.floor(atMs / 1_000))
  return { 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': signature() }

  function signature(): string {
    const content = Buffer.concat([Buffer.from(`${id}.${seconds}.`), body])
    switch (scheme) {
      case 'hmac':
        return `v1,${createHmac('sha256', Buffer.from(keys.secret.replace('whsec_', ''), 'base64'))
          .update(content)
          .digest('base64')}`
      case 'ed25519':
        return `v1a,${sign(null, content, keys.ed25519).toString('base64')}`
      case 'jwt': {
        const claims = { aud: audience, iat: Number(seconds), exp: Number(seconds) + 600, jti: `${id} ${token}` }
        const head = `${base64url({ alg: 'RS256', kid: 'chaos-rs256', typ: 'JWT' })}.${base64url(claims)}`
        return `${head}.${sign('sha256', Buffer.from(head), keys.rs256).toString('base64url')}`
      }
      default:
        return scheme satisfies never
    }
  }
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
