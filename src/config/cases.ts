/** Cases beside the rules: an event, and exactly the deliveries that are to come of it. `gemini-relay test` runs them. */
import { z } from 'zod'
import { name, nonEmpty } from './values.ts'

const text = z.string().nullable()
const count = z.number().int().min(0)

const countsSchema = z.strictObject({
  total: count.optional(),
  succeeded: count.optional(),
  failed: count.optional(),
  pending: count.optional(),
})

const errorSchema = z.strictObject({
  code: z.union([z.string(), z.number(), z.null()]).default(null),
  message: text.default(null),
})

/** As much of `event.resource` as a case needs: the rest is as where the API says nothing. */
const resourceSchema = z.strictObject({
  kind: z.enum(['batch', 'interaction']).optional().describe('By default what the type of the event says.'),
  name: text.optional(),
  id: text.optional(),
  state: text.optional(),
  display_name: text.optional(),
  model: text.optional(),
  agent: text.optional(),
  counts: countsSchema.optional(),
  output_files: z.array(z.string()).optional(),
  summary: z.string().optional(),
  outputs: z.array(z.record(z.string(), z.unknown())).optional(),
  create_time: text.optional(),
  end_time: text.optional(),
  update_time: text.optional(),
  error: errorSchema.nullable().optional(),
})

/** What `event.resource` has, and by name what is in its maps. */
export const resourceFields: ReadonlyMap<string, readonly string[]> = new Map([
  ['', Object.keys(resourceSchema.shape)],
  ['counts', Object.keys(countsSchema.shape)],
  ['error', Object.keys(errorSchema.shape)],
])

const compared = z.unknown().optional()

const expectedSchema = z
  .strictObject({
    rule: name.describe('Of the delivery.'),
    sink: name.describe('Of the delivery.'),
    fails: z.enum(['template_error', 'expression_error']).optional().describe('It cannot be rendered, by this code.'),
    dead: z.enum(['condition_error']).optional().describe('The condition of its rule fails: it is dead at once.'),
    channel: compared.describe('slack: the id of the channel.'),
    text: compared.describe('slack: what the message says.'),
    blocks: compared.describe('slack: its blocks.'),
    thread: compared.describe('slack: the subject of the job whose messages it joins.'),
    update: compared.describe('slack: the subject of the job whose message it edits.'),
    topic: compared.describe('kafka: where the record goes.'),
    key: compared.describe('kafka: the key of the record.'),
    headers: compared.describe('kafka, http: by name; those of http in lower case.'),
    value: compared.describe('kafka: the value of the record.'),
    table: compared.describe('table: its name.'),
    row: compared.describe('table: by column.'),
    url: compared.describe('http: without its query.'),
    body: compared.describe('http: the body of the request.'),
    line: compared.describe('log: what is written.'),
  })
  .describe('A delivery: its rule and its sink, and of what it shows whatever is to be compared.')

/** What cases may say of a delivery, whatever its sink. */
export const expectedFields: readonly string[] = Object.keys(expectedSchema.shape)

export const caseSchema = z.strictObject({
  name: nonEmpty.describe('What is expected, as a sentence.'),
  event: z
    .union([z.record(z.string(), z.unknown()), z.string()], {
      error: 'expected an envelope, such as { type: batch.failed, data: { id: b1 } }, or the text of a body that is none',
    })
    .describe('The body: `type`, `data` and the rest of an envelope, or a text that is no envelope.'),
  source: name.optional().describe('Where it is received; needed when there are several sources.'),
  webhook_id: z
    .string()
    .regex(/^[!-~]{1,256}$/, 'expected 1 to 256 visible ASCII characters')
    .optional()
    .describe('Default msg_dry_run.'),
  scheme: z.enum(['hmac', 'ed25519', 'jwt', 'reconciled']).optional().describe('Default hmac.'),
  user_metadata: z.record(z.string(), z.unknown()).optional().describe('`event.user_metadata`, where the event itself has none.'),
  resource: resourceSchema
    .nullable()
    .optional()
    .describe('What `enrich` would fetch, with as many of its fields as the case needs; by default it finds nothing.'),
  expect: z.array(expectedSchema).describe('Exactly these deliveries, in any order; [] is none.'),
})

/** `relay.test.yaml` beside `relay.yaml`; a plain list there is its `tests`. */
export const testFileSchema = z.strictObject({
  env: z.record(z.string(), z.string()).default({}).describe('Values of variables that the configuration names.'),
  tests: z.array(caseSchema),
})

export type Case = z.output<typeof caseSchema>
export type CaseResource = z.output<typeof resourceSchema>
export type Expected = z.output<typeof expectedSchema>
