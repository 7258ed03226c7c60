import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startSlackServer, type SlackServer } from '../../src/demo/slack-server.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { createTopics, kafkaSuite, readTopic } from '../setup/kafka-suite.ts'
import { percentile, startLoad, type Load } from '../setup/load.ts'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

kafkaSuite('one sink in trouble delays no other', (kafka) => {
  let database: TestDatabase
  let db: pg.Pool
  let slack: SlackServer
  let relay: RelayProcess

  beforeAll(async () => {
    database = await createTestDatabase()
    db = new pg.Pool({ connectionString: database.url, max: 3 })
    slack = await startSlackServer()
    await createTopics(kafka(), { topic: 'apart' })
    relay = await spawnRelay({
      yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  ops: { type: slack, token: xoxb-test, api_url: "${slack.url}", channel: C0OPS, rate: 1000/s }
  stream: { type: kafka, brokers: ["${kafka().brokers.join(',')}"], topic: apart }
  jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id, at: { type: timestamptz, value: event.received_at } } }
rules:
  - { name: failures, when: { type: batch.failed }, to: [{ sink: ops, text: "{{ event.data.error_message | default: event.subject }}" }] }
  - { name: all, to: [stream, jobs] }
`,
      env: { DATABASE_URL: database.url, SECRET: secret },
    })
  })
  afterAll(async () => {
    await relay.stop()
    await slack.close()
    await db.end()
    await database.drop()
  })

  it('escapes what an error message would do in Slack', async () => {
    await post(`${relay.url}/hook`, { body: envelope('batch.failed', { error_message: '<!channel> & <https://x|y>' }) })
    await eventually(
      () => slack.messages().length,
      (count) => count === 1,
    )
    expect(slack.messages()[0]?.text).toBe('&lt;!channel&gt; &amp; &lt;https://x|y&gt;')
  })

  it('waits for Slack as long as Slack asks, posts each of ten messages once, and holds up neither Kafka nor the table', async () => {
    const before = slack.messages().length
    slack.respond({ kind: 'rate_limited', retryAfter: 2 })
    const calls = slack.requests().length
    const ids = Array.from({ length: 10 }, (_, n) => `msg_limited_${n}`)
    const startedAt = Date.now()
    for (const id of ids) await post(`${relay.url}/hook`, { id, body: envelope('batch.failed', { error_message: id }) })
    await eventually(
      () => delivered(['stream', 'jobs'], ids),
      (count) => count === 20,
      2_000,
    )
    expect(slack.messages()).toHaveLength(before)
    await eventually(
      () => slack.messages().length,
      (count) => count >= before + 10,
      20_000,
    )

    const [limited, ...later] = slack.requests().slice(calls)
    expect(later.filter(({ at }) => at < (limited?.at ?? 0) + 2_000)).toEqual([])
    expect(limited?.at).toBeGreaterThanOrEqual(startedAt)
    expect(
      slack
        .messages()
        .slice(before)
        .map(({ text }) => text)
        .toSorted(),
    ).toEqual(ids.toSorted())
    await eventually(
      () => delivered(['ops'], ids),
      (count) => count === 10,
    )
    expect((await db.query('select * from gemini_relay.attempts')).rows).toEqual([])
  })

  it('answers senders and feeds Slack and Kafka while the sync table is locked, and writes the rows after', async () => {
    const quiet = startLoad(() => `${relay.url}/hook`, 100)
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    await quiet.stop()

    const unlock = await lockTable()
    const load = startLoad(() => `${relay.url}/hook`, 100)
    const failures = startLoad(() => `${relay.url}/hook`, 5, 'batch.failed')
    await new Promise((resolve) => setTimeout(resolve, 20_000))
    await Promise.all([load.stop(), failures.stop()])
    const ids = [...load.acknowledged(), ...failures.acknowledged()]
    try {
      await eventually(
        () => delivered(['stream'], ids),
        (count) => count === ids.length,
      )
      await eventually(
        () => delivered(['ops'], ids),
        (count) => count === failures.answers.length,
      )
      expect(await delivered(['jobs'], ids)).toBe(0)
    } finally {
      await unlock()
    }

    const p99 = ({ answers }: Load) =>
      percentile(
        answers.map(({ tookMs }) => tookMs),
        0.99,
      )
    // Not a benchmark: a sender that waited for the lock would have waited for seconds.
    expect(p99(load)).toBeLessThan(Math.max(10 * p99(quiet), 250))
    expect(ids).toHaveLength(load.answers.length + failures.answers.length)
    await eventually(
      () => delivered(['jobs'], ids),
      (count) => count === ids.length,
      90_000,
    )
    expect((await readTopic(kafka(), 'apart')).length).toBeGreaterThanOrEqual(ids.length)
  }, 180_000)

  /** @returns what releases it, harmless when called again */
  async function lockTable(): Promise<() => Promise<void>> {
    const locker = await db.connect()
    await locker.query('begin')
    await locker.query('lock table jobs in access exclusive mode')
    let locked = true
    return async () => {
      if (!locked) return
      locked = false
      await locker.query('commit')
      locker.release()
    }
  }

  async function delivered(sinks: string[], ids: string[]): Promise<number> {
    const { rows } = await db.query<{ count: string }>(
      `select count(*) from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id
       where d.state = 'delivered' and d.sink = any ($1) and e.webhook_id = any ($2)`,
      [sinks, ids],
    )
    return Number(rows[0]?.count)
  }
})
