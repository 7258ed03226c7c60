/** WebhookService. */
import type { Router } from '@koa/router'
import { ApiError } from '../api-error.ts'
import type { Sender } from '../sender.ts'
import type { Webhook, Webhooks } from '../webhooks.ts'
import { readFields } from './body.ts'
import { cutPage } from './page.ts'
import { paramOf, queryOf } from './query.ts'
import { parseChange, parseCreation, parseRevocation, webhookResource } from './webhook-resource.ts'

export interface WebhookRoutes {
  webhooks: Webhooks
  sender: Sender
}

export function addWebhookRoutes(router: Router, { webhooks, sender }: WebhookRoutes): void {
  const show = (webhook: Webhook) => webhookResource(webhook, webhooks.secretsOf(webhook))

  router.post('/webhooks', async (ctx) => {
    const webhook = webhooks.create(parseCreation(await readFields(ctx.req)))
    const [newest] = webhooks.secretsOf(webhook)
    ctx.body = { ...show(webhook), new_signing_secret: newest?.secret }
  })

  router.get('/webhooks', (ctx) => {
    const size = queryOf(ctx, 'page_size')
    const { items, nextToken } = cutPage(webhooks.list(), ({ number }) => number, { size, token: queryOf(ctx, 'page_token') })
    ctx.body = {
      ...(items.length === 0 ? {} : { webhooks: items.map(show) }),
      ...(nextToken === undefined ? {} : { next_page_token: nextToken }),
    }
  })

  router.get('/webhooks/:id', (ctx) => {
    ctx.body = show(webhooks.get(paramOf(ctx, 'id')))
  })

  router.patch('/webhooks/:id', async (ctx) => {
    const id = paramOf(ctx, 'id')
    webhooks.get(id)
    ctx.body = show(webhooks.update(id, parseChange(await readFields(ctx.req), queryOf(ctx, 'update_mask'))))
  })

  router.delete('/webhooks/:id', (ctx) => {
    webhooks.remove(paramOf(ctx, 'id'))
    ctx.body = {}
  })

  // The SDK's path, and that of the guide.
  for (const path of ['/webhooks/:id\\:rotateSigningSecret', '/webhooks/:id/rotate_secret']) {
    router.post(path, async (ctx) => {
      const id = paramOf(ctx, 'id')
      webhooks.get(id)
      ctx.body = { secret: webhooks.rotate(id, parseRevocation(await readFields(ctx.req))) }
    })
  }

  router.post('/webhooks/:id\\:ping', (ctx) => {
    const webhook = webhooks.get(paramOf(ctx, 'id'))
    if (webhook.state !== 'enabled') throw new ApiError('FAILED_PRECONDITION', `The webhook is ${webhook.state}.`)
    sender.ping(webhook)
    ctx.body = {}
  })
}
