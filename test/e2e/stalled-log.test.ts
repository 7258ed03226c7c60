/** Whoever reads the relay's log, or does not, holds up nobody else. */
import { once } from 'node:events'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'
import { answerWith, startReceiver, type Receiver } from '../sinks/receiver.ts'

let database: TestDatabase
let receiver: Receiver
let relay: RelayProcess

beforeEach(async () => {
  database = await createTestDatabase()
  receiver = await startReceiver()
  receiver.respond(answerWith(400, {}, 'no '.repeat(60)))
  relay = await spawnRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks: { forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true, concurrency: 50 } }
rules: [{ name: all, to: [forward] }]
`,
    env: { DATABASE_URL: database.url, SECRET: secret },
  })
})
afterEach(async () => {
  await relay.kill()
  await receiver.close()
  await database.drop()
})

const deliveries = 3_000
const lines = () => relay.log().split('delivery is dead').length - 1

/** Each event makes a line of the log, some 300 bytes: together more than any pipe holds. */
async function sendAll(): Promise<void> {
  for (let sent = 0; sent < deliveries; sent += 100) {
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => post(`${relay.url}/hook`, { body: envelope('batch.failed') })),
    )
    expect(answers.every(({ status }) => status === 200)).toBe(true)
  }
  await eventually(
    () => receiver.requests.length,
    (count) => count === deliveries,
    60_000,
  )
}

it('answers and delivers while nobody reads its log, which is whole once somebody does', async () => {
  relay.child.stderr?.pause()
  await sendAll()
  expect((await fetch(`${relay.url}/readyz`)).status).toBe(200)
  expect(lines()).toBeLessThan(deliveries)
  relay.child.stderr?.resume()
  await eventually(lines, (count) => count === deliveries)
  expect(relay.log()).not.toContain('lines of the log are missing')
}, 120_000)

it('ends when it is told to, while nobody reads its log', async () => {
  relay.child.stderr?.pause()
  await sendAll()
  const begun = Date.now()
  relay.child.kill('SIGTERM')
  await once(relay.child, 'exit')
  expect(relay.child.exitCode).toBe(0)
  expect(Date.now() - begun).toBeLessThan(10_000)
}, 120_000)
