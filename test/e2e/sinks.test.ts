import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { property } from '../../src/errors.ts'
import { cli } from '../setup/cli.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { spawnRelay, writeConfig, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'
import { accept, answerWith, startReceiver, type Receiver } from '../sinks/receiver.ts'

let database: TestDatabase
let db: pg.Pool
let receiver: Receiver
let config: { file: string; remove(): void }
let env: Record<string, string>
let yaml: string
let relay: RelayProcess

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 2 })
  receiver = await startReceiver()
  env = { DATABASE_URL: database.url, SECRET: secret, TOKEN: 't0ken-of-the-hook' }
  yaml = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  forward:
    type: http
    url: "http://127.0.0.1:${receiver.port}/hooks/\${TOKEN}"
    allow_private: true
    headers: { authorization: "Bearer \${TOKEN}" }
    value: { id: event.webhook_id, job: event.subject }
  jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id } }
rules:
  - { name: all, to: [forward, jobs] }
`
  config = writeConfig(yaml)
  relay = await spawnRelay({ yaml, env })
})
afterAll(async () => {
  await relay.stop()
  await receiver.close()
  config.remove()
  await db.end()
  await database.drop()
})

const sinks = (...args: string[]) => cli(['sinks', ...args, '-c', config.file], env)

async function listed(): Promise<unknown> {
  return JSON.parse((await sinks('list', '--json')).stdout)
}

async function send(count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => `msg_${randomUUID()}`)
  for (const id of ids)
    expect(await post(`${relay.url}/hook`, { id, body: envelope('batch.failed', { id: 'b1' }) })).toMatchObject({ status: 200 })
  return ids
}

async function pausedSinks(): Promise<{ status: number; paused: unknown }> {
  const response = await fetch(`${relay.url}/readyz`)
  const body: unknown = await response.json()
  return { status: response.status, paused: property(property(body, 'detail'), 'paused_sinks') }
}

async function rowsOf(ids: readonly string[]): Promise<number> {
  return (await db.query('select from jobs where id = any ($1)', [ids])).rows.length
}

it('keeps what a sink that answers 410 is owed until somebody resumes it, through a restart, while others go on', async () => {
  receiver.respond(answerWith(410, {}, 'the hook t0ken-of-the-hook was deleted'))
  const [first = ''] = await send(1)
  const { status, paused } = await eventually(pausedSinks, (seen) => Array.isArray(seen.paused) && seen.paused.length === 1)
  const reason = `127.0.0.1:${receiver.port} answered 410: the hook [hidden] was deleted`
  expect(status).toBe(200)
  expect(paused).toEqual([{ sink: 'forward', reason, since: expect.stringMatching(/^\d{4}-/) }])
  const more = await send(10)
  await eventually(
    () => rowsOf([first, ...more]),
    (rows) => rows === 11,
  )

  await relay.kill()
  relay = await spawnRelay({ yaml, env })
  const late = await send(5)
  await eventually(
    () => rowsOf(late),
    (rows) => rows === 5,
  )
  expect(receiver.requests).toHaveLength(1)
  expect(await listed()).toEqual([
    { name: 'forward', type: 'http', state: 'paused', reason, since: expect.stringMatching(/^\d{4}-/), pending: 16, dead: 0 },
    { name: 'jobs', type: 'table', state: 'running', reason: null, since: null, pending: 0, dead: 0 },
  ])
  expect((await sinks('list')).stdout).toMatch(
    /^SINK +TYPE +STATE.*\nforward +http +paused +16 +0 .*answered 410.*\njobs +table +running/,
  )

  receiver.respond(accept)
  expect(await sinks('resume', 'forward')).toMatchObject({
    code: 0,
    stdout: 'forward is resumed: 16 deliveries wait for it\n',
  })
  const got = () => receiver.requests.slice(1).map(({ body }) => String(JSON.parse(body.toString()).id))
  await eventually(got, (ids) => ids.length === 16)
  expect(got().toSorted()).toEqual([first, ...more, ...late].toSorted())
  expect(receiver.requests.at(-1)?.headers.authorization).toBe('Bearer t0ken-of-the-hook')
  expect(relay.log()).not.toContain('t0ken')
  expect(await pausedSinks()).toEqual({ status: 200, paused: [] })
})

it('is paused and resumed by name, with an answer for what cannot be', async () => {
  expect(await sinks('pause', 'jobs', '--reason', 'moving the table')).toMatchObject({ code: 0, stdout: 'jobs is paused\n' })
  expect(await sinks('pause', 'jobs')).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^jobs is paused already, since \d{4}-.*: moving the table\n$/),
  })
  await eventually(pausedSinks, ({ paused }) => JSON.stringify(paused).includes('moving the table'))
  const ids = await send(3)
  await eventually(
    () => receiver.requests.filter(({ body }) => ids.includes(String(JSON.parse(body.toString()).id))).length,
    (count) => count === 3,
  )
  expect(await rowsOf(ids)).toBe(0)
  expect(await sinks('resume', 'jobs')).toMatchObject({ code: 0, stdout: 'jobs is resumed: 3 deliveries wait for it\n' })
  await eventually(
    () => rowsOf(ids),
    (rows) => rows === 3,
  )
  expect(await sinks('resume', 'jobs')).toMatchObject({ code: 1, stdout: 'jobs is not paused\n' })
  for (const command of ['pause', 'resume']) {
    expect(await sinks(command, 'job')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no sink job, did you mean `jobs`?'),
    })
    expect(await sinks(command)).toMatchObject({ code: 2 })
  }
})
