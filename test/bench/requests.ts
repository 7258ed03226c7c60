/** Signed requests as the bytes that go over the wire. Signs with code of its own; each webhook-id is sent once. */
import { createHmac, randomBytes, sign, type KeyObject } from 'node:crypto'

export type Scheme = 'hmac' | 'ed25519' | 'jwt'

export interface RequestOptions {
  port: number
  scheme: Scheme
  /** Of HMAC: `whsec_…`. */
  secret: string
  /** Of Ed25519 and RS256. */
  keys: { ed25519?: KeyObject; rs256?: { kid: string; key: KeyObject } }
  audience: string
  bodyBytes: number
}

export const path = '/webhooks/gemini'

/** The body is an envelope of `batch.succeeded` about a job of its own, padded to the length that was asked for. */
export function createRequests(options: RequestOptions): () => Buffer {
  const key = Buffer.from(options.secret.replace(/^whsec_/, ''), 'base64')
  const run = randomBytes(6).toString('hex')
  let number = 0

  return () => {
    const id = `msg_${run}_${(number++).toString().padStart(9, '0')}`
    const now = new Date()
    const seconds = Math.floor(now.getTime() / 1_000).toString()
    const body = bodyOf(`batches/${run}${number}`, now, options.bodyBytes)
    const signature = signatureOf(options, key, id, seconds, body)
    return Buffer.from(
      `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${options.port}\r\nUser-Agent: bench\r\nAccept: */*\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n` +
        `webhook-id: ${id}\r\nwebhook-timestamp: ${seconds}\r\nwebhook-signature: ${signature}\r\n\r\n${body}`,
      'latin1',
    )
  }
}

/** ASCII only, so that its length is its bytes. */
function bodyOf(job: string, now: Date, bytes: number): string {
  const head = `{"type":"batch.succeeded","version":"v1","timestamp":"${now.toISOString()}","data":{"id":"${job}","output_file_uri":"https://generativelanguage.googleapis.com/v1/files/`
  return `${head}${'f'.repeat(Math.max(1, bytes - head.length - 3))}"}}`
}

function signatureOf({ scheme, keys, audience }: RequestOptions, key: Buffer, id: string, seconds: string, body: string): string {
  if (scheme === 'hmac') return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`
  if (scheme === 'ed25519') {
    if (keys.ed25519 === undefined) throw new Error('no Ed25519 key')
    return `v1a,${sign(null, Buffer.from(`${id}.${seconds}.${body}`), keys.ed25519).toString('base64')}`
  }
  if (keys.rs256 === undefined) throw new Error('no RS256 key')
  const header = base64url({ alg: 'RS256', kid: keys.rs256.kid, typ: 'JWT' })
  const content = `${header}.${base64url({ aud: audience, iat: Number(seconds), jti: id })}`
  return `${content}.${sign('sha256', Buffer.from(content), keys.rs256.key).toString('base64url')}`
}

function base64url(json: unknown): string {
  return Buffer.from(JSON.stringify(json)).toString('base64url')
}
