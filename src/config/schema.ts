/**
 * The configuration, stated once: parsing, defaults, types and the JSON Schema all come from here.
 * Values arrive after `${VAR}` expansion; see load.ts.
 */
import { z } from 'zod'
import { caseSchema } from './cases.ts'
import { geminiSchema } from './gemini-schema.ts'
import { headersSchema, targetHeadersSchema } from './headers.ts'
import { addressesIn, brokerEntry, kafkaTopic } from './kafka-address.ts'
import { slackChannel, slackMentions, slackPerJob } from './slack-keys.ts'
import { byteSize, decimal, durationMs, flag, integer, maxTimeoutMs, name, nonEmpty, rate, sqlName } from './values.ts'

const postgresUrlError = {
  error:
    'expected a URL such as postgres://user:password@host:5432/database, with `/`, `?`, `#`, `@` and `%` of a password percent-encoded',
}

/** A URL of a Unix socket names no host: postgres://user:password@/database?host=/run/postgresql. */
const postgresUrl = z
  .string()
  .regex(/^postgres(ql)?:\/\/./, postgresUrlError)
  // With a stray `%` the client encodes the whole text once more, and looks for a host of another name.
  .refine((url) => !/%(?![0-9a-f]{2})/i.test(url), postgresUrlError)
  .refine((url) => URL.canParse(url.replace('@/', '@socket/')), postgresUrlError)

export const retrySchema = z
  .strictObject({
    initial: durationMs.default(1_000).describe('Delay before the second attempt.'),
    factor: decimal(1, 10).default(2).describe('Each further delay is this many times the last.'),
    max: durationMs.default(3_600_000).describe('No delay is longer.'),
    jitter: decimal(0, 1).default(0.2).describe('Part of each delay that is random, 0 to 1.'),
    attempts: integer(1, 10_000).optional().describe('Give up after so many attempts; by default only the horizon ends it.'),
    horizon: durationMs.default(259_200_000).describe('Give up this long after the delivery was made (default 3d).'),
  })
  .prefault({})

export const breakerSchema = z
  .strictObject({
    failures: integer(1, 1_000).default(5).describe('Consecutive retryable failures that open the breaker.'),
    cooldown: durationMs.default(5_000).describe('First wait before one probe; doubles up to `max` while probes fail.'),
    max: durationMs.default(60_000).describe('No wait is longer.'),
  })
  .prefault({})

function delivery(defaults: { concurrency: number; batch: number; timeout: number }) {
  return {
    concurrency: integer(1, 256).default(defaults.concurrency).describe('Attempts under way at once, per process.'),
    batch: integer(1, 1_000).default(defaults.batch).describe('Deliveries in one attempt.'),
    timeout: durationMs
      .refine((ms) => ms <= maxTimeoutMs, { error: 'at most 20s: an attempt must end well inside its lease of 30s' })
      .default(defaults.timeout)
      .describe('Longest one attempt may take.'),
    rate: rate.optional().describe('At most so many attempts, per process.'),
    retry: retrySchema,
    breaker: breakerSchema,
  }
}

const order = z
  .enum(['subject'])
  .optional()
  .describe(
    'subject: one event of a job after the other, in the order they were accepted; one that fails holds back its own job only.',
  )

const slackSink = z.strictObject({
  type: z.literal('slack'),
  token: nonEmpty
    .regex(/^[!-~]+$/, 'holds a space, a line break or another character that no token has')
    .describe('Bot token, xoxb-….'),
  channel: slackChannel.optional().describe('Channel id; a rule may name another.'),
  text: nonEmpty.default('{{ event.type }} {{ event.subject }}').describe('Liquid. A rule may say its own.'),
  blocks: z.array(z.unknown()).optional().describe('Block Kit blocks; strings in them are Liquid.'),
  thread: slackPerJob
    .optional()
    .describe('subject: later events of a job answer in the thread of its first message. A rule may say its own.'),
  update: slackPerJob
    .optional()
    .describe('subject: one message a job, edited by later events; not together with `thread`. A rule may say its own.'),
  mentions: slackMentions
    .optional()
    .describe('Who is mentioned before the text: ids of users and user groups, here, channel, everyone.'),
  api_url: z.url().optional().describe('Base of the Web API, for a local stand-in. Default https://slack.com/api/.'),
  order,
  ...delivery({ concurrency: 1, batch: 1, timeout: 10_000 }),
  rate: rate.default({ count: 1, perMs: 1_000 }).describe('Per channel and process. Slack allows about one message a second.'),
})

const valueTree = z.union([nonEmpty, z.record(z.string(), z.unknown()), z.array(z.unknown())], {
  error: 'expected a CEL expression, or a map or list of them',
})

const kafkaSink = z.strictObject({
  type: z.literal('kafka'),
  brokers: z
    .array(brokerEntry)
    .transform((list) => list.flatMap(addressesIn))
    .refine((list) => list.length > 0, { error: 'names no broker' })
    .describe('host:port, one an entry or separated by commas.'),
  client_id: nonEmpty.default('gemini-relay'),
  tls: z
    .union([flag, z.strictObject({ ca: nonEmpty.optional(), cert: nonEmpty.optional(), key: nonEmpty.optional() })])
    .default(false)
    .describe('true, or PEM texts (`${file:…}`).'),
  sasl: z
    .strictObject({ mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']), username: nonEmpty, password: nonEmpty })
    .optional(),
  topic: kafkaTopic.optional().describe('A name, or `{ value: CEL }`. A rule may say another.'),
  key: nonEmpty.default('event.subject').describe('CEL for the record key.'),
  value: valueTree.optional().describe('CEL over `event`, or a map or list of it: the record value, as JSON.'),
  format: z.enum(['json', 'cloudevents']).default('json'),
  order,
  ...delivery({ concurrency: 2, batch: 500, timeout: 20_000 }),
})

const column = z.union(
  [
    nonEmpty.transform((value) => ({ type: undefined, value })),
    z.strictObject({
      type: z
        .string()
        .regex(/^[A-Za-z][A-Za-z0-9_ (),]*(\[\])?$/, 'expected an SQL type such as text, timestamptz or numeric(12,2)'),
      value: nonEmpty.describe('CEL over `event`.'),
    }),
  ],
  { error: 'expected a CEL expression, or a map of `type` and `value`' },
)

const tableSink = z.strictObject({
  type: z.literal('table'),
  table: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$/, 'expected a table name, table or schema.table')
    .describe('Default schema: public.'),
  url: postgresUrl.optional().describe("Postgres URL of another database; default: the relay's own."),
  key: z.array(sqlName).min(1, 'names no column').describe('Columns that identify a row.'),
  create: flag.default(false).describe('Make the table at start if it is missing.'),
  columns: z.record(sqlName, column).describe('CEL over `event`, by column.'),
  ...delivery({ concurrency: 2, batch: 500, timeout: 10_000 }),
})

const httpSink = z.strictObject({
  type: z.literal('http'),
  url: z.url({ protocol: /^https?$/ }),
  secret: nonEmpty.optional().describe('whsec_…: signs each request as a Standard Webhook.'),
  allow_private: flag.default(false).describe('Permit private, loopback and link-local addresses.'),
  value: valueTree
    .optional()
    .describe('CEL over `event`, or a map or list of it: the body, as JSON. Default: the body as received.'),
  headers: headersSchema
    .optional()
    .describe(
      'Further headers, by name; Liquid. Also content-type and user-agent; not those of the connection, webhook-* and relay-*.',
    ),
  order,
  ...delivery({ concurrency: 8, batch: 1, timeout: 15_000 }),
})

const logSink = z.strictObject({
  type: z.literal('log'),
  value: valueTree.optional().describe('CEL over `event`, or a map or list of it: `value` of the line, in place of `event`.'),
  ...delivery({ concurrency: 1, batch: 500, timeout: 10_000 }),
})

export const sinkSchema = z.discriminatedUnion('type', [slackSink, kafkaSink, tableSink, httpSink, logSink])

/** Read for its mistakes only: sink-defaults.ts puts what is in it into the sinks before they are parsed. */
const defaultsSchema = z.strictObject({
  all: logSink.pick({ timeout: true, rate: true, retry: true, breaker: true }).partial().optional().describe('Every sink.'),
  slack: slackSink.omit({ type: true }).partial().optional(),
  kafka: kafkaSink.omit({ type: true }).partial().optional(),
  table: tableSink.omit({ type: true }).partial().optional(),
  http: httpSink.omit({ type: true }).partial().optional(),
  log: logSink.omit({ type: true }).partial().optional(),
})

const sourceSchema = z.strictObject({
  path: z.string().regex(/^\/[A-Za-z0-9._~/-]*$/, 'expected a path such as /webhooks/gemini'),
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
      jwks_uri: z.url({ protocol: /^https?$/ }).default('https://generativelanguage.googleapis.com/.well-known/jwks.json'),
      audience: nonEmpty.describe('The `aud` a JWT must carry, or `any`.'),
      algorithms: z
        .array(z.enum(['RS256', 'ES256']))
        .min(1, 'names no algorithm')
        .default(['RS256']),
      unbound_jwt: z.enum(['once', 'accept', 'reject']).default('once'),
    })
    .optional(),
})

const enrichSchema = z.union(
  [
    z.literal('gemini').transform((from) => ({ from, unavailable: 'wait' as const })),
    z.strictObject({
      from: z.literal('gemini'),
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
  sink: name,
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
export const operatorSchema = z.record(z.string(), z.unknown())

const patternItem: z.ZodType<PatternItem> = z.union([patternValue, operatorSchema])

const patternNode: z.ZodType<PatternNode> = z.lazy(() =>
  z.union([patternValue, z.array(patternItem).min(1, 'an empty list matches nothing'), z.record(z.string(), patternNode)], {
    error: 'expected a value, a list of values and operators, or a map of fields',
  }),
)

export const patternSchema: z.ZodType<Pattern> = z.record(z.string(), patternNode)

const ruleSchema = z.strictObject({
  name,
  when: patternSchema.optional().describe('Pattern; without one every event matches.'),
  if: nonEmpty.optional().describe('CEL condition.'),
  to: z
    .array(
      z.union([name.transform((sink) => ({ sink })), targetSchema], {
        error: 'expected the name of a sink, or a map with `sink`',
      }),
    )
    .min(1, 'names no sink'),
})

export const configSchema = z.strictObject({
  include: z
    .union([nonEmpty, z.array(nonEmpty)], { error: 'expected the name of a file, or a list of them' })
    .optional()
    .describe('Files beside this one with `sources`, `sinks`, `rules` and `tests` of their own; `*` in the last part of a name.'),
  server: z
    .strictObject({
      host: nonEmpty.default('0.0.0.0'),
      port: integer(0, 65_535).default(8080),
      // three of them at a time have to fit into what unverified requests may hold (receive/unverified-bytes.ts)
      body_limit: byteSize.refine((bytes) => bytes <= 16_777_216, { error: 'at most 16mb' }).default(262_144),
    })
    .prefault({}),
  database: z.strictObject({ url: z.literal('embedded').or(postgresUrl).default('embedded') }).prefault({}),
  retention: z
    .strictObject({
      events: durationMs
        .refine((ms) => ms >= 172_800_000, { error: 'at least 48h: a sender may repeat a webhook-id for that long' })
        .default(2_592_000_000),
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
  sources: z.record(name, sourceSchema),
  defaults: defaultsSchema.optional().describe('What sinks say that do not say it themselves, by type of sink.'),
  sinks: z.record(name, sinkSchema).default({}),
  rules: z.array(ruleSchema).default([]),
  tests: z.array(caseSchema).default([]).describe('Cases for `gemini-relay test`; nothing else reads them.'),
})

export type Config = z.output<typeof configSchema>
export type SourceConfig = z.output<typeof sourceSchema>
export type SinkConfig = z.output<typeof sinkSchema>
export type SinkConfigOf<T extends SinkConfig['type']> = Extract<SinkConfig, { type: T }>
export type RuleConfig = z.output<typeof ruleSchema>
export type TargetConfig = z.output<typeof targetSchema>
export type Enrich = z.output<typeof enrichSchema>
export type Retry = z.output<typeof retrySchema>
export type Breaker = z.output<typeof breakerSchema>
export type Rate = z.output<typeof rate>

/** Whether deliveries of one job go to the sink one after the other. Tables keep what is newest whatever the order, and have no such setting. */
export function keepsOrder(sink: SinkConfig | undefined): boolean {
  return sink !== undefined && 'order' in sink && sink.order === 'subject'
}
