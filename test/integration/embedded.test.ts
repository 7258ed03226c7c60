import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, type QueryResult } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { attachEmbedded, embeddedDataDir, startEmbedded, type Embedded } from '../../src/store/embedded/index.ts'
import { defaultSettings } from '../../src/store/embedded/settings.ts'
import { install, makeBase, startRelay, type RelayProcess, type User } from '../fixtures/embedded/installation.ts'
import { isAlive, processesUnder, serverPid, statusOf } from '../fixtures/embedded/processes.ts'

const asRoot = process.getuid?.() === 0
/** Any user that is not root will do; initdb wants one with a name. */
const unprivileged: User = {
  uid: Number(execFileSync('id', ['-u', 'nobody'])),
  gid: Number(execFileSync('id', ['-g', 'nobody'])),
}
const users: [string, User][] = asRoot
  ? [
      ['root', undefined],
      ['an unprivileged user', unprivileged],
    ]
  : [['an unprivileged user', undefined]]

const base = makeBase()
let installation: string
const running: { stop(): Promise<void> }[] = []
let made = 0

beforeAll(() => {
  installation = install(base)
})

afterEach(async () => {
  for (const started of running.splice(0)) await started.stop()
})

afterAll(() => {
  const left = processesUnder(base)
  for (const pid of left) process.kill(pid, 'SIGKILL')
  rmSync(base, { recursive: true, force: true, maxRetries: 5 })
  if (left.length > 0) throw new Error(`processes left behind: ${left.join(', ')}`)
})

describe.each(users)('started by %s', (_, user) => {
  /** Shared by those that do not need a fresh one; each leaves it stopped. */
  const used = newDataDir(user)

  it('serves SQL from an installation without library links, and leaves no process when it stops', async () => {
    const dataDir = used
    const relay = start(dataDir, user, { SLACK_BOT_TOKEN: 'xoxb-not-for-postgres' })
    const { url, adopted } = await relay.says('ready')
    expect(adopted).toBe(false)
    expect(await one(url, "SELECT current_database() || ' ' || current_user || ' ' || upper('ä') AS value")).toBe(
      'gemini_relay gemini_relay Ä',
    )
    const server = serverPid(dataDir)
    expect(statusOf(server, 'Uid')).not.toMatch(/\b0\b/)
    expect(readFileSync(`/proc/${server}/environ`, 'utf8')).not.toContain('xoxb-not-for-postgres')
    expect(linksIn(join(installation, 'node_modules'))).toEqual([])
    for (const secret of ['password', 'cluster', 'run']) expect(statSync(join(dataDir, secret)).mode & 0o077).toBe(0)
    await relay.end('SIGTERM')
    expect(processesUnder(dataDir)).toEqual([])
    expect(existsSync(join(dataDir, 'owner.lock'))).toBe(false)
  })

  it('keeps serving when a terminal interrupts the relay, so that it can drain', async () => {
    const dataDir = used
    const relay = start(dataDir, user)
    const { url } = await relay.says('ready')
    process.kill(-relay.pid, 'SIGINT')
    await relay.says('interrupted')
    expect(await one(url, 'SELECT 1 AS value')).toBe(1)
  })

  it('adopts the server that a killed relay left running, with what was committed, and stops it in the end', async () => {
    const dataDir = used
    const first = start(dataDir, user)
    const { url } = await first.says('ready')
    await query(url, 'CREATE TABLE kept AS SELECT 7 AS value')
    const server = serverPid(dataDir)
    await first.end('SIGKILL')
    expect(isAlive(server)).toBe(true)

    const second = start(dataDir, user)
    const taken = await second.says('ready')
    expect(taken).toEqual({ event: 'ready', url, adopted: true })
    expect(serverPid(dataDir)).toBe(server)
    expect(await one(taken.url, 'SELECT value FROM kept')).toBe(7)
    await second.end('SIGTERM')
    expect(processesUnder(dataDir)).toEqual([])
  })

  it('leaves the server of a live relay alone and says whose it is and what to do', async () => {
    const dataDir = used
    const owner = start(dataDir, user)
    const { url } = await owner.says('ready')
    const refused = await start(dataDir, user).says('failed')
    expect(refused.code).toBe('embedded_in_use')
    expect(refused.message).toContain(`pid ${owner.pid}`)
    expect(refused.hint).toMatch(/RELAY_DATA_DIR.*DATABASE_URL/)
    expect(await one(url, 'SELECT 1 AS value')).toBe(1)
  })

  it('gives the data to exactly one of several relays that start at once, also when all find a dead owner', async () => {
    const dataDir = newDataDir(user)
    for (const adopted of [false, true]) {
      const relays = Array.from({ length: 4 }, () => start(dataDir, user))
      const answers = await Promise.all(relays.map((relay) => relay.says('ready', 'failed')))
      const owners = relays.filter((__, index) => answers[index]?.event === 'ready')
      expect(owners).toHaveLength(1)
      expect(answers.filter((answer) => answer.event === 'ready')).toMatchObject([{ adopted }])
      expect(answers.filter((answer) => answer.event === 'failed').map(({ code }) => code)).toEqual(
        Array(3).fill('embedded_in_use'),
      )
      await owners[0]?.end('SIGKILL')
    }
    const last = start(dataDir, user)
    await last.says('ready')
  })

  it('begins anew when the relay was killed while making the database', async () => {
    const dataDir = newDataDir(user)
    const first = start(dataDir, user)
    while (!existsSync(dataDir) || !readdirSync(dataDir).some((name) => name.startsWith('initdb-'))) await sleep(1)
    await first.end('SIGKILL')
    expect(existsSync(join(dataDir, 'cluster'))).toBe(false)
    const second = start(dataDir, user)
    const { url } = await second.says('ready')
    expect(await one(url, 'SELECT 1 AS value')).toBe(1)
    expect(readdirSync(dataDir).filter((name) => name.startsWith('initdb-'))).toEqual([])
  })
})

/** What only a root relay meets. */
describe.each(asRoot ? ['root'] : [])('as %s', () => {
  it('runs from a copy when the installation is closed to the user of the server', async () => {
    const closed = join(base, 'closed')
    mkdirSync(closed)
    execFileSync('cp', ['-a', installation, closed])
    chmodSync(closed, 0o700)
    const dataDir = newDataDir(undefined)
    const relay = startRelay({ installation: join(closed, 'installation'), dataDir, user: undefined })
    running.push({ stop: () => relay.end('SIGTERM') })
    const { url } = await relay.says('ready')
    expect(await one(url, 'SELECT 1 AS value')).toBe(1)
    expect(readFileSync(`/proc/${serverPid(dataDir)}/cmdline`, 'utf8')).toMatch(new RegExp(`^${dataDir}/postgres-`))
  })

  it('names the directory that keeps the user of the server from the data', async () => {
    const closed = join(base, 'private')
    mkdirSync(closed, { mode: 0o700 })
    const refused = startEmbedded({ dataDir: join(closed, 'data') })
    await expect(refused).rejects.toMatchObject({
      code: 'embedded_unavailable',
      message: expect.stringContaining(`${closed} is closed`),
    })
  })
})

/** For what needs no fresh one; each test leaves it stopped. */
const shared = newDataDir(undefined)

describe('a server in trouble', () => {
  it('is started again on the same address when it crashes', async () => {
    const dataDir = shared
    const embedded = await begin(dataDir)
    await query(embedded.url, 'CREATE TABLE kept AS SELECT 7 AS value')
    const crashed = serverPid(dataDir)
    process.kill(crashed, 'SIGKILL')
    await until(async () => (await one(embedded.url, 'SELECT value FROM kept')) === 7)
    expect(serverPid(dataDir)).not.toBe(crashed)
    await embedded.stop()
    expect(processesUnder(dataDir)).toEqual([])
  })

  it('starts although an old pid file names a process of today', async () => {
    const dataDir = shared
    const before = await begin(dataDir)
    const pidFile = join(dataDir, 'cluster', 'postmaster.pid')
    const lines = readFileSync(pidFile, 'utf8').split('\n')
    await before.stop()
    const bystander = startBystander(dataDir)
    const stale = [String(bystander), ...lines.slice(1)].join('\n')
    for (const file of [pidFile, join(dataDir, 'run', '.s.PGSQL.5432.lock')]) {
      writeFileSync(file, stale)
      const { uid, gid } = statSync(join(dataDir, 'cluster'))
      chownSync(file, uid, gid)
    }
    const after = await begin(dataDir)
    expect(await one(after.url, 'SELECT 1 AS value')).toBe(1)
    expect(isAlive(bystander)).toBe(true)
  })

  it('whose settings it refuses is reported with the last lines of its log', async () => {
    const dataDir = shared
    const refused = startEmbedded({ dataDir, settings: { shared_buffers: 'plenty' } })
    await expect(refused).rejects.toMatchObject({
      code: 'embedded_unavailable',
      message: expect.stringMatching(/invalid value.*shared_buffers/),
    })
    const embedded = await begin(dataDir)
    expect(await one(embedded.url, 'SELECT 1 AS value')).toBe(1)
  })

  it('refuses data that another major version of Postgres has made', async () => {
    const dataDir = shared
    const embedded = await begin(dataDir)
    await embedded.stop()
    const versionFile = join(dataDir, 'cluster', 'PG_VERSION')
    const version = readFileSync(versionFile)
    writeFileSync(versionFile, '13\n')
    const refused = startEmbedded({ dataDir })
    await expect(refused).rejects.toMatchObject({ code: 'database_unsupported', message: expect.stringContaining('Postgres 13') })
    writeFileSync(versionFile, version)
  })
})

describe('the directory', () => {
  it('may lie too deep for a socket, and have spaces and commas in its name', async () => {
    const dataDir = join(newDataDir(undefined), 'a name, with "quotes"', 'x'.repeat(100))
    const embedded = await begin(dataDir)
    expect(await one(embedded.url, 'SELECT 1 AS value')).toBe(1)
    const socketDir = new URL(embedded.url.replace('@/', '@socket/')).searchParams.get('host') ?? ''
    expect(socketDir.length).toBeLessThan(90)
    expect(statSync(socketDir).mode & 0o777).toBe(0o700)
    expect(await one((await attachEmbedded({ dataDir })).url, 'SELECT 1 AS value')).toBe(1)
    await embedded.stop()
    rmSync(join(socketDir, '..'), { recursive: true })

    const spaced = join(newDataDir(undefined), 'a name, with "quotes"')
    const short = await begin(spaced)
    expect(short.url).toContain(encodeURIComponent(spaced))
    expect(await one(short.url, 'SELECT 1 AS value')).toBe(1)
  })

  it('cuts a server log that has grown large', async () => {
    const dataDir = shared
    const log = join(dataDir, 'postgres.log')
    mkdirSync(dataDir, { recursive: true })
    writeFileSync(log, '', { flag: 'a' })
    truncateSync(log, 11_000_000)
    await begin(dataDir)
    expect(statSync(log).size).toBeLessThan(100_000)
  })

  it('is the one RELAY_DATA_DIR names, else one for each configuration', () => {
    expect(embeddedDataDir({ configFile: '/srv/shop/config/relay.yaml', env: { RELAY_DATA_DIR: '/data/relay' } })).toBe(
      '/data/relay',
    )
    const dirs = ['/srv/shop/config/relay.yaml', '/srv/shop/config/demo.yaml', '/srv/other/relay.yaml'].map((configFile) =>
      embeddedDataDir({ configFile, env: { RELAY_DATA_DIR: '' } }),
    )
    expect(new Set(dirs).size).toBe(3)
    expect(dirs[0]).toMatch(asRoot ? /^\/var\/lib\/gemini-relay\/relay-[0-9a-f]{12}$/ : /^\/srv\/shop\/config\/\.relay\/relay$/)
  })
})

describe('a command', () => {
  it('attaches to the server of a running relay and leaves it running', async () => {
    const dataDir = shared
    const embedded = await begin(dataDir)
    const { url } = await attachEmbedded({ dataDir })
    await query(url, 'CREATE TABLE seen AS SELECT 3 AS value')
    expect(await one(embedded.url, 'SELECT value FROM seen')).toBe(3)
    await embedded.stop()
    await expect(attachEmbedded({ dataDir })).rejects.toMatchObject({
      code: 'embedded_unavailable',
      hint: expect.stringContaining('gemini-relay serve'),
    })
  })
})

describe('the settings', () => {
  const gb = 1_073_741_824

  it('hold durability and room for many small commits, and can be overridden', async () => {
    const embedded = await begin(shared, { max_connections: 17 })
    const shown = async (name: string) => one(embedded.url, `SELECT current_setting('${name}') AS value`)
    expect(await shown('max_connections')).toBe('17')
    expect(await shown('fsync')).toBe('on')
    expect(await shown('synchronous_commit')).toBe('on')
    expect(await shown('listen_addresses')).toBe('')
    expect(['lz4', 'pglz']).toContain(await shown('wal_compression'))
  })

  it('shrink on a small machine', () => {
    expect(defaultSettings({ memory: 64 * gb, freeDisk: 500 * gb, lz4: true })).toMatchObject({
      shared_buffers: '256MB',
      max_wal_size: '4096MB',
    })
    expect(defaultSettings({ memory: gb / 2, freeDisk: 4 * gb, lz4: false })).toMatchObject({
      shared_buffers: '64MB',
      max_wal_size: '512MB',
    })
  })
})

/** A directory that `user` may write to. */
function newDataDir(user: User): string {
  const home = join(base, `home-${(made += 1)}`)
  mkdirSync(home, { mode: 0o755 })
  if (user !== undefined) chownSync(home, user.uid, user.gid)
  return join(home, 'data')
}

function start(dataDir: string, user: User, env: NodeJS.ProcessEnv = {}): RelayProcess {
  const relay = startRelay({ installation, dataDir, user, env })
  running.push({
    stop: () => (relay.process.exitCode === null && relay.process.signalCode === null ? relay.end('SIGTERM') : Promise.resolve()),
  })
  return relay
}

async function begin(dataDir: string, settings: Record<string, string | number> = {}): Promise<Embedded> {
  const embedded = await startEmbedded({ dataDir, settings })
  running.push(embedded)
  return embedded
}

/** A process of the server's user that has nothing to do with Postgres. */
function startBystander(dataDir: string): number {
  const { uid, gid } = statSync(join(dataDir, 'cluster'))
  const bystander = spawn('sleep', ['600'], { uid, gid, stdio: 'ignore' })
  running.push({ stop: async () => void bystander.kill('SIGKILL') })
  if (bystander.pid === undefined) throw new Error('sleep did not start')
  return bystander.pid
}

/** Every symbolic link below `dir`. */
function linksIn(dir: string): string[] {
  return readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isSymbolicLink())
    .map((entry) => entry.name)
}

async function query(url: string, sql: string): Promise<QueryResult<{ value: unknown }>> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return await client.query(sql)
  } finally {
    await client.end()
  }
}

async function one(url: string, sql: string): Promise<unknown> {
  const { rows } = await query(url, sql)
  return rows[0]?.value
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  while (!(await holds().catch(() => false))) await sleep(20)
}
