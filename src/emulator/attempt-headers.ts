/** The headers of an attempt, rightly and wrongly signed. */
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
