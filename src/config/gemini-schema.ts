/** The Gemini side of the configuration: webhooks that are kept as declared, and what is asked of the API. */
import { z } from 'zod'
import { isLoopback } from '../loopback.ts'
import { maxTimeoutMs, name, rate, timeMs } from './values.ts'

/** https, or http to this machine: an API key goes over it. */
const apiUrl = z.url({ protocol: /^https?$/ }).refine(
  (url) => {
    if (!URL.canParse(url)) return true // said already, and so is any other protocol
    const { protocol, hostname } = new URL(url)
    return protocol !== 'http:' || isLoopback(hostname)
  },
  { error: 'must be https, or http on a loopback address' },
)

const webhookSchema = z.strictObject({
  uri: apiUrl.describe('The public address of the source, as Gemini calls it.'),
  source: name.describe('The source that receives at this address; it needs `static: { managed: true }`.'),
  events: z
    .array(z.string().regex(/^[a-z_]{1,60}\.[a-z_]{1,60}$/, 'expected a type of events, such as batch.succeeded'))
    .min(1, 'names no type')
    .optional()
    .describe('Types to subscribe to; by default those that the rules want.'),
})

export const geminiSchema = z
  .strictObject({
    api_key: z.string().optional().describe('Key of the Gemini API; by default GEMINI_API_KEY of the environment.'),
    base_url: apiUrl.optional().describe('Of the API; by default GOOGLE_GEMINI_BASE_URL of the environment, else Google’s.'),
    webhooks: z
      .record(name, webhookSchema)
      .default({})
      .describe('Webhooks that `webhooks apply` makes and keeps as declared, by name.'),
    reconcile: z
      .strictObject({
        source: name.optional().describe('Whose events are made up for; needed when there are several sources.'),
        every: timeMs.default(3_600_000).describe('How often.'),
        since: timeMs.default(172_800_000).describe('Batches that ended so long ago at most.'),
      })
      .optional()
      .describe('Ask the API for batches that ended, and make the events that never came.'),
    enrich: z
      .strictObject({
        budget: rate.default({ count: 5, perMs: 1_000 }).describe('At most so many calls, per process.'),
        timeout: timeMs
          .refine((ms) => ms <= maxTimeoutMs, { error: 'at most 20s' })
          .default(5_000)
          .describe('Longest one call may take.'),
      })
      .prefault({}),
  })
  .prefault({})

export type GeminiConfig = z.output<typeof geminiSchema>
export type DeclaredWebhook = z.output<typeof webhookSchema>
