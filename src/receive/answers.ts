/** Turns what was thrown into the receiver's answer: JSON `{error, code}`, nothing about keys, no stack. */
import type { IncomingMessage } from 'node:http'
import type { Context, Middleware } from 'koa'
import { Refusal, messageOf, type RefusalCode } from '../errors.ts'
import type { Log } from '../log.ts'

/** Seconds after which the sender may come back, by what is missing. */
const retryAfterSeconds: Partial<Record<RefusalCode, number>> = {
  queue_full: 1, // drains in a fraction of a second
  overloaded: 5, // slow senders hold what they hold for up to 15 s, all others for less than one
  database_unavailable: 5, // a restart of Postgres
  shutting_down: 5, // the next instance
  keys_unavailable: 30, // the JWKS is asked again at most so often
  internal: 30,
}

/** After these the rest of the request is not read, so the connection cannot be used again. */
const closing: ReadonlySet<RefusalCode> = new Set(['body_too_large', 'overloaded', 'shutting_down'])

export interface AnswerOptions {
  /** True once the process is on its way out. */
  draining: () => boolean
  countRefusal: (code: RefusalCode) => void
  log: Log
}

export function answerRefusals({ draining, countRefusal, log }: AnswerOptions): Middleware {
  return async (ctx, next) => {
    try {
      checkHttp(ctx.req)
      if (draining() && ctx.method === 'POST') throw new Refusal('shutting_down', 'this instance is shutting down')
      await next()
    } catch (error) {
      // The sender went away: nobody is left to answer.
      if (ctx.req.destroyed && !ctx.req.complete)
        return log.debug({ error: messageOf(error) }, 'the sender closed the connection')
      const refusal = error instanceof Refusal ? error : unexpected(error, log)
      countRefusal(refusal.code)
      if (refusal.code === 'token_reused') {
        log.warn(
          { path: ctx.path },
          'a JWT came with a second webhook-id and was refused; dynamic.unbound_jwt: accept lets tokens without an event in their claims pass',
        )
      }
      answer(ctx, refusal)
    }
    // A keep-alive connection would hold up the exit for as long as its owner likes. Asked last: draining may have begun
    // while this request was under way.
    if (draining()) ctx.set('Connection', 'close')
  }
}

/** What Node's parser lets pass, and HTTP does not (RFC 9112, 2.3 and 3.2). */
function checkHttp({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion === '1.1' && headers.host === undefined) throw new Refusal('malformed_request', 'the request names no host')
  if (httpVersion !== '1.1' && httpVersion !== '1.0') throw new Refusal('malformed_request', 'this is not HTTP/1.1')
}

function unexpected(error: unknown, log: Log): Refusal {
  // `POST http://[bad/`: Koa looks for the path and the URL parser throws. Anybody can send that, so it is no error of ours.
  if (error instanceof TypeError && 'code' in error && error.code === 'ERR_INVALID_URL')
    return new Refusal('not_found', 'nothing is received at this path')
  log.error(
    { error: messageOf(error), stack: error instanceof Error ? error.stack : undefined },
    'unexpected error while receiving',
  )
  return new Refusal('internal', 'the event could not be taken, send it again')
}

function answer(ctx: Context, { status, code, message }: Refusal): void {
  ctx.status = status
  ctx.body = { error: message, code }
  const seconds = retryAfterSeconds[code]
  if (seconds !== undefined) ctx.set('Retry-After', String(seconds))
  if (closing.has(code)) ctx.set('Connection', 'close')
}
