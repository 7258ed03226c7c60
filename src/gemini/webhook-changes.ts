/**
 * Changes of webhooks whose answer holds a secret, so that none is lost: an intent is stored before the call, the secret and
 * the end of the intent in one transaction after it. What a process that died has left open is healed by rotating again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Encryption } from '../encryption.ts'
import { RelayError } from '../errors.ts'
import type { Pool } from '../store/pool.ts'
import { believedMs, endSecrets, insertSecret, notifySecrets, secretContext } from '../store/signing-secrets.ts'
import {
  closeIntent,
  deleteEndpoint,
  exclusively,
  intentAgeMs,
  listEndpoints,
  listIntents,
  openIntent,
  saveEndpoint,
  type Endpoint,
  type Intent,
} from '../store/webhooks.ts'
import { inTransaction } from '../store/transaction.ts'
import { decodeSecret } from '../verify/secrets.ts'
import { GeminiApiError } from './api-error.ts'
import { callLimitMs, revocations, type GeminiWebhook, type Revocation, type WebhookService } from './webhook-service.ts'

export interface WebhookChanges {
  /** @param declared the name of the declaration it is of */
  create: (input: NewWebhook) => Promise<{ webhook: GeminiWebhook; secret: string }>
  /** @param heldForMs how long the previous secrets are still taken, where that is not what Gemini does with them */
  rotate: (endpoint: Endpoint, revocation: Revocation, heldForMs?: number) => Promise<string>
  /** Also forgets its secrets. One that is gone already counts as deleted. */
  delete: (id: string) => Promise<void>
  /** Lets go of one that is gone at Gemini, and of its secrets. */
  forget: (id: string) => Promise<void>
  /** Ends every intent that was left open. @returns what was done, a line each */
  heal: () => Promise<string[]>
}

export interface NewWebhook {
  source: string
  name?: string | undefined
  uri: string
  events: readonly string[]
  declared: string | null
}

export interface WebhookChangesOptions {
  service: WebhookService
  pool: Pool
  encryption: Encryption
}

/** What stays of the secrets before, by what Gemini was asked for, in milliseconds. */
const previousForMs: Record<Revocation, number> = { after_h24: 86_400_000, immediately: 0 }

/** No relay takes an intent for unknown longer than `believedMs`: after this every one answers 503 instead of 400. */
const knownEverywhereMs = believedMs + 200

const lookAgainMs = 1_000

/** Of a change that somebody else makes: each call takes seconds at most, and a declaration of many takes several. */
const waitMs = 60_000

/**
 * Runs `work` while no other process changes webhooks.
 *
 * @throws RelayError `webhooks_busy` where another one does for a minute
 */
export async function withWebhookChanges<T>(
  options: WebhookChangesOptions,
  work: (changes: WebhookChanges) => Promise<T>,
): Promise<T> {
  const done = await exclusively(options.pool, waitMs, async () => ({ result: await work(changesOf(options)) }))
  if (done !== undefined) return done.result
  throw new RelayError('webhooks_busy', 'another process is changing webhooks, and has not ended', {
    hint: 'try again when it has; a process that was stopped lets go when its connection to the database ends',
  })
}

/** What was left open is healed, unless somebody is changing webhooks right now. */
export async function healIfFree(options: WebhookChangesOptions): Promise<string[]> {
  return (await exclusively(options.pool, 0, () => changesOf(options).heal())) ?? []
}

function changesOf({ service, pool, encryption }: WebhookChangesOptions): WebhookChanges {
  async function store(intent: string, endpoint: Endpoint, secret: string, keepPreviousMs: number): Promise<void> {
    const context = secretContext({ source: endpoint.source, webhook: endpoint.id })
    decodeSecret(secret, context)
    const encrypted = encryption.encrypt(secret, context)
    await inTransaction(pool, async (client) => {
      await saveEndpoint(client, endpoint)
      await insertSecret(client, { source: endpoint.source, webhook: endpoint.id, encrypted, previousForMs: keepPreviousMs })
      await closeIntent(client, intent)
      await notifySecrets(client)
    })
  }

  /** Where the API refused, nothing was done: the intent goes. Where it gave no answer, something may have been: it stays. */
  async function firstCall<T>(intent: string, call: () => Promise<T>): Promise<T> {
    try {
      return await call()
    } catch (error) {
      if (error instanceof GeminiApiError && error.code === 'gemini_refused') await close(intent)
      throw error
    }
  }

  async function close(intent: string): Promise<void> {
    await closeIntent(pool, intent)
    await notifySecrets(pool)
  }

  async function healRotation({ id, source, webhook, revocation: asked }: Extract<Intent, { kind: 'rotate' }>): Promise<string> {
    const known = (await listEndpoints(pool)).find((endpoint) => endpoint.id === webhook)
    const revocation = revocations.find((one) => one === asked) ?? 'after_h24'
    try {
      const secret = await service.rotate(webhook, revocation)
      await store(id, known ?? { id: webhook, source, name: null }, secret, previousForMs[revocation])
    } catch (error) {
      if (!isGone(error)) throw error
      await forget(webhook)
      await close(id)
      return `webhook ${webhook} of source ${source} is gone, and forgotten`
    }
    return `webhook ${webhook} of source ${source} has a new secret: a rotation had not ended`
  }

  async function healCreation(intent: Extract<Intent, { kind: 'create' }>): Promise<string> {
    const newest = await findMade(intent)
    if (newest === undefined) {
      await close(intent.id)
      return `a webhook for ${intent.uri} was about to be made, and was not`
    }
    // Its first secret was shown to nobody who is still there.
    const secret = await service.rotate(newest.id, 'immediately')
    await store(intent.id, { id: newest.id, source: intent.source, name: intent.declared }, secret, 0)
    return `webhook ${newest.id} of source ${intent.source} was made without its secret being kept: it has a new one`
  }

  /** Where it is not there yet, the call may still be on its way: who sent it is dead, and nobody called it back. */
  async function findMade(intent: Extract<Intent, { kind: 'create' }>): Promise<GeminiWebhook | undefined> {
    for (;;) {
      const age = await intentAgeMs(pool, intent.id)
      const ours = new Set([...intent.known, ...(await listEndpoints(pool)).map(({ id }) => id)])
      const made = (await service.list()).filter(({ id, uri }) => uri === intent.uri && !ours.has(id))
      const [newest] = made.toSorted((a, b) => ((a.create_time ?? '') < (b.create_time ?? '') ? 1 : -1))
      if (newest !== undefined || age > knownEverywhereMs + callLimitMs) return newest
      await sleep(lookAgainMs)
    }
  }

  /** At once: a secret without its webhook is one that nobody ends any more. */
  async function forget(id: string): Promise<void> {
    await inTransaction(pool, async (client) => {
      await deleteEndpoint(client, id)
      await endSecrets(client, id)
      await notifySecrets(client)
    })
  }

  return {
    async create({ source, name, uri, events, declared }) {
      const known = (await service.list()).map(({ id }) => id)
      const intent = await openIntent(pool, { kind: 'create', source, declared, uri, known })
      await notifySecrets(pool)
      await sleep(knownEverywhereMs)
      const { webhook, secret } = await firstCall(intent, () =>
        service.create({ ...(name === undefined ? {} : { name }), uri, subscribed_events: [...events] }),
      )
      await store(intent, { id: webhook.id, source, name: declared }, secret, 0)
      return { webhook, secret }
    },
    async rotate(endpoint, revocation, heldForMs = previousForMs[revocation]) {
      const intent = await openIntent(pool, { kind: 'rotate', source: endpoint.source, webhook: endpoint.id, revocation })
      await notifySecrets(pool)
      // Also where the previous secrets sign on: whether they are known here is nothing to rely on.
      await sleep(knownEverywhereMs)
      const secret = await firstCall(intent, () => service.rotate(endpoint.id, revocation))
      await store(intent, endpoint, secret, heldForMs)
      return secret
    },
    async delete(id) {
      await service.delete(id).catch((error: unknown) => {
        if (!isGone(error)) throw error
      })
      await forget(id)
    },
    forget,
    async heal() {
      const done: string[] = []
      for (const intent of await listIntents(pool))
        done.push(await (intent.kind === 'create' ? healCreation(intent) : healRotation(intent)))
      return done
    },
  }
}

function isGone(error: unknown): boolean {
  return error instanceof GeminiApiError && error.status === 404
}
