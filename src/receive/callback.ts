/**
 * The lean response path: stands in for `app.callback()`. Application, context and middleware are Koa's, and so is what
 * `ctx.status`, `ctx.body` and `ctx.set` mean; only the two ends of Koa's own are left out, which cost a quarter of what a bare
 * Koa can do: `on-finished` on every request, and a `respond` for every kind of body. What they did is owed here:
 *
 * - an error that no middleware caught is answered by `ctx.onerror`, as ever, and reaches the app's `error` listeners;
 * - a client that went away is not answered; whoever reads its body hears of it there (see body.ts);
 * - a body that is a stream is destroyed when the client goes away, and its failure reaches the `error` listeners.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline, Readable } from 'node:stream'
import type Koa from 'koa'
import compose from 'koa-compose'

/** @param app with all its middleware: what is used later is not seen */
export function createCallback(app: Koa): (request: IncomingMessage, response: ServerResponse) => void {
  const handle = compose(app.middleware)
  return (request, response) => {
    const ctx = app.createContext(request, response)
    response.statusCode = 404
    handle(ctx).then(
      () => respond(ctx),
      (error: Error) => ctx.onerror(error),
    )
  }
}

/** Statuses whose answers have neither body nor Content-Length. */
const bodiless: ReadonlySet<number> = new Set([204, 205, 304])

function respond(ctx: Koa.Context): void {
  const { res: response } = ctx
  if (ctx.respond === false || response.writableEnded || response.destroyed) return
  try {
    const { body } = ctx
    if (body instanceof Readable) return void pipeline(body, response, (error) => error && ctx.onerror(error))
    if (bodiless.has(ctx.status)) return void response.end()
    if (body === null || body === undefined) ctx.type = 'text'
    const content = body ?? ctx.message
    const payload = typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content)
    response.setHeader('Content-Length', Buffer.byteLength(payload))
    response.end(payload) // for a HEAD Node leaves it out
  } catch (error) {
    ctx.onerror(error instanceof Error ? error : new Error(String(error)))
  }
}
