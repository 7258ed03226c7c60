/** The webhook handler: bytes in, a durable event and an answer out. It knows nothing of rules or sinks. */
import type { Middleware } from 'koa'
import type { Acceptor } from '../accept/acceptor.ts'
import { Refusal } from '../errors.ts'
import type { VerifiedRequest } from '../types.ts'
import type { Verifier } from '../verify/verifier.ts'
import { holdFor, readBody } from './body.ts'
import type { UnverifiedBytes } from './unverified-bytes.ts'

export interface WebhookOptions {
  source: string
  verifier: Verifier
  acceptor: Acceptor
  bodyLimitBytes: number
}

export function receiveWebhook(
  { source, verifier, acceptor, bodyLimitBytes }: WebhookOptions,
  unverified: UnverifiedBytes,
): Middleware {
  return async (ctx) => {
    const encoding = ctx.req.headers['content-encoding']
    if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
      throw new Refusal('unsupported_encoding', 'send the body without a content-encoding')
    }
    const hold = holdFor(ctx.req, bodyLimitBytes, unverified)
    let verified: VerifiedRequest
    try {
      const body = await readBody(ctx.req, bodyLimitBytes, hold)
      const verifying = verifier.verify({ source, ...webhookHeaders(ctx.req.rawHeaders), body, receivedAt: new Date() })
      // An HMAC is verified by now; awaiting it would cost a turn of the microtask queue.
      verified = verifying instanceof Promise ? await verifying : verifying
    } finally {
      hold.release()
    }
    ctx.body = { status: await acceptor.accept(verified) }
  }
}

interface WebhookHeaders {
  webhookId: string[]
  webhookTimestamp: string[]
  webhookSignature: string[]
}

/** Every value of each, so that one that comes twice is seen as such. Node's own `headersDistinct` does all headers. */
function webhookHeaders(rawHeaders: readonly string[]): WebhookHeaders {
  const found: WebhookHeaders = { webhookId: [], webhookTimestamp: [], webhookSignature: [] }
  for (let n = 0; n < rawHeaders.length; n += 2) {
    const name = rawHeaders[n] ?? ''
    // By length first: most headers are none of the three, and need not be lowercased.
    if (name.length !== 10 && name.length !== 17) continue
    const list = listOf[name.toLowerCase()]
    if (list !== undefined) found[list].push(rawHeaders[n + 1] ?? '')
  }
  return found
}

const listOf: Readonly<Record<string, keyof WebhookHeaders | undefined>> = {
  'webhook-id': 'webhookId',
  'webhook-timestamp': 'webhookTimestamp',
  'webhook-signature': 'webhookSignature',
}
