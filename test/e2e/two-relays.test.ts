import { createHmac, randomUUID } from 'node:crypto'
import { Agent, request } from 'node:http'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, secret } from '../setup/sender.ts'

const yaml = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id, type: event.type, note: "event.data.?note.orValue('')" } }
  states: { type: table, table: states, key: [job], create: true, columns: { job: event.subject, type: event.type } }
rules:
  - { name: one, to: [jobs] }
  - { name: two, to: [states] }
`

let database: TestDatabase
let relays: RelayProcess[]
let db: pg.Pool
const agent = new Agent({ keepAlive: true, maxSockets: 128 })

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 4 })
  relays = await Promise.all([1, 2].map(() => spawnRelay({ yaml, env: { DATABASE_URL: database.url, SECRET: secret } })))
})
afterAll(async () => {
  agent.destroy()
  await Promise.all(relays.map((relay) => relay.stop()))
  await db.end()
  await database.drop()
})

it('makes 100 events and 100 rows a table of 1,000 concurrent deliveries of 100 ids to two relays', async () => {
  const bodies = new Map(
    Array.from({ length: 100 }, (_, n) => [`msg_${n}_${randomUUID()}`, envelope('batch.succeeded', { id: `job_${n}` })]),
  )
  const order = Array.from({ length: 10 }, () => [...bodies.keys()])
    .flat()
    .toSorted(() => Math.random() - 0.5)
  const answers = await Promise.all(order.map((id, n) => send(relays[n % 2], id, Buffer.from(bodies.get(id) ?? ''))))
  expect(tally(answers)).toEqual({ '200 received': 100, '200 duplicate': 900 })
  await eventually(
    () => count('select count(*) from jobs'),
    (rows) => rows === 100,
  )
  await eventually(
    () => count('select count(*) from states'),
    (rows) => rows === 100,
  )
  expect(await count('select count(*) from gemini_relay.events')).toBe(100)
  await eventually(
    () => count(`select count(*) from gemini_relay.deliveries where state = 'delivered'`),
    (rows) => rows === 200,
  )
  expect(await count('select count(distinct (event_id, rule)) from gemini_relay.deliveries')).toBe(200)
})

it('keeps a group of 64 that holds every kind of body that jsonb or text would refuse', async () => {
  const before = await count('select count(*) from gemini_relay.events')
  const rows = await count('select count(*) from jobs')
  const poisons: (string | Buffer)[] = [
    '{"type":"batch.succeeded","data":{"id":"a\\u0000b","note":"x\\u0000y"}}',
    '{"type":"batch.succeeded","data":{"id":"\\ud800","note":"\\udfff"}}',
    '{"type":"batch.\\u0000\\ud800","data":{"id":"odd type"}}',
    '{"type":"batch.succeeded","data":{"id":"big","n":1e400000}}',
    `{"type":"batch.succeeded","data":{"id":"deep","x":${'['.repeat(50_000)}${']'.repeat(50_000)}}}`,
    `{"type":"batch.succeeded","data":{"id":"${'long'.repeat(5_000)}"}}`,
    '{"type":"batch.succeeded","timestamp":"+275760-09-13T00:00:00.000Z","data":{"id":"late"}}',
    '{"type":"batch.succeeded","timestamp":"-271821-04-20T00:00:00.000Z","data":{"id":"early"}}',
    '{"type":"batch.succeeded","timestamp":"not a date","data":{"id":"undated"}}',
    '{"type":"batch.succeeded","__proto__":{"x":1},"data":{"id":"proto","__proto__":{"y":1}}}',
    '{"type":7,"data":null}',
    '[]',
    '',
    'not json',
    Buffer.from([0xff, 0xfe, 0x00, 0x80]),
  ]
  const bodies = Array.from({ length: 64 }, (_, n) => poisons[n] ?? envelope('batch.failed', { id: `clean_${n}` }))
  const answers = await Promise.all(bodies.map((body) => send(relays[0], `msg_${randomUUID()}`, Buffer.from(body))))
  expect(tally(answers)).toEqual({ '200 received': 64 })
  expect(await count('select count(*) from gemini_relay.events')).toBe(before + 64)
  await eventually(
    () => count(`select count(*) from gemini_relay.deliveries where state in ('pending', 'leased')`),
    (open) => open === 0,
  )
  expect((await db.query(`select d.sink, d.code, d.message from gemini_relay.deliveries d where state = 'dead'`)).rows).toEqual(
    [],
  )
  expect(await count('select count(*) from jobs')).toBe(rows + 64)
  expect(relays.map((relay) => relay.log()).join('')).not.toContain('"level":"error"')
})

async function count(sql: string): Promise<number> {
  const { rows } = await db.query<{ count: string }>(sql)
  return Number(rows[0]?.count)
}

function tally(answers: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const answer of answers) counts[answer] = (counts[answer] ?? 0) + 1
  return counts
}

function send(relay: RelayProcess | undefined, id: string, body: Buffer): Promise<string> {
  const timestamp = String(Math.floor(Date.now() / 1_000))
  const signature = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
    .update(`${id}.${timestamp}.`)
    .update(body)
    .digest('base64')
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${signature}`,
    'content-length': body.length,
  }
  return new Promise((resolve, reject) => {
    const sending = request(`${relay?.url}/hook`, { method: 'POST', agent, headers }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve(`${response.statusCode} ${JSON.parse(text).status ?? text}`))
    })
    sending.on('error', reject)
    sending.end(body)
  })
}
