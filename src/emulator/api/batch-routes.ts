/** Batches: a model is asked for them, and they are looked after by their own name. */
import type { Router } from '@koa/router'
import type { Context } from 'koa'
import { planOfBatch, type Batches } from '../batches.ts'
import type { EmulatedClock } from '../clock.ts'
import { batchEnds, type Settings } from '../settings.ts'
import { batchResource, parseBatch, parseGuideBatch, type BatchInput } from './batch-resource.ts'
import { readFields } from './body.ts'
import { planFor } from './job-input.ts'
import { cutPage } from './page.ts'
import { paramOf, queryOf } from './query.ts'

export interface BatchRoutes {
  batches: Batches
  settings: () => Settings
  clock: EmulatedClock
}

export function addBatchRoutes(router: Router, { batches, settings, clock }: BatchRoutes): void {
  function start(ctx: Context, { details, webhookConfig }: BatchInput): void {
    const plan = planOfBatch(planFor(ctx, batchEnds, settings().batch))
    const batch = batches.create(details, webhookConfig, plan)
    ctx.body = batchResource(batch, batch.createdAt)
  }

  router.post('/models/:model\\:batchGenerateContent', async (ctx) => {
    start(ctx, parseBatch(paramOf(ctx, 'model'), await readFields(ctx.req)))
  })

  router.post('/models/:model\\:batchCreate', async (ctx) => {
    start(ctx, parseGuideBatch(paramOf(ctx, 'model'), await readFields(ctx.req)))
  })

  router.get('/batches', (ctx) => {
    const query = { size: queryOf(ctx, 'page_size'), token: queryOf(ctx, 'page_token') }
    const { items, nextToken } = cutPage(batches.list(), ({ number }) => number, query)
    const now = clock.now()
    ctx.body = {
      ...(items.length === 0 ? {} : { operations: items.map((batch) => batchResource(batch, now)) }),
      ...(nextToken === undefined ? {} : { nextPageToken: nextToken }),
    }
  })

  router.get('/batches/:id', (ctx) => {
    ctx.body = batchResource(batches.get(paramOf(ctx, 'id')), clock.now())
  })

  // Documented of long-running operations: an effort to cancel, which does nothing to one that is over.
  router.post('/batches/:id\\:cancel', (ctx) => {
    batches.end(batches.get(paramOf(ctx, 'id')), 'cancelled')
    ctx.body = {}
  })

  // Documented likewise: nobody is interested any more; it is not cancelled by that.
  router.delete('/batches/:id', (ctx) => {
    batches.hide(paramOf(ctx, 'id'))
    ctx.body = {}
  })
}
