import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'
import { binary, launchRelay, spawnRelay, writeConfig, type RelayConfig } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'
import { makeServerDir } from '../setup/server-dir.ts'

let dataDir: string
let receiver: Receiver
const stops: (() => Promise<unknown>)[] = []

beforeEach(async () => {
  dataDir = makeServerDir('gemini-relay-e2e-')
  receiver = await startReceiver()
})
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  await receiver.close()
  rmSync(dataDir, { recursive: true, force: true })
})

const config = (): RelayConfig => ({
  yaml: `
server: { host: 127.0.0.1, port: 0 }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id } }
  forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true }
rules: [{ name: all, to: [jobs, forward] }]
`,
  env: { SECRET: secret, RELAY_DATA_DIR: dataDir },
})

it('needs no database set up, and stops its own with it', async () => {
  const relay = await spawnRelay(config())
  expect(await post(`${relay.url}/hook`, { body: envelope('batch.succeeded') })).toMatchObject({ status: 200 })
  expect(serversOn(dataDir)).not.toEqual([])
  await relay.stop()
  expect(await relay.exited).toBe(0)
  expect(serversOn(dataDir)).toEqual([])
})

it('goes on with the database that a relay killed with -9 left running, and delivers what that one owed', async () => {
  receiver.respond(() => {})
  const first = await spawnRelay(config())
  await post(`${first.url}/hook`, { id: 'msg_owed', body: envelope('batch.succeeded') })
  await eventually(
    () => receiver.requests.length,
    (count) => count === 1,
  )
  await first.kill()
  const [left] = serversOn(dataDir)
  expect(left).toBeDefined()

  receiver.respond((response) => {
    response.writeHead(204).end()
  })
  const second = await spawnRelay(config())
  stops.push(() => second.stop())
  expect(serversOn(dataDir)).toContain(left)
  expect(second.log()).toContain('"adopted":true')
  await eventually(
    () => receiver.requests.map(({ headers }) => headers['webhook-id']),
    (ids) => ids.length === 2,
    45_000,
  )
  expect(receiver.requests.at(-1)?.headers['webhook-id']).toBe('msg_owed')
}, 90_000)

it('refuses a second relay on the same data with a clear error, and lets commands look', async () => {
  const relay = await spawnRelay(config())
  stops.push(() => relay.stop())
  await post(`${relay.url}/hook`, { id: 'msg_seen', body: envelope('batch.succeeded') })
  const second = launchRelay(config())
  await expect(second.ready).rejects.toThrow('the relay ended with 1')
  expect(await second.exited).toBe(1)
  expect(second.log()).toMatch(new RegExp(`${relay.pid}[^]*RELAY_DATA_DIR`))

  const { yaml, env } = config()
  const file = writeConfig(yaml)
  const list = execFileSync(process.execPath, [binary, 'deliveries', 'list', '-c', file.file], {
    env: { PATH: process.env.PATH, ...env },
  })
  file.remove()
  expect(list.toString()).toContain('msg_seen')
  expect(await post(`${relay.url}/hook`, { body: envelope('batch.succeeded') })).toMatchObject({ status: 200 })
})

it('tells a command that no relay is running', () => {
  const { yaml, env } = config()
  const file = writeConfig(yaml)
  expect(() =>
    execFileSync(process.execPath, [binary, 'deliveries', 'list', '-c', file.file], {
      env: { PATH: process.env.PATH, ...env },
      stdio: 'pipe',
    }),
  ).toThrow(/no embedded Postgres is running/)
  file.remove()
})

/** Process ids of Postgres servers that run on a directory. */
function serversOn(directory: string): string[] {
  if (!existsSync('/proc')) throw new Error('this test reads /proc')
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid)) return false
    try {
      const args = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return args.includes('-D') && args.some((argument) => argument.startsWith(directory))
    } catch {
      return false
    }
  })
}
