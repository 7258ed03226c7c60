import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, test } from 'vitest'
import { startSlackServer } from '../../src/demo/slack-server.ts'
import { cli, type Ran } from '../setup/cli.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { emulate } from '../setup/emulator.ts'
import { createTopics, kafkaSuite } from '../setup/kafka-suite.ts'
import { writeConfig } from '../setup/relay-process.ts'
import { secret } from '../setup/sender.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})

afterAll(async () => {
  await database?.drop()
})

/** `check --connect` of a configuration whose only rule feeds these sinks. */
async function checked(sinks: Record<string, string>, { more = '', env = {}, url = database.url } = {}): Promise<Ran> {
  const config = writeConfig(`
sources: { gemini: { path: /a, static: { secrets: ['${secret}'] } } }
database: { url: '${url}' }
${more}
sinks:
${Object.entries(sinks)
  .map(([name, sink]) => `  ${name}: ${sink}`)
  .join('\n')}
rules: [{ name: all, to: [${Object.keys(sinks).join(', ')}] }]
`)
  try {
    return await cli(['check', '--connect', '-c', config.file], env)
  } finally {
    config.remove()
  }
}

/** What is said of one connection. */
function said({ stdout }: Ran, connection: string): string {
  const line = stdout.split('\n').find((one) => one.includes(` ${connection} `)) ?? `nothing of ${connection} in: ${stdout}`
  return line.replaceAll(/ {2,}/g, ' ')
}

async function query(sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

const tableOf = (table: string, more = '') =>
  `{ type: table, table: ${table}, key: [id], columns: { id: event.subject, status: event.type }${more} }`

describe('check --connect', () => {
  it('says of a table that is not there how it is made, and makes none', async () => {
    const ran = await checked({ missing: tableOf('missing'), made: tableOf('made', ', create: true') })
    expect(ran.code).toBe(1)
    expect(said(ran, 'sink missing')).toMatch(/^problem .*there is no table missing: .*create table if not exists/)
    expect(said(ran, 'sink made')).toMatch(/^ok .*made when the relay starts/)
    await expect(query('select from made')).rejects.toThrow('does not exist')
  })

  it('names the column that a table lacks', async () => {
    await query(
      'create table lacking (id text primary key, relay_event_time timestamptz not null, relay_event_seq bigint not null)',
    )
    await query('create table fitting (like lacking including all, status text)')
    const ran = await checked({ jobs: tableOf('lacking'), other: tableOf('lacking', `, create: true, url: '${database.url}'`) })
    expect(ran.code).toBe(1)
    for (const sink of ['sink jobs', 'sink other'])
      expect(said(ran, sink)).toMatch(/^problem .*column status is missing: add it, for example as text/)
    const fits = await checked({ jobs: tableOf('fitting') })
    expect([fits.code, said(fits, 'sink jobs'), said(fits, 'database')]).toEqual([
      0,
      expect.stringMatching(/^ok .*the table fitting fits/),
      expect.stringMatching(/^ok .*Postgres \d/),
    ])
  })

  it('says that the database is away, without its password, and passes its tables over', async () => {
    const ran = await checked({ jobs: tableOf('jobs') }, { url: 'postgres://relay:pa55word@127.0.0.1:1/relay' })
    expect(ran.code).toBe(1)
    expect(said(ran, 'database')).toMatch(/^problem .*no usable Postgres at 127\.0\.0\.1:1\/relay: .*correct database\.url/)
    expect(said(ran, 'sink jobs')).toMatch(/^skipped /)
    expect(ran.stdout + ran.stderr).not.toContain('pa55word')
  })

  it('takes an embedded database that does not run for no problem', async () => {
    const ran = await checked({ trace: '{ type: log }' }, { url: 'embedded' })
    expect([ran.code, said(ran, 'database'), said(ran, 'sink trace')]).toEqual([
      0,
      expect.stringMatching(/^skipped /),
      expect.stringMatching(/^ok /),
    ])
  })

  it('asks Slack whether it takes the token, and posts nothing', async () => {
    const slack = await startSlackServer({ tokens: ['xoxb-good'] })
    onTestFinished(() => slack.close())
    const sinkOf = (token: string) => `{ type: slack, token: ${token}, channel: C0123456789, api_url: '${slack.url}' }`
    const ran = await checked({ good: sinkOf('xoxb-good'), bad: sinkOf('xoxb-refused') })
    expect(ran.code).toBe(1)
    expect(said(ran, 'sink good')).toMatch(/^ok /)
    expect(said(ran, 'sink bad')).toMatch(/^problem .*Slack says invalid_auth: the token is wrong.*reinstall the Slack app/)
    expect(ran.stdout + ran.stderr).not.toContain('xoxb-')
    expect(slack.requests().map(({ method }) => method)).toEqual(['auth.test', 'auth.test'])
  })

  it('gives up on a Slack that never answers', async () => {
    const slack = await startSlackServer()
    onTestFinished(() => slack.close())
    slack.respond({ kind: 'silent' })
    const ran = await checked({
      ops: `{ type: slack, token: xoxb-1, channel: C0123456789, timeout: 200ms, api_url: '${slack.url}' }`,
    })
    expect([ran.code, said(ran, 'sink ops')]).toEqual([1, expect.stringMatching(/^problem .*did not answer in time/)])
  })

  it('says of an address that nobody listens there, or that it is refused, and not its path', async () => {
    const ran = await checked({
      closed: "{ type: http, url: 'http://127.0.0.1:1/hidden-path', allow_private: true }",
      private: "{ type: http, url: 'http://127.0.0.1:1/hidden-path' }",
    })
    expect(ran.code).toBe(1)
    expect(said(ran, 'sink closed')).toMatch(/^problem .*127\.0\.0\.1:1 cannot be reached: connect ECONNREFUSED/)
    expect(said(ran, 'sink private')).toMatch(/^problem .*loopback range; set allow_private: true/)
    expect(ran.stdout + ran.stderr).not.toContain('hidden-path')
  })

  it('asks the Gemini API whether it takes the key, where it is used', async () => {
    const emulator = await emulate()
    onTestFinished(() => emulator.stop())
    const more = `gemini: { reconcile: { every: 1h }, base_url: '${emulator.url}' }`
    const without = await checked({ trace: '{ type: log }' }, { more })
    expect([without.code, said(without, 'gemini')]).toEqual([1, expect.stringMatching(/^problem .*no key .*set GEMINI_API_KEY/)])
    const taken = await checked({ trace: '{ type: log }' }, { more, env: { GEMINI_API_KEY: 'a-key' } })
    expect([taken.code, said(taken, 'gemini')]).toEqual([0, expect.stringMatching(/^ok /)])
    expect((await checked({ trace: '{ type: log }' })).stdout).not.toContain('gemini  ')
  })

  it('connects to nothing where the configuration is not valid', async () => {
    const slack = await startSlackServer()
    onTestFinished(() => slack.close())
    const ran = await checked({ ops: `{ type: slack, tokn: xoxb-1, channel: C0123456789, api_url: '${slack.url}' }` })
    expect([ran.code, ran.stdout, slack.requests()]).toEqual([1, '', []])
  })
})

test('check --connect says that no broker is in reach', async () => {
  const ran = await checked({ stream: "{ type: kafka, brokers: ['127.0.0.1:1'], topic: events }" })
  expect([ran.code, said(ran, 'sink stream')]).toEqual([
    1,
    expect.stringMatching(/^problem .*cannot reach Kafka at 127\.0\.0\.1:1/),
  ])
})

kafkaSuite('check --connect', (kafka) => {
  test('names the topic that does not exist, and creates none', async () => {
    const [there, missing] = [`check-${randomUUID()}`, `check-${randomUUID()}`]
    await createTopics(kafka(), { topic: there })
    const sinkOf = (topic: string) => `{ type: kafka, brokers: ['${kafka().brokers.join(',')}'], topic: ${topic} }`
    for (const _ of ['first', 'second']) {
      const ran = await checked({ good: sinkOf(there), bad: sinkOf(missing) })
      expect(ran.code).toBe(1)
      expect(said(ran, 'sink good')).toMatch(/^ok /)
      expect(said(ran, 'sink bad')).toContain(`topic "${missing}" does not exist`)
    }
  })

  test('passes over topics that only events can tell', async () => {
    const brokers = `['${kafka().brokers.join(',')}']`
    const ran = await checked({ stream: `{ type: kafka, brokers: ${brokers}, topic: { value: event.source } }` })
    expect(ran.code).toBe(0)
    expect(said(ran, 'sink stream')).toMatch(/^ok .*Kafka answers; topics that events say are not looked for/)
  })
})
