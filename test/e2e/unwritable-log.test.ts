/** A log that cannot be written neither ends the relay nor keeps it from ending. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { freePorts } from '../setup/free-ports.ts'
import { binary, spawnRelay, writeConfig } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

/** Each write to it fails with ENOSPC; Linux has it. */
const fullDisk = '/dev/full'

let database: TestDatabase

beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())

function yaml(port: number): string {
  return `
server: { host: 127.0.0.1, port: ${port} }
database: { url: "${database.url}" }
sources: { gemini: { path: /hook, static: { secrets: ["${secret}"] } } }
sinks: { trace: { type: log } }
rules: [{ name: all, to: [trace] }]
`
}

it.skipIf(!existsSync(fullDisk))('answers, and ends when it is told to, while the disk of its log is full', async () => {
  const [port = 0] = await freePorts(1)
  const config = writeConfig(yaml(port))
  const log = openSync(fullDisk, 'w')
  const relay = spawn(process.execPath, [binary, 'serve', '--config', config.file], { stdio: ['ignore', 'ignore', log] })
  const exited = exitOf(relay)
  try {
    const url = `http://127.0.0.1:${port}`
    await eventually(
      () =>
        fetch(`${url}/readyz`)
          .then(({ status }) => status)
          .catch(String),
      (status) => status === 200,
    )
    expect((await post(`${url}/hook`, { body: envelope('batch.failed') })).status).toBe(200)
    relay.kill('SIGTERM')
    expect(await within(5_000, exited)).toBe(0)
  } finally {
    relay.kill('SIGKILL')
    closeSync(log)
    config.remove()
  }
})

it('answers, and ends when it is told to, after the reader of its log has gone', async () => {
  const relay = await spawnRelay({ yaml: yaml(0) })
  try {
    relay.child.stderr?.destroy()
    expect((await post(`${relay.url}/hook`, { body: envelope('batch.failed') })).status).toBe(200)
    relay.child.kill('SIGTERM')
    expect(await within(5_000, relay.exited)).toBe(0)
  } finally {
    await relay.kill()
  }
})

async function exitOf(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, 'exit')
  return typeof code === 'number' ? code : null
}

function within<T>(limitMs: number, promise: Promise<T>): Promise<T | string> {
  return Promise.race([promise, new Promise<string>((resolve) => setTimeout(resolve, limitMs, `not within ${limitMs} ms`))])
}
