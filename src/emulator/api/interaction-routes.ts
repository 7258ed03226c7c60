/** Interactions, as the API takes and shows them. It has no call that lists them. */
import type { Router } from '@koa/router'
import { ApiError } from '../api-error.ts'
import { usualError } from '../batches.ts'
import type { Interaction, Interactions } from '../interactions.ts'
import { interactionEnds, type Settings } from '../settings.ts'
import { readFields, snakeCased, type Fields } from './body.ts'
import { parseWebhookConfig, planFor, textField } from './job-input.ts'
import { paramOf } from './query.ts'
import { isoTime } from './webhook-resource.ts'

export interface InteractionRoutes {
  interactions: Interactions
  settings: () => Settings
}

export function addInteractionRoutes(router: Router, { interactions, settings }: InteractionRoutes): void {
  router.post('/interactions', async (ctx) => {
    const fields = snakeCased(await readFields(ctx.req))
    if (fields.stream === true) throw new ApiError('INVALID_ARGUMENT', 'The emulator does not stream.')
    const [model, agent] = [textField(fields, 'model'), textField(fields, 'agent')]
    if ((model === undefined) === (agent === undefined))
      throw new ApiError('INVALID_ARGUMENT', 'Exactly one of model and agent is needed.')
    if (fields.input === undefined) throw new ApiError('INVALID_ARGUMENT', 'input is needed.')
    const isBackground = fields.background === true
    const { end, durationMs } = planFor(ctx, interactionEnds, settings().interaction)
    const details = { model, agent, isBackground }
    const plan = { end, afterMs: isBackground ? durationMs : null }
    const interaction = interactions.create(details, parseWebhookConfig(fields.webhook_config), plan)
    if (!isBackground) interactions.end(interaction, end)
    ctx.body = interactionResource(interaction)
  })

  router.get('/interactions/:id', (ctx) => {
    ctx.body = interactionResource(interactions.get(paramOf(ctx, 'id')))
  })

  // Documented: for those in the background that are still running.
  router.post('/interactions/:id/cancel', (ctx) => {
    const interaction = interactions.get(paramOf(ctx, 'id'))
    if (interaction.end !== undefined)
      throw new ApiError('FAILED_PRECONDITION', `The interaction is over: ${interaction.end.how}.`)
    interactions.end(interaction, 'cancelled')
    ctx.body = interactionResource(interaction)
  })

  router.delete('/interactions/:id', (ctx) => {
    interactions.hide(paramOf(ctx, 'id'))
    ctx.body = {}
  })
}

/** 1.x of the SDK reads `outputs`, 2.x and 3.x read `steps`. */
function interactionResource({ id, details, createdAt, updatedAt, end }: Interaction): Fields {
  const { model, agent } = details
  const answer = [{ type: 'text', text: 'An answer of the emulator.' }]
  return {
    id,
    object: 'interaction',
    ...(model === undefined ? { agent } : { model }),
    role: 'model',
    status: end?.how ?? 'in_progress',
    created: isoTime(createdAt),
    updated: isoTime(updatedAt),
    steps: end?.how === 'completed' ? [{ type: 'model_output', content: answer }] : [],
    ...(end?.how === 'completed' ? { outputs: answer } : {}),
    ...(end?.how === 'failed' ? { errors: [end.error ?? usualError] } : {}),
  }
}
