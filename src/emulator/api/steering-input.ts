/** What the calls that steer the emulator take. */
import { z } from 'zod'
import { durationMs } from '../../config/values.ts'
import { apiFaults, deliveryFaults, type Fault } from '../faults.ts'
import { batchEnds, interactionEnds, type JobPlan, type Settings } from '../settings.ts'
import { webhookUri } from './webhook-resource.ts'

const duration = durationMs
const planDuration = z.union([z.literal('never').transform(() => null), duration])

export const clockInput = z.strictObject({
  speed: z.number().min(0.001).max(1_000_000).optional(),
  advance: duration.optional(),
})

export const settingsInput = z.strictObject({
  dynamic_scheme: z.enum(['jwt', 'ed25519']).optional(),
  audience: z.string().min(1).max(500).optional(),
  claims: z.enum(['none', 'event']).optional(),
  metadata_in: z.enum(['data', 'envelope', 'claims']).optional(),
  batch_ids: z.enum(['name', 'bare']).optional(),
  batch: z.strictObject({ end: z.enum(batchEnds).optional(), duration: planDuration.optional() }).default({}),
  interaction: z.strictObject({ end: z.enum(interactionEnds).optional(), duration: planDuration.optional() }).default({}),
})

export function changedSettings(settings: Settings, input: z.output<typeof settingsInput>): Settings {
  return {
    dynamicScheme: input.dynamic_scheme ?? settings.dynamicScheme,
    audience: input.audience ?? settings.audience,
    claims: input.claims ?? settings.claims,
    metadataIn: input.metadata_in ?? settings.metadataIn,
    batchIds: input.batch_ids ?? settings.batchIds,
    batch: changedPlan(settings.batch, input.batch),
    interaction: changedPlan(settings.interaction, input.interaction),
  }
}

interface PlanInput<End> {
  end?: End | undefined
  duration?: number | null | undefined
}

function changedPlan<End extends string>(plan: JobPlan<End>, { end, duration: ms }: PlanInput<End>): JobPlan<End> {
  return { end: end ?? plan.end, durationMs: ms === undefined ? plan.durationMs : ms }
}

export function settingsResource(settings: Settings): Record<string, unknown> {
  const plan = ({ end, durationMs: ms }: JobPlan<string>) => ({ end, duration: ms === null ? 'never' : `${ms}ms` })
  return {
    dynamic_scheme: settings.dynamicScheme,
    audience: settings.audience,
    claims: settings.claims,
    metadata_in: settings.metadataIn,
    batch_ids: settings.batchIds,
    batch: plan(settings.batch),
    interaction: plan(settings.interaction),
  }
}

export const faultInput = z
  .strictObject({
    kind: z.enum([...deliveryFaults, ...apiFaults]),
    times: z.number().int().min(1).max(1_000_000).default(1),
    type: z.string().max(200).optional(),
    path: z.string().max(200).optional(),
    by: duration.optional(),
    status: z.number().int().min(400).max(599).optional(),
  })
  .transform(({ by, ...fault }): Fault => ({ ...fault, ms: by }))

export const jobInput = z.strictObject({
  end: z.string(),
  in: duration.optional(),
  error_code: z.string().max(200).default('INTERNAL'),
  error_message: z.string().max(2_000).default('The job failed on our side. Try again.'),
})

export const eventInput = z.strictObject({
  type: z.string().min(1).max(200),
  data: z.record(z.string(), z.unknown()).default({}),
  user_metadata: z.record(z.string(), z.unknown()).optional(),
  uris: z.array(webhookUri).max(10).default([]),
  times: z.number().int().min(1).max(1_000).default(1),
})

export const keysInput = z.strictObject({ previous: z.enum(['kept', 'withdrawn']).default('kept') })

export const senderInput = z.strictObject({ paused: z.boolean() })

export const resendInput = z.strictObject({ state: z.enum(['delivered', 'given_up']).default('given_up') })
