import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { kafkaSuite } from '../setup/kafka-suite.ts'
import { binary } from '../setup/relay-process.ts'
import { eventually } from '../setup/sender.ts'

const asRoot = process.getuid?.() === 0

async function demo(args: readonly string[], options: { env?: Record<string, string>; uid?: number; main?: string } = {}) {
  const { env = {}, uid, main = binary } = options
  const child = spawn(process.execPath, [main, 'demo', ...args], {
    cwd: '/',
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()))
  return { child, output: () => output, exited: once(child, 'exit').then(([code]): unknown => code) }
}

const nobody = Number(spawnSync('id', ['-u', 'nobody']).stdout.toString())
const copies: string[] = []
afterAll(() => {
  for (const copy of copies) rmSync(copy, { recursive: true, force: true })
})

/** The binary, or a copy of its package where another user may not enter the folder of this one. */
function reachable(): string {
  if (spawnSync('test', ['-r', binary], { uid: nobody, gid: nobody }).status === 0) return binary
  const copy = mkdtempSync(join(tmpdir(), 'gemini-relay-copy-'))
  copies.push(copy)
  chmodSync(copy, 0o755)
  const root = dirname(dirname(binary))
  for (const part of ['dist', 'config', 'package.json', 'node_modules'])
    cpSync(join(root, part), join(copy, part), { recursive: true, verbatimSymlinks: true })
  return join(copy, 'dist/main.js')
}

it(`shows everything and exits 0${asRoot ? ', as an unprivileged user' : ''}`, async () => {
  const { output, exited } = await demo(['--once', '--log-level', 'debug'], asRoot ? { uid: nobody, main: reachable() } : {})
  expect([await exited, output()]).toEqual([
    0,
    expect.stringContaining('everything arrived: 36 requests, 33 events, 11 Slack messages, 0 Kafka records, 33 rows'),
  ])
  for (const shown of [
    '200 duplicate',
    '400 signature_mismatch',
    '400 stale_timestamp',
    'cache.expired',
    'urgent-batches → ops',
    'KAFKA_BROKERS is not set',
  ]) {
    expect(output()).toContain(shown)
  }
  // Its keys are made anew each time, and known by how they begin: signing secrets, tokens of Slack, JWTs, PEM, URLs with passwords.
  expect(output()).toContain('"level":"info"')
  expect(output()).not.toMatch(/whsec_|xoxb-|eyJ|BEGIN|postgres:\/\//)
})

it('goes on with a slow stream until Ctrl-C', async () => {
  const { child, output, exited } = await demo([])
  await eventually(output, (text) => /Ctrl-C ends it[^]*\n.*200 received/.test(text), 50_000)
  child.kill('SIGINT')
  expect([await exited, output()]).toEqual([0, expect.stringContaining('everything arrived')])
})

kafkaSuite('with a broker', (kafka) => {
  it('shows the records too', async () => {
    const { output, exited } = await demo(['--once'], { env: { KAFKA_BROKERS: kafka().brokers.join(',') } })
    expect([await exited, output()]).toEqual([0, expect.stringContaining('33 Kafka records, 33 rows')])
    expect(output()).toMatch(/KEY +CE_TYPE +WEBHOOK-ID +VALUE/)
  })
})
