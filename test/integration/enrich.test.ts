/** `enrich: gemini`: the job behind a thin event, in texts and columns; and what waits, and what does not, while the API is away. */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startSlackServer, type SlackServer } from '../../src/demo/slack-server.ts'
import { listDeliveries } from '../../src/store/look.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { emulate, sdks, type TestEmulator } from '../setup/emulator.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

const apiKey = 'AIzaSy-a-key-that-nobody-may-see'

let database: TestDatabase
let db: pg.Pool
let slack: SlackServer
let emulator: TestEmulator
let relays: TestRelay[]

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 2 })
})
afterAll(async () => {
  await db.end()
  await database.drop()
})
beforeEach(async () => {
  relays = []
  await db.query('drop schema if exists gemini_relay cascade; drop schema public cascade; create schema public')
  slack = await startSlackServer()
  emulator = await emulate({ apiKey })
})
afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.stop()))
  await slack.close()
  await emulator.stop()
})

interface Odd {
  /** Of the sinks `ops` (Slack, channel C0OPS) and `jobs` (table). */
  ops?: string
  jobs?: string
  rules: string
  gemini?: string
  key?: string
}

const shown =
  '{{ event.resource.display_name }} {{ event.resource.state }} {{ event.resource.counts.succeeded }}/{{ event.resource.counts.total }}'
const columns = `id: event.webhook_id, name: event.resource.?display_name.orValue("none"), succeeded: { type: int, value: event.resource.?counts.succeeded.orValue(0) }`

async function start({ ops = 'rate: 1000/s', jobs = '', rules, gemini = '', key = apiKey }: Odd): Promise<TestRelay> {
  const relay = await startRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
gemini: { base_url: "${emulator.url}"${gemini} }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  ops: { type: slack, token: xoxb-test, api_url: "${slack.url}", channel: C0OPS, ${ops} }
  jobs: { type: table, table: jobs, key: [id], create: true, columns: { ${columns} }, ${jobs} }
rules:
${rules}
`,
    env: { DATABASE_URL: database.url, SECRET: secret, GEMINI_API_KEY: key },
  })
  relays.push(relay)
  return relay
}

const enriched = (enrich = 'gemini', text = shown) =>
  `  - { name: ends, when: { type: 'batch.*' }, to: [{ sink: ops, enrich: ${enrich}, text: "${text}" }] }`
const plain = `  - { name: plain, when: { type: video.generated }, to: [{ sink: ops, text: "plain {{ event.subject }}" }] }`

/** A batch that has ended so. */
async function batch(end = 'succeeded', displayName = 'nightly'): Promise<string> {
  const made = await sdks['3.x'](emulator.url, apiKey).batches.create({
    model: 'gemini-2.5-flash',
    src: [{ contents: [{ parts: [{ text: 'one' }] }] }, { contents: [{ parts: [{ text: 'two' }] }] }],
    config: { displayName },
  })
  const name = made.name ?? ''
  await steer('POST', `/jobs/${name.replace('batches/', '')}`, { end })
  return name
}

/** What steers the emulator wants its key. */
async function steer(method: 'POST' | 'DELETE', path: string, body: unknown = {}): Promise<void> {
  const headers = { 'content-type': 'application/json', 'x-goog-api-key': apiKey }
  const response = await fetch(`${emulator.url}/emulator${path}`, { method, headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(await response.text())
}

const down = (status = 503) => steer('POST', '/faults', { kind: 'api_error', times: 1_000_000, status })
const slow = (by: string) => steer('POST', '/faults', { kind: 'api_slow', times: 1_000_000, by })
const back = () => steer('DELETE', '/faults')

async function send(relay: TestRelay, type: string, data: Record<string, unknown>): Promise<string> {
  const id = `msg_${randomUUID()}`
  expect(await post(`${relay.url}/hook`, { id, body: envelope(type, data) })).toMatchObject({ status: 200 })
  return id
}

const texts = () => slack.messages().map(({ text }) => text)
const posted = (count: number) => eventually(texts, ({ length }) => length >= count)

interface Delivery {
  state: string
  attempts: number
  code: string | null
  message: string | null
}

async function deliveryOf(id: string, sink = 'ops'): Promise<Delivery | undefined> {
  const { rows } = await db.query<Delivery>(
    `select d.state, d.attempts, d.code, d.message from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id
     where e.webhook_id = $1 and d.sink = $2`,
    [id, sink],
  )
  return rows[0]
}

const isIn = (state: string) => (delivery: Delivery | undefined) => delivery?.state === state
const isPutOff = (delivery: Delivery | undefined) => delivery?.state === 'pending' && delivery.code === 'resource_unavailable'

/** GETs of jobs that the emulator answered, by path. */
function fetches(): string[] {
  return emulator
    .log()
    .split('\n')
    .filter((line) => line.includes('"method":"GET"'))
    .flatMap((line) => /"path":"\/v1beta\/([^"]+)"/.exec(line)?.[1] ?? [])
}

describe('what is shown', () => {
  it('name, state and counts of a batch that succeeded, and of one that failed, in a Slack text', async () => {
    const relay = await start({
      rules: enriched('gemini', `${shown} failed {{ event.resource.counts.failed }} {{ event.resource.error.message }}`),
    })
    await send(relay, 'batch.succeeded', { id: await batch() })
    await send(relay, 'batch.failed', { id: await batch('failed', 'weekly') })
    expect((await posted(2)).toSorted()).toEqual([
      'nightly succeeded 2/2 failed 0 ',
      'weekly failed 0/2 failed 2 The job failed on our side. Try again.',
    ])
  })

  it('the text of an interaction', async () => {
    const rules = `  - { name: ends, when: { type: 'interaction.*' }, to: [{ sink: ops, enrich: gemini, text: "{{ event.resource.state }}: {{ event.resource.summary }}" }] }`
    const relay = await start({ rules })
    const { interactions } = sdks['3.x'](emulator.url, apiKey)
    const { id } = await interactions.create({ model: 'gemini-2.5-flash', input: 'one' })
    await send(relay, 'interaction.completed', { id })
    expect(await posted(1)).toEqual(['completed: An answer of the emulator.'])
  })

  it('columns of a table, from one call for all sinks and rules', async () => {
    const rules = `${enriched()}
  - { name: again, when: { type: 'batch.*' }, to: [{ sink: ops, enrich: gemini, channel: C0TWO, text: "{{ event.resource.name }}" }, { sink: jobs, enrich: gemini }] }`
    const relay = await start({ rules })
    const name = await batch()
    const bare = name.replace('batches/', '')
    const ids = [await send(relay, 'batch.succeeded', { id: name }), await send(relay, 'batch.succeeded', { id: bare })]
    expect((await posted(4)).toSorted()).toEqual([name, name, 'nightly succeeded 2/2', 'nightly succeeded 2/2'].toSorted())
    for (const id of ids) await eventually(() => deliveryOf(id, 'jobs'), isIn('delivered'))
    expect((await db.query('select id, name, succeeded from jobs order by name')).rows).toEqual(
      expect.arrayContaining(ids.map((id) => ({ id, name: 'nightly', succeeded: 2 }))),
    )
    expect(fetches()).toEqual([name])
  })

  it('blocks too, and null where there is nothing to fetch or no such job', async () => {
    const rules = `  - name: all
    to: [{ sink: ops, enrich: gemini, text: "[{{ event.resource.kind }}]", blocks: [{ type: section, text: { type: mrkdwn, text: "{{ event.resource.display_name | default: event.type }}" } }] }, { sink: jobs, enrich: gemini }]`
    const relay = await start({ rules })
    await send(relay, 'video.generated', { id: 'files/1' })
    await send(relay, 'batch.succeeded', { id: 'batches/nobody' })
    await send(relay, 'batch.succeeded', { id: await batch() })
    expect((await posted(3)).toSorted()).toEqual(['[]', '[]', '[batch]'])
    const blocks = slack.messages().map((message) => JSON.stringify(message.blocks))
    expect(blocks.filter((block) => block.includes('nightly'))).toHaveLength(1)
    expect(blocks.filter((block) => block.includes('video.generated'))).toHaveLength(1)
    await eventually(
      async () => (await db.query<{ name: string }>('select name from jobs order by name')).rows.map(({ name }) => name),
      (names) => names.join() === 'nightly,none,none',
    )
    expect(fetches().filter((path) => path.includes('nobody'))).toHaveLength(1)
  })

  it('nothing for a subject that is no id, without a call', async () => {
    const relay = await start({ rules: enriched('gemini', '[{{ event.resource.kind }}]') })
    const hostile = [
      '../x',
      'batches/../../v1/models',
      'batches/..',
      '?key=',
      'batches/x?key=1',
      'a/b',
      '%2e%2e',
      'x#y',
      'batches/',
      ' ',
      'x'.repeat(512),
      'batches/\u0000x\n',
    ]
    for (const id of hostile) await send(relay, 'batch.succeeded', { id })
    expect(await posted(hostile.length)).toEqual(hostile.map(() => '[]'))
    expect(emulator.log()).not.toContain('"method":"GET"')
  })
})

describe('while the API is away', () => {
  it('what waits is pending, costs no attempt, holds up nothing else of its channel, and arrives when the API is back', async () => {
    const relay = await start({
      rules: `${enriched()}\n${plain}`,
      ops: 'rate: 1000/s, retry: { initial: 200ms, factor: 1, attempts: 1 }, breaker: { failures: 1 }',
    })
    const name = await batch()
    await down()
    const waiting = await send(relay, 'batch.succeeded', { id: name })
    expect(await eventually(() => deliveryOf(waiting), isPutOff)).toMatchObject({
      attempts: 0,
      message: expect.stringMatching(/batches.*answered 503/),
    })
    // Refused more often than it may be attempted, and than the breaker takes.
    await eventually(
      () => fetches(),
      ({ length }) => length >= 3,
    )
    for (let n = 0; n < 5; n++) await send(relay, 'video.generated', { id: `files/${n}` })
    expect((await posted(5)).toSorted()).toEqual([0, 1, 2, 3, 4].map((n) => `plain files/${n}`))
    expect(await deliveryOf(waiting)).toMatchObject({ state: 'pending', attempts: 0 })
    await back()
    expect((await posted(6)).at(-1)).toBe('nightly succeeded 2/2')
    expect(await eventually(() => deliveryOf(waiting), isIn('delivered'))).toMatchObject({
      attempts: 1,
      code: null,
      message: null,
    })
  })

  it('what can do without goes on, also where there is no answer at all', async () => {
    const relay = await start({
      rules: enriched('{ from: gemini, unavailable: without }', '[{{ event.resource.state }}]'),
      gemini: ', enrich: { timeout: 300ms }',
    })
    const name = await batch()
    await slow('3s')
    const id = await send(relay, 'batch.succeeded', { id: name })
    expect(await posted(1)).toEqual(['[]'])
    expect(await eventually(() => deliveryOf(id), isIn('delivered'))).toMatchObject({ attempts: 1 })
    await emulator.stop()
    await send(relay, 'batch.succeeded', { id: name })
    expect(await posted(2)).toEqual(['[]', '[]'])
  })

  it('an answer that takes its time holds up neither plain deliveries of the channel nor enriched ones that need none', async () => {
    const rules = `${enriched()}\n${plain}\n  - { name: started, when: { type: 'ping' }, to: [{ sink: ops, enrich: gemini, text: "not needed" }] }`
    const relay = await start({ rules, gemini: ', enrich: { timeout: 20s }' })
    const [known, unknown] = [await batch(), await batch('succeeded', 'late')]
    await send(relay, 'batch.succeeded', { id: known })
    await posted(1)
    await slow('4s')
    for (let n = 0; n < 20; n++) await send(relay, 'batch.succeeded', { id: unknown })
    await send(relay, 'video.generated', { id: 'files/1' })
    await send(relay, 'batch.succeeded', { id: known })
    await send(relay, 'ping', {})
    expect((await posted(24)).slice(0, 4).toSorted()).toEqual([
      'nightly succeeded 2/2',
      'nightly succeeded 2/2',
      'not needed',
      'plain files/1',
    ])
    expect(fetches()).toEqual([known, unknown])
  })

  it('deliveries that wait for an answer take no places in the queue of those that need none', async () => {
    // Five deliveries are all that a queue of this sink holds.
    const rules = `  - { name: ends, when: { type: batch.succeeded }, to: [{ sink: jobs, enrich: gemini }] }
  - { name: plain, when: { type: batch.failed }, to: [jobs] }`
    const relay = await start({ rules, jobs: 'concurrency: 1, batch: 5', gemini: ', enrich: { timeout: 20s }' })
    const [known, unknown] = [await batch(), await batch('succeeded', 'late')]
    const first = await send(relay, 'batch.succeeded', { id: known })
    await eventually(() => deliveryOf(first, 'jobs'), isIn('delivered'))
    await slow('20s')
    const waiting: string[] = []
    for (let n = 0; n < 20; n++) waiting.push(await send(relay, 'batch.succeeded', { id: unknown }))
    const through = [await send(relay, 'batch.succeeded', { id: known }), await send(relay, 'batch.failed', { id: unknown })]
    for (const id of through) await eventually(() => deliveryOf(id, 'jobs'), isIn('delivered'))
    expect(await Promise.all(waiting.map((id) => deliveryOf(id, 'jobs')))).not.toContainEqual(
      expect.objectContaining({ state: 'delivered' }),
    )
  })

  it('a restart between two tries loses nothing', async () => {
    const rules = enriched()
    const first = await start({ rules, ops: 'rate: 1000/s, retry: { initial: 100ms, factor: 1 }' })
    const name = await batch()
    await down()
    const id = await send(first, 'batch.succeeded', { id: name })
    await eventually(() => deliveryOf(id), isPutOff)
    await first.stop()
    await back()
    await start({ rules })
    expect(await posted(1)).toEqual(['nightly succeeded 2/2'])
  })

  it('a stop does not wait for an answer, and gives back what waited for it', async () => {
    const rules = enriched()
    const first = await start({ rules, gemini: ', enrich: { timeout: 20s }' })
    const name = await batch()
    await slow('15s')
    const id = await send(first, 'batch.succeeded', { id: name })
    await eventually(() => deliveryOf(id), isIn('leased'))
    await first.stop()
    expect(await deliveryOf(id)).toMatchObject({ state: 'pending', attempts: 0, code: null })
    await back()
    await start({ rules })
    expect(await posted(1)).toEqual(['nightly succeeded 2/2'])
  })

  it('a key that is refused shows what to do, and not the key', async () => {
    const relay = await start({ rules: enriched(), key: 'AIzaSy-another-key-nobody-may-see' })
    const id = await send(relay, 'batch.succeeded', { id: await batch() })
    await eventually(() => deliveryOf(id), isPutOff)
    const [row] = await listDeliveries(db, { state: 'pending', limit: 10 })
    expect(row).toMatchObject({ webhook_id: id, code: 'resource_unavailable', message: expect.stringMatching(/GEMINI_API_KEY/) })
    expect(`${row?.message}${relay.log()}`).not.toMatch(/AIzaSy/)
  })

  it('is asked no more often than the budget allows', async () => {
    const relay = await start({
      rules: enriched('{ from: gemini, unavailable: without }'),
      gemini: ', enrich: { budget: 2/h, timeout: 500ms }',
    })
    const names = [await batch(), await batch(), await batch()]
    for (const name of names) await send(relay, 'batch.succeeded', { id: name })
    expect((await posted(3)).toSorted()).toEqual(['  /', '  /', 'nightly succeeded 2/2'])
    expect(fetches()).toHaveLength(1)
  })
})

it('keeps enriched and plain messages of a channel to its one rate, and lets them take turns', async () => {
  await slack.close()
  slack = await startSlackServer({ messageEveryMs: 250 })
  const relay = await start({ rules: `${enriched()}\n${plain}`, ops: 'rate: 3/s' })
  const name = await batch()
  for (let n = 0; n < 4; n++) {
    await send(relay, 'batch.succeeded', { id: name })
    await send(relay, 'video.generated', { id: `files/${n}` })
  }
  const all = await posted(8)
  // One that came too early would have been refused, and sent again.
  expect(slack.requests()).toHaveLength(8)
  expect(all.slice(0, 6).filter((text) => text.startsWith('plain')).length).toBeGreaterThanOrEqual(2)
  expect(all.slice(0, 6).filter((text) => text.startsWith('nightly')).length).toBeGreaterThanOrEqual(2)
})

describe('an ordered sink', () => {
  it('keeps the order of a job whose events are enriched by one rule and not by another', async () => {
    const rules = `  - { name: acts, when: { type: interaction.requires_action }, to: [{ sink: ops, enrich: gemini, text: "acts {{ event.resource.state }}" }] }
  - { name: others, when: { type: video.generated }, to: [{ sink: ops, text: "plain" }] }`
    const relay = await start({ rules, ops: 'rate: 1000/s, order: subject, retry: { initial: 100ms, factor: 1 }' })
    const { id } = await sdks['3.x'](emulator.url, apiKey).interactions.create({ model: 'gemini-2.5-flash', input: 'one' })
    await down()
    const first = await send(relay, 'interaction.requires_action', { id })
    await eventually(() => deliveryOf(first), isPutOff)
    const second = await send(relay, 'video.generated', { id })
    await send(relay, 'video.generated', { id: 'another' })
    expect(await posted(1)).toEqual(['plain'])
    expect(await deliveryOf(second)).toMatchObject({ state: 'pending' })
    await back()
    expect(await posted(3)).toEqual(['plain', 'acts completed', 'plain'])
  })

  it('enriches nothing ahead of an event of the job that the sink has not taken yet', async () => {
    const rules = `  - { name: acts, when: { type: interaction.requires_action }, to: [{ sink: ops, enrich: gemini, text: "acts {{ event.resource.state }}" }] }
  - { name: others, when: { type: video.generated }, to: [{ sink: ops, text: "plain" }] }`
    const relay = await start({ rules, ops: 'rate: 1000/s, order: subject, retry: { initial: 2s, jitter: 0 }' })
    const { id } = await sdks['3.x'](emulator.url, apiKey).interactions.create({ model: 'gemini-2.5-flash', input: 'one' })
    slack.respond({ kind: 'status', status: 500 })
    const first = await send(relay, 'video.generated', { id })
    await eventually(
      () => deliveryOf(first),
      (delivery) => delivery?.attempts === 1,
    )
    await send(relay, 'interaction.requires_action', { id })
    expect(await posted(2)).toEqual(['plain', 'acts completed'])
  })
})

it('a relay that enriches does not start without a key', async () => {
  await expect(start({ rules: enriched(), key: '' })).rejects.toMatchObject({ code: 'api_key_missing' })
})
