import { rmSync } from 'node:fs'
import pg from 'pg'
import { afterEach, expect, it } from 'vitest'
import { startEmbedded, type Embedded } from '../../src/store/embedded/index.ts'
import { startLoad } from '../setup/load.ts'
import { binary, launchRelay, spawnRelay, writeConfig } from '../setup/relay-process.ts'
import { startRelay } from '../setup/relay.ts'
import { eventually, secret } from '../setup/sender.ts'
import { makeServerDir } from '../setup/server-dir.ts'

const releases: (() => Promise<unknown> | void)[] = []
afterEach(async () => {
  for (const release of releases.splice(0).toReversed()) await release()
})

const yaml = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks: { jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id } } }
rules: [{ name: all, to: [jobs] }]
`

/** A server of this test alone, to stop and start. */
async function ownPostgres(): Promise<{ url: string; stop(): Promise<void>; start(): Promise<void> }> {
  const dataDir = makeServerDir('gemini-relay-outage-')
  let server: Embedded = await startEmbedded({ dataDir })
  releases.push(async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const { url } = server
  return {
    url,
    stop: () => server.stop(),
    async start() {
      server = await startEmbedded({ dataDir })
      expect(server.url).toBe(url)
    },
  }
}

it('answers 503 with Retry-After while Postgres is stopped, and has kept everything it acknowledged', async () => {
  const postgres = await ownPostgres()
  const relay = await spawnRelay({ yaml, env: { DATABASE_URL: postgres.url, SECRET: secret } })
  releases.push(() => relay.stop())
  const load = startLoad(() => `${relay.url}/hook`, 200)
  await eventually(
    () => load.acknowledged().length,
    (count) => count > 200,
  )

  await postgres.stop()
  const stoppedAt = Date.now()
  await eventually(
    () => load.answers.filter(({ at, status }) => at > stoppedAt && status === 503).length,
    (count) => count > 200,
  )
  expect((await fetch(`${relay.url}/readyz`)).status).toBe(503)
  expect((await fetch(`${relay.url}/livez`)).status).toBe(200)
  await postgres.start()
  const startedAt = Date.now()
  await eventually(
    () => load.answers.filter(({ at, status }) => at > startedAt && status === 200).length,
    (count) => count > 200,
  )
  await load.stop()

  expect(new Set(load.answers.map(({ status }) => status))).toEqual(new Set([200, 503]))
  expect(load.answers.filter(({ status, retryAfter }) => status === 503 && !(Number(retryAfter) > 0))).toEqual([])
  expect(relay.child.exitCode).toBeNull()
  const db = new pg.Client({ connectionString: postgres.url })
  await db.connect()
  releases.push(() => db.end())
  const ids = async (sql: string) => new Set((await db.query<{ id: string }>(sql)).rows.map(({ id }) => id))
  const stored = await ids('select webhook_id as id from gemini_relay.events')
  expect(load.acknowledged().filter((id) => !stored.has(id))).toEqual([])
  await eventually(
    async () => {
      const rows = await ids('select id from jobs')
      return load.acknowledged().filter((id) => !rows.has(id))
    },
    (missing) => missing.length === 0,
    45_000,
  )
}, 120_000)

it('says at start that it waits for Postgres, and goes on when it is there', async () => {
  const postgres = await ownPostgres()
  await postgres.stop()
  const relay = launchRelay({ yaml, env: { DATABASE_URL: postgres.url, SECRET: secret } })
  releases.push(() => relay.stop())
  await eventually(
    () => relay.log(),
    (log) => log.includes('waiting for Postgres'),
  )
  await postgres.start()
  await relay.ready
  expect(relay.log()).not.toContain(decodeURIComponent(new URL(postgres.url.replace('@/', '@localhost/')).password))
})

it('gives up at start when no Postgres comes, and says what to do', async () => {
  const env = { DATABASE_URL: 'postgres://relay:hidden@127.0.0.1:9/relay', SECRET: secret }
  await expect(startRelay({ yaml, env })).rejects.toMatchObject({
    code: 'database_unreachable',
    message: expect.stringMatching(/^no usable Postgres at 127\.0\.0\.1:9\/relay: (?!.*hidden)/),
    hint: expect.stringContaining('DATABASE_URL'),
  })
})

it('ends with a clear message when the database refuses its password', async () => {
  const { execFile } = await import('node:child_process')
  const { promisify } = await import('node:util')
  const postgres = await ownPostgres()
  const config = writeConfig(yaml)
  releases.push(() => config.remove())
  const wrong = postgres.url.replace(/:[^:@/]+@/, ':wrong-password@')
  const failure: unknown = await promisify(execFile)(process.execPath, [binary, 'serve', '-c', config.file], {
    env: { PATH: process.env.PATH, DATABASE_URL: wrong, SECRET: secret },
  }).catch((error: unknown) => error)
  expect(failure).toMatchObject({ code: 1, stderr: expect.stringContaining('no usable Postgres at') })
  expect(JSON.stringify(failure)).not.toContain('wrong-password')
})
