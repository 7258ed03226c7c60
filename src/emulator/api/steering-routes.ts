/** `/emulator`: what Gemini does not have. Time, faults, the ends of jobs, and a look at what was sent. */
import type { Router } from '@koa/router'
import type { Middleware } from 'koa'
import { ApiError } from '../api-error.ts'
import { batchName, type Batches } from '../batches.ts'
import type { EmulatedClock } from '../clock.ts'
import type { Delivery } from '../delivery.ts'
import type { Faults } from '../faults.ts'
import type { Interactions } from '../interactions.ts'
import type { KeyRing } from '../key-ring.ts'
import type { Sender } from '../sender.ts'
import { batchEnds, interactionEnds, type Settings } from '../settings.ts'
import type { Webhooks } from '../webhooks.ts'
import { parseFields, readFields, type Fields } from './body.ts'
import { parseEnd } from './job-input.ts'
import { paramOf, queryOf } from './query.ts'
import {
  changedSettings,
  clockInput,
  eventInput,
  faultInput,
  jobInput,
  keysInput,
  resendInput,
  senderInput,
  settingsInput,
  settingsResource,
} from './steering-input.ts'
import { isoTime } from './webhook-resource.ts'

export interface SteeringRoutes {
  clock: EmulatedClock
  webhooks: Webhooks
  batches: Batches
  interactions: Interactions
  sender: Sender
  keys: KeyRing
  faults: Faults
  settings: () => Settings
  setSettings: (settings: Settings) => void
}

/**
 * A page in a browser can send a form or plain text to an address of this machine without asking; JSON it cannot, because
 * nothing here says that it may.
 */
export const onlyJson: Middleware = (ctx, next) => {
  if (ctx.method === 'POST' && !/^application\/json\b/.test(ctx.get('content-type')))
    throw new ApiError('INVALID_ARGUMENT', 'content-type: application/json is needed.')
  return next()
}

export function addSteeringRoutes(router: Router, parts: SteeringRoutes): void {
  const { clock, webhooks, batches, interactions, sender, keys, faults, settings, setSettings } = parts

  const time = () => ({ now: isoTime(clock.now()), speed: clock.speed() })

  router.get('/', (ctx) => {
    const deliveries = sender.list()
    const count = (wanted: Delivery['state']) => deliveries.filter(({ state }) => state === wanted).length
    ctx.body = {
      clock: time(),
      settings: settingsResource(settings()),
      paused: sender.isPaused(),
      faults: faults.list(),
      webhooks: webhooks.list().length,
      batches: batches.list().length,
      interactions: interactions.list().length,
      deliveries: { pending: count('pending'), delivered: count('delivered'), given_up: count('given_up') },
    }
  })

  router.post('/clock', async (ctx) => {
    const { speed, advance } = parseFields(clockInput, await readFields(ctx.req))
    if (speed !== undefined) clock.setSpeed(speed)
    if (advance !== undefined) clock.advance(advance)
    ctx.body = time()
  })

  router.post('/settings', async (ctx) => {
    setSettings(changedSettings(settings(), parseFields(settingsInput, await readFields(ctx.req))))
    ctx.body = settingsResource(settings())
  })

  router.get('/faults', (ctx) => {
    ctx.body = { faults: faults.list() }
  })

  router.post('/faults', async (ctx) => {
    faults.add(parseFields(faultInput, await readFields(ctx.req)))
    ctx.body = { faults: faults.list() }
  })

  router.delete('/faults', (ctx) => {
    faults.clear()
    sender.release()
    ctx.body = { faults: [] }
  })

  router.get('/jobs', (ctx) => {
    ctx.body = {
      jobs: [
        ...batches.list().map((batch) => ({ kind: 'batch', name: batchName(batch), id: batch.id, end: batch.end?.how ?? null })),
        ...interactions.list().map(({ id, end }) => ({ kind: 'interaction', name: id, id, end: end?.how ?? null })),
      ],
    }
  })

  router.post('/jobs/:id', async (ctx) => {
    const id = paramOf(ctx, 'id')
    const { end, in: afterMs, error_code: code, error_message: message } = parseFields(jobInput, await readFields(ctx.req))
    const at = afterMs === undefined ? undefined : clock.now() + afterMs
    const batch = batches.find(id)
    if (batch === undefined) interactions.end(interactions.get(id), parseEnd(end, interactionEnds), { code, message }, at)
    else batches.end(batch, parseEnd(end, batchEnds), { code, message }, at)
    ctx.body = {}
  })

  router.post('/events', async (ctx) => {
    const { type, data, user_metadata, uris, times } = parseFields(eventInput, await readFields(ctx.req))
    const happening = { type, at: clock.now(), data, userMetadata: user_metadata }
    const made = Array.from({ length: times }, () => sender.emit(happening, uris)).flat()
    ctx.body = { deliveries: made.map(deliveryResource) }
  })

  router.get('/deliveries', (ctx) => {
    const state = queryOf(ctx, 'state')
    const chosen = sender.list().filter((delivery) => state === undefined || delivery.state === state)
    ctx.body = { deliveries: chosen.map(deliveryResource) }
  })

  router.post('/deliveries/resend', async (ctx) => {
    const { state } = parseFields(resendInput, await readFields(ctx.req))
    const chosen = sender.list().filter((delivery) => delivery.state === state)
    for (const { id } of chosen) sender.resend(id)
    ctx.body = { resent: chosen.length }
  })

  router.post('/deliveries/:id/resend', (ctx) => {
    if (!sender.resend(paramOf(ctx, 'id'))) throw new ApiError('NOT_FOUND', 'There is no such delivery.')
    ctx.body = { resent: 1 }
  })

  router.post('/sender', async (ctx) => {
    const { paused } = parseFields(senderInput, await readFields(ctx.req))
    if (paused) sender.pause()
    else sender.resume()
    ctx.body = { paused }
  })

  router.post('/keys/rotate', async (ctx) => {
    await keys.rotate(parseFields(keysInput, await readFields(ctx.req)).previous)
    ctx.body = { keys: keys.published() }
  })

  router.post('/webhooks/:id/disable', (ctx) => {
    webhooks.disable(webhooks.get(paramOf(ctx, 'id')))
    ctx.body = {}
  })
}

function deliveryResource({ id, type, target, since, attempts, state, last }: Delivery): Fields {
  const to = target.kind === 'static' ? { webhook: target.webhook } : { uri: target.uri }
  return { webhook_id: id, type, ...to, since: isoTime(since), attempts, state, last: last ?? null }
}
