/**
 * The configuration, stated once: parsing, defaults, types and the JSON Schema all come from here.
 * Values arrive after `${VAR}` expansion; see load.ts.
 */
import { z } from 'zod'
import { adminSchema } from './admin-schema.ts'
import { caseSchema } from './cases.ts'
import { geminiSchema } from './gemini-schema.ts'
import { targetHeadersSchema } from './headers.ts'
import { kafkaTopic } from './kafka-address.ts'
import { defaultsSchema, postgresUrl, sinkSchema, valueTree, type SinkConfig } from './sink-schema.ts'
import { slackChannel, slackMentions, slackPerJob } from './slack-keys.ts'
import { byteSize, durationMs, flag, integer, name, nonEmpty, sqlName } from './values.ts'

export type { Breaker, Rate, Retry, SinkConfig, SinkConfigOf } from './sink-schema.ts'

const sourceSchema = z.strictObject({
  path: z
    .string()
    .regex(/^\/[A-Za-z0-9._~/-]*$/, 'expected a path such as /webhooks/gemini')
    .describe('Where its webhooks come in.'),
  static: z
    .strictObject({
      secrets: z.array(z.string()).default([]).describe('whsec_…; an entry that expands to nothing adds no secret.'),
      managed: flag
        .default(false)
        .describe(
          'Also trust the secrets that `webhooks create`, `rotate` and `apply` put into the store. Needs an encryption key.',
        ),
    })
    .optional(),
  dynamic: z
    .strictObject({
      jwks_uri: z
        .url({ protocol: /^https?$/ })
        .default('https://generativelanguage.googleapis.com/.well-known/jwks.json')
        .describe('Where the public keys are.'),
      audience: nonEmpty.describe('The `aud` a JWT must carry, or `any`.'),
      algorithms: z
        .array(z.enum(['RS256', 'ES256']))
        .min(1, 'names no algorithm')
        .default(['RS256'])
        .describe('Of the JWT; Ed25519 signatures are taken in any case.'),
      unbound_jwt: z
        .enum(['once', 'accept', 'reject'])
        .default('once')
        .describe('A JWT that holds no event: let in for one webhook-id, for any, or not at all.'),
    })
    .optional(),
})

const enrichSchema = z.union(
  [
    z.literal('gemini').transform((from) => ({ from, unavailable: 'wait' as const })),
    z.strictObject({
      from: z.literal('gemini').describe('The Gemini API.'),
      unavailable: z
        .enum(['wait', 'without'])
        .default('wait')
        .describe('Where the API cannot be had: wait and try again, or go on without `event.resource`.'),
    }),
  ],
  { error: 'expected `gemini`, or a map such as { from: gemini, unavailable: without }' },
)

/** What a rule may say about one sink it feeds; which of these a sink takes depends on its type, see references.ts. */
export const targetSchema = z.strictObject({
  sink: name.describe('Its name.'),
  text: nonEmpty.optional().describe('slack: Liquid.'),
  blocks: z.array(z.unknown()).optional().describe('slack: Block Kit; strings in it are Liquid.'),
  channel: slackChannel.optional().describe('slack: channel id.'),
  thread: slackPerJob.optional().describe('slack: subject, or none where the sink says subject.'),
  update: slackPerJob.optional().describe('slack: subject, or none where the sink says subject.'),
  mentions: slackMentions.optional().describe('slack: instead of those of the sink; [] is nobody.'),
  topic: kafkaTopic.optional().describe('kafka: topic, or `{ value: CEL }`.'),
  key: nonEmpty.optional().describe('kafka: CEL for the record key.'),
  columns: z
    .record(sqlName, nonEmpty)
    .optional()
    .describe('table: CEL over `event`, by column, in place of what the sink says of them.'),
  value: valueTree.optional().describe('kafka, http, log: CEL for what is sent, or a map or list of it.'),
  headers: targetHeadersSchema.optional().describe('http: Liquid, by name; over those of the sink. null takes one away.'),
  enrich: enrichSchema
    .optional()
    .describe('gemini: fetch the job from the API, as `event.resource` of texts, keys, values and columns.'),
})

const patternValue = z.union([z.string(), z.number(), z.boolean(), z.null()])

/** A pattern: fields are AND, lists are OR, nested maps go deeper; see route/patterns.ts. */
export type Pattern = { [field: string]: PatternNode }
export type PatternItem = string | number | boolean | null | Record<string, unknown>
export type PatternNode = string | number | boolean | null | PatternItem[] | Pattern

/** What is in it is read by route/operators.ts, which says best what is wrong; editors are told by pattern-json-schema.ts. */
const operatorSchema = z.record(z.string(), z.unknown())

const patternItem: z.ZodType<PatternItem> = z.union([patternValue, operatorSchema], {
  error: 'expected a value or an operator such as { prefix: batch. }',
})

const patternNode: z.ZodType<PatternNode> = z.lazy(() =>
  z.union([patternValue, z.array(patternItem).min(1, 'an empty list matches nothing'), z.record(z.string(), patternNode)], {
    error: 'expected a value, a list of values and operators, or a map of fields',
  }),
)

export const patternSchema: z.ZodType<Pattern> = z.record(z.string(), patternNode)

const ruleSchema = z.strictObject({
  name: name.describe('Shown in deliveries, logs and headers; pending deliveries go by it.'),
  when: patternSchema.optional().describe('Pattern; without one every event matches.'),
  if: nonEmpty.optional().describe('CEL condition.'),
  to: z
    .array(
      z.union([name.transform((sink) => ({ sink })), targetSchema], {
        error: 'expected the name of a sink, or a map with `sink`',
      }),
    )
    .min(1, 'names no sink')
    .describe('Sinks, each by its name or with what this rule says of it.'),
})

export const configSchema = z.strictObject({
  include: z
    .union([nonEmpty, z.array(nonEmpty)], { error: 'expected the name of a file, or a list of them' })
    .optional()
    .describe('Files beside this one with `sources`, `sinks`, `rules` and `tests` of their own; `*` in the last part of a name.'),
  server: z
    .strictObject({
      host: nonEmpty.default('0.0.0.0').describe('Address to listen on.'),
      port: integer(0, 65_535).default(8080).describe('0 takes a free one.'),
      // three of them at a time have to fit into what unverified requests may hold (receive/unverified-bytes.ts)
      body_limit: byteSize
        .refine((bytes) => bytes <= 16_777_216, { error: 'at most 16mb' })
        .default(262_144)
        .describe('Of a request; a larger one is answered 413. At most 16mb.'),
    })
    .prefault({}),
  admin: adminSchema.optional().describe('A port of its own for metrics. Without this section nothing listens there.'),
  database: z
    .strictObject({
      url: z
        .literal('embedded')
        .or(postgresUrl)
        .default('embedded')
        .describe('Postgres 14 or newer; embedded: one that the relay runs itself.'),
    })
    .prefault({}),
  retention: z
    .strictObject({
      events: durationMs
        .refine((ms) => ms >= 172_800_000, { error: 'at least 48h: a sender may repeat a webhook-id for that long' })
        .default(2_592_000_000)
        .describe('How long events are kept; at least 48h.'),
    })
    .prefault({}),
  encryption: z
    .strictObject({
      keys: z
        .array(z.string())
        .default([])
        .describe(
          '32 bytes as base64 each. The first encrypts, each decrypts. By default RELAY_ENCRYPTION_KEY of the environment.',
        ),
    })
    .prefault({}),
  gemini: geminiSchema,
  sources: z.record(name, sourceSchema).describe('Where webhooks come in, by name, and whom each trusts.'),
  defaults: defaultsSchema.optional().describe('What sinks say that do not say it themselves, by type of sink.'),
  sinks: z.record(name, sinkSchema).default({}).describe('Where events go, by name.'),
  rules: z.array(ruleSchema).default([]).describe('What goes where. Each event goes by every rule that matches it.'),
  tests: z.array(caseSchema).default([]).describe('Cases for `gemini-relay test`; nothing else reads them.'),
})

export type Config = z.output<typeof configSchema>
export type SourceConfig = z.output<typeof sourceSchema>
export type RuleConfig = z.output<typeof ruleSchema>
export type TargetConfig = z.output<typeof targetSchema>
export type Enrich = z.output<typeof enrichSchema>

/** Whether deliveries of one job go to the sink one after the other. Tables keep what is newest whatever the order, and have no such setting. */
export function keepsOrder(sink: SinkConfig | undefined): boolean {
  return sink !== undefined && 'order' in sink && sink.order === 'subject'
}
