/** The webhook handler: bytes in, a durable event and an answer out. It knows nothing of rules or sinks. */
import type { Middleware } from 'koa'
import type { Acceptor } from '../accept/acceptor.ts'
import { Refusal } from '../errors.ts'
import type { Verifier } from '../verify/verifier.ts'
import { readBody } from './body.ts'

export interface WebhookOptions {
  source: string
  verifier: Verifier
  acceptor: Acceptor
  bodyLimitBytes: number
}

export function receiveWebhook({ source, verifier, acceptor, bodyLimitBytes }: WebhookOptions): Middleware {
  return async (ctx) => {
    const encoding = ctx.req.headers['content-encoding']
    if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') {
      throw new Refusal('unsupported_encoding', 'send the body without a content-encoding')
    }
    const body = await readBody(ctx.req, bodyLimitBytes)
    // Every value of a header, so that one that comes twice is seen as such.
    const headers = ctx.req.headersDistinct
    const verified = await verifier.verify({
      source,
      webhookId: headers['webhook-id'] ?? [],
      webhookTimestamp: headers['webhook-timestamp'] ?? [],
      webhookSignature: headers['webhook-signature'] ?? [],
      body,
      receivedAt: new Date(),
    })
    ctx.body = { status: await acceptor.accept(verified) }
  }
}
