/** The emulator's HTTP side: the API under both versions, the published keys, and the paths that steer it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Router } from '@koa/router'
import Koa from 'koa'
import { messageOf } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { ApiError, errorBody } from '../api-error.ts'
import type { Faults } from '../faults.ts'
import { checkApiKey } from './api-key.ts'
import { addBatchRoutes } from './batch-routes.ts'
import { addInteractionRoutes } from './interaction-routes.ts'
import { addSteeringRoutes, onlyJson, type SteeringRoutes } from './steering-routes.ts'
import { addWebhookRoutes } from './webhook-routes.ts'

export interface AppOptions extends SteeringRoutes {
  /** The only one that is accepted; undefined: any. */
  apiKey: string | undefined
  log: Log
}

/** The SDK's 3.x speaks `v1`, 1.x and 2.x speak `v1beta`. */
const versions = ['v1', 'v1beta'] as const

export const jwksPath = '/.well-known/jwks.json'

export function createApp(options: AppOptions): Koa {
  const { apiKey, keys, faults, log } = options
  const app = new Koa()
  app.use(logCalls(log))
  app.use(answerErrors(log))
  for (const version of versions) {
    const router = new Router({ prefix: `/${version}`, strict: true, sensitive: true })
    router.use(checkApiKey(apiKey), misbehave(faults))
    addWebhookRoutes(router, options)
    addBatchRoutes(router, options)
    addInteractionRoutes(router, options)
    app.use(router.routes())
  }
  const steering = new Router({ prefix: '/emulator', sensitive: true })
  steering.use(...(apiKey === undefined ? [] : [checkApiKey(apiKey)]), onlyJson)
  addSteeringRoutes(steering, options)
  app.use(steering.routes())
  const router = new Router({ strict: true, sensitive: true })
  router.get(jwksPath, (ctx) => {
    ctx.set('cache-control', 'public, max-age=3600')
    ctx.body = { keys: keys.published() }
  })
  app.use(router.routes())
  app.use(() => {
    throw new ApiError('NOT_FOUND', 'Requested entity was not found.')
  })
  app.on('error', (error: unknown) => log.debug({ error: messageOf(error) }, 'response error'))
  return app
}

/** Without the query, which may hold a key. */
function logCalls(log: Log): Koa.Middleware {
  return async (ctx, next) => {
    const started = performance.now()
    await next()
    const { method, path, status } = ctx
    log.info({ method, path, status, ms: Math.round(performance.now() - started) }, 'call')
  }
}

function answerErrors(log: Log): Koa.Middleware {
  return async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      // Who called has gone: nobody is left to answer.
      if (ctx.req.destroyed && !ctx.req.complete)
        return log.debug({ error: messageOf(error) }, 'the caller closed the connection')
      const answer = error instanceof ApiError ? error : unexpected(error, log)
      ctx.status = answer.status
      ctx.body = errorBody(answer)
    }
  }
}

function unexpected(error: unknown, log: Log): ApiError {
  // `GET http://[bad/`: Koa looks for the path and the URL parser throws.
  if (error instanceof TypeError && 'code' in error && error.code === 'ERR_INVALID_URL')
    return new ApiError('NOT_FOUND', 'Requested entity was not found.')
  log.error({ error: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, 'unexpected error')
  return new ApiError('INTERNAL', 'Internal error encountered.')
}

function misbehave(faults: Faults): Koa.Middleware {
  return async (ctx, next) => {
    const fault = faults.forCall(ctx.path)
    if (fault?.kind !== 'api_error') await next()
    if (fault?.kind === 'api_slow') await sleep(fault.ms ?? usualSlowMs)
    if (fault?.kind === 'api_error' || fault?.kind === 'api_lost')
      throw new ApiError('UNAVAILABLE', 'The service is currently unavailable.', { status: fault.status ?? 503 })
  }
}

const usualSlowMs = 5_000
