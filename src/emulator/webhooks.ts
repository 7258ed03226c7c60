/** The registered webhooks, in memory. */
import { randomBytes } from 'node:crypto'
import { ApiError } from './api-error.ts'
import type { EmulatedClock } from './clock.ts'
import { live, newSecrets, rotated, type LiveSecret, type Revocation } from './secrets.ts'

export type WebhookState = 'enabled' | 'disabled' | 'disabled_due_to_failed_deliveries'

export interface Webhook {
  id: string
  /** Its place in the list of all: grows. */
  number: number
  name: string | undefined
  uri: string
  subscribedEvents: string[]
  state: WebhookState
  /** Milliseconds since the epoch, on the emulator's clock; so are the others. */
  createdAt: number
  updatedAt: number
  /** When a delivery last got through, or the webhook was last enabled. */
  lastGoodAt: number
  /** Newest first. */
  secrets: LiveSecret[]
}

/** What can be changed; a field that is undefined stays as it is, and `name: null` takes the name away. */
export interface WebhookChange {
  name?: string | null
  uri?: string
  subscribedEvents?: string[]
  state?: 'enabled' | 'disabled'
}

export interface Webhooks {
  create: (input: { name: string | undefined; uri: string; subscribedEvents: string[] }) => Webhook
  /** @throws ApiError NOT_FOUND */
  get: (id: string) => Webhook
  find: (id: string) => Webhook | undefined
  /** In the order they were made. */
  list: () => Webhook[]
  update: (id: string, change: WebhookChange) => Webhook
  remove: (id: string) => void
  /** @returns the new secret */
  rotate: (id: string, revocation: Revocation) => string
  /** Newest first. */
  secretsOf: (webhook: Webhook) => LiveSecret[]
  /** Those that are enabled and want events of this type. */
  wanting: (type: string) => Webhook[]
  succeeded: (webhook: Webhook, at: number) => void
  disable: (webhook: Webhook) => void
}

/** Guessed: how many a project may have is documented nowhere. */
const maxWebhooks = 1_000

export function createWebhooks(clock: EmulatedClock): Webhooks {
  const all = new Map<string, Webhook>()
  let made = 0

  function get(id: string): Webhook {
    const found = all.get(id)
    if (found === undefined) throw new ApiError('NOT_FOUND', `Webhook ${JSON.stringify(id.slice(0, 100))} was not found.`)
    return found
  }

  return {
    create({ name, uri, subscribedEvents }) {
      if (all.size >= maxWebhooks) throw new ApiError('RESOURCE_EXHAUSTED', `A project has at most ${maxWebhooks} webhooks.`)
      const now = clock.now()
      const id = randomBytes(10).toString('hex')
      const times = { createdAt: now, updatedAt: now, lastGoodAt: now }
      const input = { name, uri, subscribedEvents }
      const webhook: Webhook = { id, number: (made += 1), ...input, state: 'enabled', ...times, secrets: newSecrets() }
      all.set(id, webhook)
      return webhook
    },
    get,
    find: (id) => all.get(id),
    list: () => [...all.values()],
    update(id, { name, uri, subscribedEvents, state }) {
      const webhook = get(id)
      if (name !== undefined) webhook.name = name ?? undefined
      if (uri !== undefined) webhook.uri = uri
      if (subscribedEvents !== undefined) webhook.subscribedEvents = subscribedEvents
      // Whoever enables it says that it works again: what failed before does not count.
      if (state === 'enabled' && webhook.state !== 'enabled') webhook.lastGoodAt = clock.now()
      if (state !== undefined) webhook.state = state
      webhook.updatedAt = clock.now()
      return webhook
    },
    remove(id) {
      get(id)
      all.delete(id)
    },
    rotate(id, revocation) {
      const webhook = get(id)
      const [newest, ...previous] = rotated(webhook.secrets, revocation, clock.now())
      if (newest === undefined) throw new ApiError('INTERNAL', 'No secret was made.')
      webhook.secrets = [newest, ...previous]
      webhook.updatedAt = clock.now()
      return newest.secret
    },
    secretsOf: ({ secrets }) => live(secrets, clock.now()),
    wanting: (type) =>
      [...all.values()].filter(({ state, subscribedEvents }) => state === 'enabled' && subscribes(subscribedEvents, type)),
    succeeded(webhook, at) {
      webhook.lastGoodAt = Math.max(webhook.lastGoodAt, at)
    },
    disable(webhook) {
      webhook.state = 'disabled_due_to_failed_deliveries'
      webhook.updatedAt = clock.now()
    },
  }
}

/** Guessed: the guide subscribes to `batch.completed`, which its own catalog of events calls `batch.succeeded`. */
const sameEvent: Readonly<Record<string, string | undefined>> = {
  'batch.succeeded': 'batch.completed',
  'batch.completed': 'batch.succeeded',
}

function subscribes(events: readonly string[], type: string): boolean {
  const other = sameEvent[type]
  return events.includes(type) || (other !== undefined && events.includes(other))
}
