/** The Koa application: the HTTP contract, row by row. It listens to nothing by itself; see callback.ts for how it is served. */
import { Router } from '@koa/router'
import Koa from 'koa'
import { Refusal, type RefusalCode } from '../errors.ts'
import type { Log } from '../log.ts'
import { answerRefusals } from './answers.ts'
import type { Readiness } from './readiness.ts'
import { maxHeaders } from './server.ts'
import type { UnverifiedBytes } from './unverified-bytes.ts'
import { receiveWebhook, type WebhookOptions } from './webhook.ts'

export interface AppOptions {
  webhooks: readonly (WebhookOptions & { path: string })[]
  readiness: () => Promise<Readiness>
  /** True once the process is on its way out. */
  draining: () => boolean
  countRefusal: (code: RefusalCode) => void
  log: Log
  /** Of whatever apps the process has. */
  unverified: UnverifiedBytes
}

export function createApp(options: AppOptions): Koa {
  const { webhooks, readiness, draining, countRefusal, log, unverified } = options
  const app = new Koa()
  const router = new Router({ strict: true, sensitive: true })
  const receivers = new Map(webhooks.map(({ path, ...webhook }) => [path, receiveWebhook(webhook, unverified)]))

  for (const [path, receive] of receivers) {
    router.post(path, receive)
    router.all(path, onlyAllow('POST'))
  }
  router.get('/livez', (ctx) => {
    ctx.body = { status: 'alive' }
  })
  router.get('/readyz', async (ctx) => {
    const { ready, ...rest } = await readiness()
    const open = ready && !draining()
    ctx.status = open ? 200 : 503
    if (!open) ctx.set('Retry-After', '5')
    ctx.body = { status: draining() ? 'shutting_down' : ready ? 'ready' : 'not_ready', ...rest }
  })
  for (const path of ['/livez', '/readyz']) router.all(path, onlyAllow('GET, HEAD'))

  app.use(answerRefusals({ draining, log, countRefusal }))
  app.use((ctx, next) => {
    if (ctx.req.rawHeaders.length > 2 * maxHeaders) throw new Refusal('too_many_headers', `more than ${maxHeaders} headers`)
    // A webhook at exactly its path needs no router.
    const receive = ctx.req.method === 'POST' && ctx.req.url !== undefined ? receivers.get(ctx.req.url) : undefined
    return receive === undefined ? next() : receive(ctx, next)
  })
  app.use(router.routes())
  app.use(() => {
    throw new Refusal('not_found', 'nothing is received at this path')
  })
  app.on('error', (error: unknown) => log.debug({ error: String(error) }, 'response error'))
  return app
}

function onlyAllow(methods: string): Koa.Middleware {
  return (ctx) => {
    ctx.set('Allow', methods)
    throw new Refusal('method_not_allowed', `only ${methods} is answered here`)
  }
}
