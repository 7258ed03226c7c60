/** A sender that signs with code the product does not verify with. */
import { randomUUID } from 'node:crypto'
import { Webhook } from 'standardwebhooks'

export const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo='

export interface Sent {
  id?: string
  body?: string | Buffer
  timestamp?: Date
  headers?: Record<string, string>
}

export interface Answer {
  status: number
  body: Record<string, unknown>
  headers: Headers
}

/** An envelope; `data.id` is the subject. */
export function envelope(type: string, data: Record<string, unknown> = {}, timestamp = '2026-11-21T10:00:00Z'): string {
  return JSON.stringify({ type, version: 'v1', timestamp, data: { id: `job_${randomUUID()}`, ...data } })
}

export function signedHeaders(
  { id = `msg_${randomUUID()}`, body = '', timestamp = new Date() }: Sent,
  key = secret,
): Record<string, string> {
  return {
    'content-type': 'application/json',
    'webhook-id': id,
    'webhook-timestamp': String(Math.floor(timestamp.getTime() / 1_000)),
    'webhook-signature': new Webhook(key).sign(id, timestamp, body.toString()),
  }
}

export async function post(url: string, sent: Sent): Promise<Answer> {
  const body = sent.body ?? ''
  const response = await fetch(url, {
    method: 'POST',
    headers: { ...signedHeaders({ ...sent, body }), ...sent.headers },
    body: typeof body === 'string' ? body : new Uint8Array(body),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : JSON.parse(text), headers: response.headers }
}

/** Waits for something to be true, with what it was last in the error. */
export async function eventually<T>(read: () => Promise<T> | T, holds: (value: T) => boolean, limitMs = 15_000): Promise<T> {
  const deadline = Date.now() + limitMs
  for (;;) {
    const value = await read()
    if (holds(value)) return value
    if (Date.now() > deadline) throw new Error(`still not so after ${limitMs} ms: ${JSON.stringify(value)?.slice(0, 2_000)}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
