/** Webhooks as the API shows and takes them. */
import { z } from 'zod'
import { ApiError } from '../api-error.ts'
import { truncated, type LiveSecret, type Revocation } from '../secrets.ts'
import { complaintAboutUri } from '../uri.ts'
import type { Webhook, WebhookChange } from '../webhooks.ts'
import { parseFields, snake, snakeCased, type Fields } from './body.ts'

/** @param secrets those that are live, newest first */
export function webhookResource(webhook: Webhook, secrets: readonly LiveSecret[]): Fields {
  const { id, name, uri, subscribedEvents, state, createdAt, updatedAt } = webhook
  return {
    id,
    ...(name === undefined ? {} : { name }),
    uri,
    subscribed_events: subscribedEvents,
    state,
    create_time: isoTime(createdAt),
    update_time: isoTime(updatedAt),
    signing_secrets: secrets.map(({ secret, expiresAt }) => ({
      truncated_secret: truncated(secret),
      ...(expiresAt === undefined ? {} : { expire_time: isoTime(expiresAt) }),
    })),
  }
}

/** @param time milliseconds since the epoch */
export function isoTime(time: number): string {
  return new Date(time).toISOString()
}

export const webhookUri = z.string().superRefine((uri, context) => {
  const complaint = complaintAboutUri(uri)
  if (complaint !== undefined) context.addIssue({ code: 'custom', message: `it ${complaint}` })
})

/** The list of types is open; only the form is looked at. */
const eventType = z.string().regex(/^[a-z_]{1,60}\.[a-z_]{1,60}$/, 'expected a type of events, such as batch.succeeded')
const subscribedEvents = z
  .array(eventType)
  .min(1, 'at least one type of events is needed')
  .max(100)
  .transform((types) => [...new Set(types)])
const name = z.string().max(200)
const state = z
  .string()
  .toLowerCase()
  .pipe(z.enum(['enabled', 'disabled']))

/** Fields that only the API itself writes may come along, as in a webhook that was read before; they change nothing. */
const outputOnly = {
  id: z.unknown().optional(),
  create_time: z.unknown().optional(),
  update_time: z.unknown().optional(),
  signing_secrets: z.unknown().optional(),
  new_signing_secret: z.unknown().optional(),
}

const creation = z.strictObject({
  ...outputOnly,
  name: name.optional(),
  uri: webhookUri,
  subscribed_events: subscribedEvents,
  state: z.unknown().optional(),
})

export function parseCreation(fields: Fields): { name: string | undefined; uri: string; subscribedEvents: string[] } {
  const { name: given, uri, subscribed_events } = parseFields(creation, fields)
  return { name: given, uri, subscribedEvents: subscribed_events }
}

const changeable = { name, uri: webhookUri, subscribed_events: subscribedEvents, state }
type Changeable = keyof typeof changeable

const change = z.strictObject({ ...outputOnly, ...changeable }).partial()

/** @param mask the fields to change; undefined or `*`: those that are there */
export function parseChange(fields: Fields, mask: string | undefined): WebhookChange {
  const asked = mask === undefined || mask === '' || mask === '*' ? undefined : parseMask(mask)
  const named = snakeCased(fields)
  const chosen = asked === undefined ? named : Object.fromEntries(Object.entries(named).filter(([key]) => isAsked(key, asked)))
  const { name: given, uri, subscribed_events, state: next } = parseFields(change, chosen)
  const emptied = (asked ?? []).filter((field) => !Object.hasOwn(named, field))
  const needed = emptied.find((field) => field !== 'name')
  if (needed !== undefined) throw new ApiError('INVALID_ARGUMENT', `${needed} is in update_mask and has no value.`)
  return {
    ...(emptied.includes('name') ? { name: null } : given === undefined ? {} : { name: given }),
    ...(uri === undefined ? {} : { uri }),
    ...(subscribed_events === undefined ? {} : { subscribedEvents: subscribed_events }),
    ...(next === undefined ? {} : { state: next }),
  }
}

function parseMask(mask: string): Changeable[] {
  return mask.split(',').map((part) => {
    const field = snake(part.trim())
    if (!isChangeable(field))
      throw new ApiError('INVALID_ARGUMENT', `update_mask: ${JSON.stringify(part)} is no field that can be updated.`)
    return field
  })
}

function isChangeable(field: string): field is Changeable {
  return Object.hasOwn(changeable, field)
}

function isAsked(field: string, asked: readonly string[]): boolean {
  return asked.includes(field)
}

/** The guide writes it in upper case, the SDK's types in lower case. */
const rotation = z.strictObject({
  revocation_behavior: z
    .string()
    .toLowerCase()
    .pipe(z.enum(['revoke_previous_secrets_after_h24', 'revoke_previous_secrets_immediately']))
    .default('revoke_previous_secrets_after_h24'),
})

export function parseRevocation(fields: Fields): Revocation {
  const { revocation_behavior } = parseFields(rotation, fields)
  return revocation_behavior === 'revoke_previous_secrets_immediately' ? 'immediately' : 'after_h24'
}
