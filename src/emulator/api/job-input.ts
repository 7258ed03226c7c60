/** What calls that start a job have in common. */
import type { Context } from 'koa'
import { z } from 'zod'
import { durationMs } from '../../config/values.ts'
import { ApiError } from '../api-error.ts'
import type { WebhookConfig } from '../jobs.ts'
import type { JobPlan } from '../settings.ts'
import { isRecord, parseFields, type Fields } from './body.ts'
import { webhookUri } from './webhook-resource.ts'

/** Guessed, both. */
const maxUris = 10
const maxMetadataBytes = 10_240

const webhookConfig = z.strictObject({
  uris: z.array(webhookUri).max(maxUris).default([]),
  user_metadata: z
    .record(z.string(), z.unknown())
    .refine((metadata) => JSON.stringify(metadata).length <= maxMetadataBytes, `it is over ${maxMetadataBytes} bytes`)
    .optional(),
})

/** @param given the field `webhook_config` of a job, whichever way it is spelled */
export function parseWebhookConfig(given: unknown): WebhookConfig {
  if (given === undefined || given === null) return { uris: [], userMetadata: undefined }
  if (!isRecord(given)) throw new ApiError('INVALID_ARGUMENT', "Invalid value at 'webhook_config': expected a message.")
  const { uris, user_metadata } = parseFields(webhookConfig, given)
  return { uris, userMetadata: user_metadata }
}

/** The header that says how this one job ends, and the one that says when; the SDK sends what `httpOptions.headers` holds. */
export const endHeader = 'emulator-end'
export const durationHeader = 'emulator-duration'

export function planFor<End extends string>(ctx: Context, ends: readonly End[], usual: JobPlan<End>): JobPlan<End> {
  const end = ctx.get(endHeader)
  const duration = ctx.get(durationHeader)
  return {
    end: end === '' ? usual.end : parseEnd(end, ends),
    durationMs: duration === '' ? usual.durationMs : parseDuration(duration),
  }
}

export function parseEnd<End extends string>(text: string, ends: readonly End[]): End {
  const found = ends.find((end) => end === text)
  if (found === undefined) throw new ApiError('INVALID_ARGUMENT', `A job of this kind ends as ${ends.join(', ')}.`)
  return found
}

/** `never`: until a call ends it. */
export function parseDuration(text: string): number | null {
  if (text === 'never') return null
  const { data, error } = durationMs.safeParse(text)
  if (error !== undefined) throw new ApiError('INVALID_ARGUMENT', `A duration is such as 250ms, 30s, 5m, 24h, or never.`)
  return data
}

export function textField(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (value !== undefined && typeof value !== 'string')
    throw new ApiError('INVALID_ARGUMENT', `Invalid value at '${name}': expected a string.`)
  return value
}

export function recordField(fields: Fields, name: string): Fields {
  const value = fields[name] ?? {}
  if (!isRecord(value)) throw new ApiError('INVALID_ARGUMENT', `Invalid value at '${name}': expected a message.`)
  return value
}
