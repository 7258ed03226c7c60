/** The process that a user runs is given other configurations: by a signal, by its files, and while it is busy. */
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startLoad } from '../setup/load.ts'
import { launchRelay, spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'

let database: TestDatabase
let db: pg.Pool
let receiver: Receiver
let relay: RelayProcess

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 2 })
})
afterAll(async () => {
  await db.end()
  await database.drop()
})
beforeEach(async () => {
  receiver = await startReceiver()
  await db.query('drop schema if exists gemini_relay cascade; drop table if exists public.jobs')
})
afterEach(async () => {
  await relay.stop()
  await receiver.close()
})

interface Odd {
  port?: number
  forward?: string
  jobs?: string
  sinks?: string
  rules?: string
}

/** Every event is a row, each failure goes to the receiver. */
function configText({ port = 0, forward = '', jobs = '', sinks = '', rules = '' }: Odd = {}): string {
  return `
server: { host: 127.0.0.1, port: ${port} }
database: { url: "${database.url}" }
sources: { gemini: { path: /hook, static: { secrets: ["${secret}"] } } }
sinks:
  jobs: { type: table, table: jobs, create: true, key: [id], columns: { id: event.webhook_id, type: event.type }, ${jobs} }
  forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true, ${forward} }
  trace: { type: log }
${sinks}
rules:
  - { name: all, to: [jobs] }
  - { name: failed, when: { type: batch.failed }, to: [forward, trace] }
${rules}
`
}

/** How often the relay has told of a configuration: one that it took, one that says nothing new, or one that it refused. */
const told = () => relay.log().match(/the configuration (was|says|was not) /g)?.length ?? 0

async function count(query: string): Promise<number> {
  const { rows } = await db.query<{ n: number }>(`select count(*)::int as n from ${query}`)
  return rows[0]?.n ?? 0
}

async function reloads(): Promise<unknown> {
  const body: unknown = await (await fetch(`${relay.url}/readyz`)).json()
  return body
}

describe('under load', () => {
  it('no request fails and no delivery is lost or doubled by 20 configurations, 5 of them broken, which change nothing', async () => {
    relay = await spawnRelay({ yaml: configText() })
    const hook = () => `${relay.url}/hook`
    const loads = [startLoad(hook, 900), startLoad(hook, 100, 'batch.failed')]
    const good: Odd[] = [
      { rules: '  - { name: none, when: { type: video.generated }, to: [trace] }' },
      { forward: 'timeout: 5s' },
      { forward: 'timeout: 6s', jobs: 'batch: 100' },
      {
        jobs: 'concurrency: 3',
        sinks: '  more: { type: log }',
        rules: '  - { name: more, when: { type: batch.expired }, to: [more] }',
      },
      { forward: 'concurrency: 2', jobs: 'timeout: 5s' },
    ]
    const broken = [
      'rules: [',
      configText({ rules: '  - { name: typo, to: [jbos] }' }),
      configText({ port: 1 }),
      configText({ rules: '  - { name: cel, if: "event.data.x >", to: [trace] }' }),
      configText({
        sinks: '  other: { type: table, table: nowhere, key: [id], columns: { id: event.subject } }',
        rules: '  - { name: o, to: [other] }',
      }),
    ]
    const turns = [...good, ...good, ...good].map(
      (odd, n) => [configText(odd), n % 3 === 2 ? broken[(n - 2) / 3] : undefined] as const,
    )
    const started = Date.now()
    for (const yaml of turns.flat()) {
      if (yaml === undefined) continue
      const before = told()
      writeFileSync(relay.file, yaml)
      relay.child.kill('SIGHUP')
      await eventually(told, (n) => n > before)
      await new Promise((resolve) => setTimeout(resolve, 250))
    }
    const seconds = (Date.now() - started) / 1_000
    await Promise.all(loads.map((load) => load.stop()))

    const answers = loads.flatMap((load) => load.answers)
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(answers.length).toBeGreaterThan(seconds * 1_000 * 0.8)
    await eventually(
      () => count(`gemini_relay.deliveries where state <> 'delivered'`),
      (n) => n === 0,
      60_000,
    )
    const failures = loads[1]?.acknowledged() ?? []
    expect(await count('gemini_relay.events')).toBe(answers.length)
    expect(await count('public.jobs')).toBe(answers.length)
    expect(await count('gemini_relay.deliveries')).toBe(answers.length + 2 * failures.length)
    const seen = receiver.requests.map(({ headers }) => String(headers['webhook-id']))
    expect(seen.toSorted()).toEqual(failures.toSorted())
    expect(await reloads()).toMatchObject({ detail: { config: { reloads: { applied: 15, refused: 5 } } } })
  }, 180_000)
})

describe('SIGHUP', () => {
  it('that comes while the relay starts is minded when it has started', async () => {
    const lock = await db.connect()
    // That of the migrations, see store/migrate.ts: the relay has read its files, and waits.
    await lock.query('select pg_advisory_lock(4738216051)')
    const starting = launchRelay({ yaml: configText(), args: ['--no-watch'] })
    try {
      const waiting = () => count(`pg_locks where locktype = 'advisory' and not granted`)
      await eventually(waiting, (n) => n === 1)
      writeFileSync(starting.file, configText({ rules: '  - { name: late, when: { type: video.generated }, to: [trace] }' }))
      starting.child.kill('SIGHUP')
    } finally {
      await lock.query('select pg_advisory_unlock(4738216051)')
      lock.release()
    }
    relay = { ...starting, url: await starting.ready }
    await eventually(told, (n) => n === 1)
    expect(relay.log()).toContain('"why":"SIGHUP","msg":"the configuration was reloaded"')
  })
})

describe('its files', () => {
  async function arrives(type: string): Promise<string> {
    const id = `msg_${type}_${Date.now()}`
    expect((await post(`${relay.url}/hook`, { id, body: envelope(type) })).status).toBe(200)
    return id
  }

  const ruleOf = (id: string) => receiver.requests.find(({ headers }) => headers['webhook-id'] === id)?.headers['relay-rule']

  it('are noticed when they are written, replaced, or what they include is there', async () => {
    relay = await spawnRelay({ yaml: configText() })
    writeFileSync(relay.file, configText({ rules: '  - { name: written, when: { type: video.generated }, to: [forward] }' }))
    await eventually(told, (n) => n === 1)
    const written = await arrives('video.generated')
    await eventually(
      () => ruleOf(written),
      (rule) => rule === 'written',
    )

    writeFileSync(
      `${relay.file}.new`,
      configText({ rules: '  - { name: replaced, when: { type: video.generated }, to: [forward] }' }),
    )
    renameSync(`${relay.file}.new`, relay.file)
    await eventually(told, (n) => n === 2)
    const replaced = await arrives('video.generated')
    await eventually(
      () => ruleOf(replaced),
      (rule) => rule === 'replaced',
    )

    const teams = join(dirname(relay.file), 'teams')
    mkdirSync(teams)
    const team = (name: string) => `rules: [{ name: ${name}, when: { type: interaction.failed }, to: [forward] }]`
    writeFileSync(join(teams, 'one.yaml'), team('team'))
    writeFileSync(relay.file, `include: teams/*.yaml\n${configText()}`)
    await eventually(told, (n) => n === 3)
    writeFileSync(join(teams, 'one.yaml'), 'rules: [')
    await eventually(told, (n) => n === 4)
    // A broken file is looked at too, or its mending would go unnoticed.
    writeFileSync(join(teams, 'one.yaml'), team('mended'))
    writeFileSync(join(teams, 'two.yaml'), team('another'))
    await eventually(
      () => relay.log(),
      (log) => (log.match(/was reloaded/g) ?? []).length >= 4,
    )
    const included = await arrives('interaction.failed')
    await eventually(
      () =>
        receiver.requests
          .filter(({ headers }) => headers['webhook-id'] === included)
          .map(({ headers }) => String(headers['relay-rule'])),
      (rules) => rules.length === 2 && rules.includes('another') && rules.includes('mended'),
    )
  })

  it('are noticed behind links that are turned, as a mounted ConfigMap is', async () => {
    const mount = mkdtempSync('/tmp/gemini-relay-mount-')
    try {
      const version = (name: string, text: string) => {
        mkdirSync(join(mount, name))
        writeFileSync(join(mount, name, 'team.yaml'), text)
        symlinkSync(name, join(mount, 'next'))
        renameSync(join(mount, 'next'), join(mount, 'data'))
      }
      version('v1', 'rules: [{ name: one, when: { type: video.generated }, to: [forward] }]')
      symlinkSync('data/team.yaml', join(mount, 'team.yaml'))
      relay = await spawnRelay({ yaml: `include: ${mount}/team.yaml\n${configText()}` })
      version('v2', 'rules: [{ name: two, when: { type: video.generated }, to: [forward] }]')
      await eventually(told, (n) => n === 1)
      const id = await arrives('video.generated')
      await eventually(
        () => ruleOf(id),
        (rule) => rule === 'two',
      )
    } finally {
      rmSync(mount, { recursive: true, force: true })
    }
  })
})
