/** WebhookService, as the official SDK calls it; every failure is a {@link GeminiApiError}. */
import { z } from 'zod'
import { messageOf } from '../errors.ts'
import type { GeminiAccess } from './access.ts'
import { answeredError, GeminiApiError, unansweredError } from './api-error.ts'

const webhookSchema = z.looseObject({
  id: z.string().min(1),
  name: z.string().optional(),
  uri: z.string(),
  /** `enabled`, `disabled`, `disabled_due_to_failed_deliveries`, or one that is newer than we are. */
  state: z.string().optional(),
  subscribed_events: z.array(z.string()).default([]),
  create_time: z.string().optional(),
  update_time: z.string().optional(),
  signing_secrets: z.array(z.looseObject({ truncated_secret: z.string(), expire_time: z.string().optional() })).default([]),
})

/** A webhook as the API shows it. */
export type GeminiWebhook = z.output<typeof webhookSchema>

const createdSchema = webhookSchema.extend({ new_signing_secret: z.string().min(1) })
const rotatedSchema = z.looseObject({ secret: z.string().min(1) })
const pageSchema = z.looseObject({ webhooks: z.array(webhookSchema).default([]), next_page_token: z.string().optional() })

export interface WebhookChange {
  name?: string
  uri?: string
  subscribed_events?: string[]
  state?: 'enabled' | 'disabled'
}

/** What becomes of the secrets before: they sign for another 24 hours, or no more. */
export const revocations = ['after_h24', 'immediately'] as const
export type Revocation = (typeof revocations)[number]

export interface WebhookService {
  /** The secret is shown this once. Called once: where the answer is lost, the webhook may have been made. */
  create(input: { name?: string; uri: string; subscribed_events: string[] }): Promise<{ webhook: GeminiWebhook; secret: string }>
  /** All pages. */
  list(): Promise<GeminiWebhook[]>
  get(id: string): Promise<GeminiWebhook>
  update(id: string, change: WebhookChange): Promise<GeminiWebhook>
  delete(id: string): Promise<void>
  /** The secret is shown this once. Called once, as `create` is. */
  rotate(id: string, revocation: Revocation): Promise<string>
  ping(id: string): Promise<void>
}

/** The SDK makes five tries over about seven seconds; each may take so long, in milliseconds. */
export const callLimitMs = 20_000

/** Where a lost answer would leave a secret that nobody knows, a second try would leave two. */
const once = { maxRetries: 0 }

export async function createWebhookService({ apiKey, baseUrl }: GeminiAccess): Promise<WebhookService> {
  // A fifth of a second to load, and most of what the relay does needs none of it.
  const { GoogleGenAI } = await import('@google/genai')
  const { webhooks } = new GoogleGenAI({ apiKey, httpOptions: { baseUrl, timeout: callLimitMs } })

  return {
    create: (input) =>
      told('creating the webhook', async () => {
        const { new_signing_secret: secret, ...webhook } = createdSchema.parse(plain(await webhooks.create(input, once)))
        return { webhook, secret }
      }),
    list: () =>
      told('listing the webhooks', async () => {
        const found: GeminiWebhook[] = []
        for (let token: string | undefined, first = true; first || token !== undefined; first = false) {
          const page = pageSchema.parse(plain(await webhooks.list({ page_size: 1_000, ...(token && { page_token: token }) })))
          found.push(...page.webhooks)
          token = page.next_page_token || undefined
        }
        return found
      }),
    get: (id) => told(`reading the webhook ${id}`, async () => webhookSchema.parse(plain(await webhooks.get(id)))),
    update: (id, change) =>
      told(`updating the webhook ${id}`, async () => {
        const mask = Object.keys(change).join(',')
        return webhookSchema.parse(plain(await webhooks.update(id, { ...change, update_mask: mask })))
      }),
    delete: (id) => told(`deleting the webhook ${id}`, async () => void (await webhooks.delete(id))),
    rotate: (id, revocation) =>
      told(`rotating the secret of the webhook ${id}`, async () => {
        const body = { revocation_behavior: `revoke_previous_secrets_${revocation}` as const }
        return rotatedSchema.parse(plain(await webhooks.rotateSigningSecret(id, body, once))).secret
      }),
    ping: (id) => told(`pinging the webhook ${id}`, async () => void (await webhooks.ping(id))),
  }
}

/** Without what the SDK adds of the answer's headers. */
function plain(answer: object): unknown {
  return Object.fromEntries(Object.entries(answer).filter(([key]) => key !== 'sdkHttpResponse'))
}

async function told<T>(what: string, call: () => Promise<T>): Promise<T> {
  try {
    return await call()
  } catch (error) {
    const { status, body } = answerIn(error)
    if (status !== undefined) throw answeredError(what, status, body, error)
    if (error instanceof z.ZodError)
      throw new GeminiApiError(`${what}: the Gemini API answered something else than documented`, { cause: error })
    throw unansweredError(what, error)
  }
}

/** The SDK's errors carry the answer they came from; the classes differ between its releases. */
function answerIn(error: unknown): { status: number | undefined; body: string } {
  if (!(error instanceof Error)) return { status: undefined, body: '' }
  const status: unknown = Reflect.get(error, 'status')
  const body: unknown = Reflect.get(error, 'body')
  return { status: typeof status === 'number' ? status : undefined, body: typeof body === 'string' ? body : messageOf(error) }
}
