/** What there is to say of each kind of sink. */
import { z } from 'zod'
import { headersSchema } from './headers.ts'
import { addressesIn, brokerEntry, kafkaTopic } from './kafka-address.ts'
import { certificates, privateKey } from './pem.ts'
import { slackChannel, slackMentions, slackPerJob } from './slack-keys.ts'
import { decimal, durationMs, flag, integer, maxTimeoutMs, nonEmpty, rate, sqlName, timeMs } from './values.ts'

const postgresUrlError = {
  error:
    'expected a URL such as postgres://user:password@host:5432/database, with `/`, `?`, `#`, `@` and `%` of a password percent-encoded',
}

/** A URL of a Unix socket names no host: postgres://user:password@/database?host=/run/postgresql. */
export const postgresUrl = z
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
    horizon: durationMs.default(259_200_000).describe('Give up this long after the delivery was made .'),
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
    timeout: timeMs
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
  api_url: z.url().optional().describe('Base of the Web API, for a local stand-in. By default Slack’s own.'),
  order,
  ...delivery({ concurrency: 1, batch: 1, timeout: 10_000 }),
  rate: rate.default({ count: 1, perMs: 1_000 }).describe('Per channel and process. Slack allows about one message a second.'),
})

export const valueTree = z.union([nonEmpty, z.record(z.string(), z.unknown()), z.array(z.unknown())], {
  error: 'expected a CEL expression, or a map or list of them',
})

const kafkaSink = z.strictObject({
  type: z.literal('kafka'),
  brokers: z
    .array(brokerEntry)
    .transform((list) => list.flatMap(addressesIn))
    .refine((list) => list.length > 0, { error: 'names no broker' })
    .describe('host:port, one an entry or separated by commas.'),
  client_id: nonEmpty.default('gemini-relay').describe('What brokers log, and may limit by.'),
  tls: z
    .union([
      flag,
      z.strictObject({
        ca: certificates.optional().describe('Who signed the certificates of the brokers.'),
        cert: certificates.optional().describe('Our own certificate, where brokers ask for one.'),
        key: privateKey.optional().describe('Its key.'),
      }),
    ])
    .default(false)
    .describe('true, or PEM texts (`${file:…}`).'),
  sasl: z
    .strictObject({
      mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']).describe('As the brokers offer it.'),
      username: nonEmpty.describe('Who we are.'),
      password: nonEmpty.describe('From a variable or a file.'),
    })
    .optional(),
  topic: kafkaTopic.optional().describe('A name, or `{ value: CEL }`. A rule may say another.'),
  key: nonEmpty.default('event.subject').describe('CEL for the record key.'),
  value: valueTree.optional().describe('CEL over `event`, or a map or list of it: the record value, as JSON.'),
  format: z
    .enum(['json', 'cloudevents'])
    .default('json')
    .describe('json: the envelope with source, webhook_id and received_at. cloudevents: the body, and attributes in headers.'),
  order,
  ...delivery({ concurrency: 2, batch: 500, timeout: 20_000 }),
})

const column = z.union(
  [
    nonEmpty.transform((value) => ({ type: undefined, value })),
    z.strictObject({
      type: z
        .string()
        .regex(/^[A-Za-z][A-Za-z0-9_ (),]*(\[\])?$/, 'expected an SQL type such as text, timestamptz or numeric(12,2)')
        .describe('SQL type of the column, for a table that is made.'),
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
  url: z.url({ protocol: /^https?$/ }).describe('Where each event is posted to.'),
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
export const defaultsSchema = z.strictObject({
  all: logSink
    .pick({ timeout: true, rate: true, retry: true, breaker: true })
    .partial()
    .optional()
    .describe('Every sink: `timeout`, `rate`, `retry`, `breaker`.'),
  slack: slackSink.omit({ type: true }).partial().optional().describe('What sinks of the type take.'),
  kafka: kafkaSink.omit({ type: true }).partial().optional().describe('What sinks of the type take.'),
  table: tableSink.omit({ type: true }).partial().optional().describe('What sinks of the type take.'),
  http: httpSink.omit({ type: true }).partial().optional().describe('What sinks of the type take.'),
  log: logSink.omit({ type: true }).partial().optional().describe('What sinks of the type take.'),
})

export type SinkConfig = z.output<typeof sinkSchema>
export type SinkConfigOf<T extends SinkConfig['type']> = Extract<SinkConfig, { type: T }>
export type Retry = z.output<typeof retrySchema>
export type Breaker = z.output<typeof breakerSchema>
export type Rate = z.output<typeof rate>
