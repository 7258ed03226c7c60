import { connect } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import pg from 'pg'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startLoad } from '../setup/load.ts'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret, signedHeaders } from '../setup/sender.ts'

let database: TestDatabase
let receiver: Receiver
let relay: RelayProcess

beforeEach(async () => {
  database = await createTestDatabase()
  receiver = await startReceiver()
  relay = await spawnRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id } }
  forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true }
rules: [{ name: all, to: [jobs, forward] }]
`,
    env: { DATABASE_URL: database.url, SECRET: secret },
  })
})
afterEach(async () => {
  if (relay.child.exitCode === null) await relay.kill()
  await receiver.close()
  await database.drop()
})

it('answers every request it has read when SIGTERM comes under load, and exits 0 in time', async () => {
  const load = startLoad(() => `${relay.url}/hook`, 400)
  await eventually(
    () => load.acknowledged().length,
    (count) => count > 400,
  )
  const asked = Date.now()
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  expect(Date.now() - asked).toBeLessThan(20_000)
  await load.stop()
  expect(new Set(load.answers.map(({ status }) => status))).toEqual(new Set([0, 200, 503]))
  // No answer: nobody listens any more, or a new connection was still waiting to be taken when the listening ended.
  const broken = load.answers.filter(({ status }) => status === 0)
  expect(broken.filter(({ error, reused }) => reused || (error !== 'ECONNREFUSED' && error !== 'ECONNRESET'))).toEqual([])
  const stored = await eventIds()
  expect(load.acknowledged().filter((id) => !stored.has(id))).toEqual([])
  expect(broken.filter(({ id }) => stored.has(id))).toEqual([])
})

it('answers a request whose body is still coming when SIGTERM comes, with Connection: close', async () => {
  const body = envelope('batch.succeeded')
  const socket = connect(Number(new URL(relay.url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  const closed = new Promise((resolve) => socket.on('close', resolve))
  const headers = Object.entries(signedHeaders({ body })).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.write(
    `POST /hook HTTP/1.1\r\nhost: relay\r\n${headers.join('')}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body.slice(0, 10)}`,
  )
  await new Promise((resolve) => setTimeout(resolve, 100))
  relay.child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 300))
  socket.write(body.slice(10))
  await closed
  expect(answer).toMatch(/^HTTP\/1.1 200 OK/)
  expect(answer).toMatch(/connection: close/i)
  expect(await relay.exited).toBe(0)
})

it('closes the connection of a request that it refuses while it shuts down, and does not wait for its owner', async () => {
  const socket = connect(Number(new URL(relay.url).port), '127.0.0.1')
  let answer = ''
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
  socket.write('POST /hook HTTP/1.1\r\nhost: relay\r\ncontent-length: 10\r\n\r\n12345')
  await new Promise((resolve) => setTimeout(resolve, 100))
  const asked = Date.now()
  relay.child.kill('SIGTERM')
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  socket.write('67890')
  expect(await relay.exited).toBe(0)
  expect(Date.now() - asked).toBeLessThan(10_000)
  expect(answer).toMatch(/^HTTP\/1.1 400 [^]*connection: close/i)
})

it('gives up what hangs at the end of its time, and exits 0', async () => {
  receiver.respond(() => {})
  await post(`${relay.url}/hook`, { body: envelope('batch.failed') })
  await eventually(
    () => receiver.requests.length,
    (count) => count === 1,
  )
  const db = new pg.Client({ connectionString: database.url })
  await db.connect()
  // Outcomes cannot be written while this lasts.
  await db.query('begin; lock table gemini_relay.deliveries in access exclusive mode')
  const asked = Date.now()
  relay.child.kill('SIGTERM')
  const code = await relay.exited
  await db.end()
  expect(code).toBe(0)
  expect(Date.now() - asked).toBeLessThan(45_000)
}, 90_000)

it('finishes the attempt under way and gives back what it has not begun', async () => {
  receiver.respond((response) => {
    setTimeout(() => response.writeHead(204).end(), 1_000)
  })
  for (let n = 0; n < 30; n++) await post(`${relay.url}/hook`, { body: envelope('batch.failed') })
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(0)
  const db = new pg.Client({ connectionString: database.url })
  await db.connect()
  const { rows } = await db.query<{ state: string; count: string }>(
    `select state, count(*) from gemini_relay.deliveries where sink = 'forward' group by state`,
  )
  const leases = await db.query('select id from gemini_relay.leases')
  await db.end()
  const states = Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]))
  expect(states.leased).toBeUndefined()
  expect(states.delivered).toBe(receiver.requests.length)
  expect((states.delivered ?? 0) + (states.pending ?? 0)).toBe(30)
  expect(leases.rows).toEqual([])
})

async function eventIds(): Promise<Set<string>> {
  const db = new pg.Client({ connectionString: database.url })
  await db.connect()
  const { rows } = await db.query<{ webhook_id: string }>('select webhook_id from gemini_relay.events')
  await db.end()
  return new Set(rows.map(({ webhook_id }) => webhook_id))
}

it('exits at once on a second signal', async () => {
  receiver.respond(() => {})
  await post(`${relay.url}/hook`, { body: envelope('batch.failed') })
  await eventually(
    () => receiver.requests.length,
    (count) => count === 1,
  )
  relay.child.kill('SIGTERM')
  await eventually(
    () => relay.log(),
    (log) => log.includes('a second signal exits at once'),
  )
  relay.child.kill('SIGTERM')
  expect(await relay.exited).toBe(1)
})
