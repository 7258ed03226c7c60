/** One signed request. */
import { messageOf } from '../errors.ts'
import type { Delivery } from './delivery.ts'
import type { KeyRing } from './key-ring.ts'
import type { Settings } from './settings.ts'
import { signEd25519, signHmac, signJwt, type WebhookHeaders } from './sign.ts'

/** Who signs it: the secrets of a webhook, newest first, or Gemini's own keys. */
export type Signer = { kind: 'secrets'; secrets: readonly string[] } | { kind: 'keys'; keys: KeyRing; settings: Settings }

/** Real time: the receiver compares it with its own clock, whatever the emulator's shows. */
export async function signDelivery({ id, body, claims }: Delivery, signer: Signer, timestamp: Date): Promise<WebhookHeaders> {
  const message = { id, timestamp, body }
  if (signer.kind === 'secrets') return signHmac({ ...message, secret: signer.secrets })
  const { keys, settings } = signer
  if (settings.dynamicScheme === 'ed25519') return signEd25519({ ...message, key: keys.ed25519() })
  return await signJwt({ ...message, key: keys.rsa(), audience: settings.audience, claims })
}

/** A signature of the right form, over something else. */
export async function signWrongly(delivery: Delivery, signer: Signer, timestamp: Date): Promise<WebhookHeaders> {
  const headers = await signDelivery({ ...delivery, body: `${delivery.body} ` }, signer, timestamp)
  if (!headers['webhook-signature'].startsWith('ey')) return headers
  // A JWT does not cover the body: another first letter of its signature makes it wrong.
  const cut = headers['webhook-signature'].lastIndexOf('.') + 1
  const [head, first, rest] = [0, cut, cut + 1].map((from, n, all) => headers['webhook-signature'].slice(from, all[n + 1]))
  return { ...headers, 'webhook-signature': `${head}${first === 'A' ? 'B' : 'A'}${rest}` }
}

export interface PostResult {
  /** Only a 2xx is one. */
  isTaken: boolean
  status: number | undefined
  /** The status, or why there was no answer. */
  told: string
  retryAfterSeconds: number | undefined
}

/** A redirect is an answer like any other, and is not followed. */
export async function post(uri: string, body: string, headers: WebhookHeaders, signal: AbortSignal): Promise<PostResult> {
  try {
    const response = await fetch(uri, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body,
      redirect: 'manual',
      signal,
    })
    await response.body?.cancel()
    const { status, ok } = response
    return { isTaken: ok, status, told: String(status), retryAfterSeconds: secondsOf(response.headers.get('retry-after')) }
  } catch (error) {
    return unanswered(reasonOf(error))
  }
}

export function unanswered(reason: string): PostResult {
  return { isTaken: false, status: undefined, told: reason, retryAfterSeconds: undefined }
}

function secondsOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : undefined
}

/** `fetch failed` says nothing; its cause does. */
function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === 'TimeoutError') return 'timeout'
  return messageOf(error instanceof Error && error.cause !== undefined ? error.cause : error)
}
