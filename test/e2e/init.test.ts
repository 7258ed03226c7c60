/** `gemini-relay init`: from an address and a key to a ping that arrived, against `gemini-relay emulate`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { configText } from '../../src/cli/init/config-text.ts'
import { loadConfig } from '../../src/config/load.ts'
import { generateKey } from '../../src/encryption.ts'
import { cli, type Ran } from '../setup/cli.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { sdks } from '../setup/emulator.ts'
import { freePorts } from '../setup/free-ports.ts'
import { binary, spawnRelay } from '../setup/relay-process.ts'
import { eventually } from '../setup/sender.ts'

let emulatorUrl: string
let emulator: ReturnType<typeof spawn>
let directory: string
let database: TestDatabase
let file: string
let env: Record<string, string>

beforeAll(async () => {
  emulator = spawn(process.execPath, [binary, 'emulate', '--port', '0', '--json'], { stdio: ['ignore', 'pipe', 'ignore'] })
  let said = ''
  emulator.stdout?.on('data', (chunk: Buffer) => void (said += chunk.toString()))
  emulatorUrl =
    /"url":"([^"]+)"/.exec(
      await eventually(
        () => said,
        (text) => text.includes('\n'),
      ),
    )?.[1] ?? ''
})
afterAll(() => void emulator.kill('SIGKILL'))

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gemini-relay-init-'))
  database = await createTestDatabase()
  file = join(directory, 'config', 'relay.yaml')
  env = { DATABASE_URL: database.url, GEMINI_API_KEY: 'test-key', GOOGLE_GEMINI_BASE_URL: emulatorUrl, RELAY_HOST: '127.0.0.1' }
  onTestFinished(async () => {
    rmSync(directory, { recursive: true, force: true })
    const { webhooks } = sdks['3.x'](emulatorUrl)
    for (const { id = '' } of (await webhooks.list()).webhooks ?? []) await webhooks.delete(id)
    await database.drop()
  })
})

async function init(uri: string, port: number, ...args: string[]): Promise<Ran> {
  return await cli(['init', '--gemini', uri, '--config', file, '--port', String(port), ...args], env)
}

async function freePort(): Promise<number> {
  const [port = 0] = await freePorts(1)
  return port
}

describe('gemini-relay init --gemini', () => {
  it('writes configuration and key, makes the webhook and shows its ping; a second run goes on from there', async () => {
    const port = await freePort()
    const uri = `http://127.0.0.1:${port}/webhooks/gemini`
    const first = await init(uri, port)
    expect(first).toMatchObject({ code: 0, stderr: '' })
    expect(first.stdout).toContain(`+ create relay: ${uri}`)
    expect(first.stdout).toMatch(/^it arrived: webhook\.ping \S+, \d+s ago/m)
    expect(first.stdout.trimEnd().split('\n').at(-1)).toBe(`next: gemini-relay serve --config ${file}`)

    const key = join(directory, 'config/secrets/encryption_key')
    expect(statSync(key).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(directory, 'config/secrets/.gitignore'), 'utf8')).toMatch(/^\*$/m)
    expect(first.stdout).not.toContain(readFileSync(key, 'utf8').trim())
    expect(first.stdout).not.toContain('whsec_')
    expect((await cli(['check', '-c', file], env)).stdout).toContain('is valid: 1 source, 1 rule, 1 sink, 0 warnings')

    const [text, secret] = [readFileSync(file, 'utf8'), readFileSync(key, 'utf8')]
    const second = await init(uri, port)
    expect(second).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\S+ exists, and declares this webhook/) })
    expect([readFileSync(file, 'utf8'), readFileSync(key, 'utf8')]).toEqual([text, secret])
    expect((await sdks['3.x'](emulatorUrl).webhooks.list()).webhooks).toHaveLength(1)
  })

  it('uses the relay that runs with this configuration, and no other that has its port', async () => {
    const port = await freePort()
    const uri = `http://127.0.0.1:${port}/webhooks/gemini`
    env['RELAY_ENCRYPTION_KEY'] = generateKey()
    const text = configText({ schema: 's', port, gemini: { uri, keyFile: undefined } })
    const relay = await spawnRelay({ yaml: text, env })
    onTestFinished(() => relay.stop())
    const ran = await init(uri, port)
    expect(ran).toMatchObject({ code: 0, stdout: expect.stringContaining(`the relay that listens on port ${port} takes it`) })
    expect(ran.stdout).toContain('it arrived: ')
    expect(existsSync(join(directory, 'config/secrets'))).toBe(false)

    const elsewhere = await createTestDatabase()
    onTestFinished(() => elsewhere.drop())
    file = join(directory, 'other.yaml')
    env['DATABASE_URL'] = elsewhere.url
    expect(await init(`${uri}/other`, port)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`port ${port} is taken, and not by a relay with this configuration`),
    })
  })

  it('says what to look at where no ping arrives in time, or until Ctrl-C, and keeps what was made', async () => {
    const [port = 0, wrong = 0] = await freePorts(2)
    const args = ['init', '--gemini', `http://127.0.0.1:${wrong}/webhooks/gemini`, '-c', file, '--port', String(port)]
    const child = spawn(process.execPath, [binary, ...args], {
      env: { PATH: process.env.PATH, ...env },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let said = ''
    child.stdout.on('data', (chunk: Buffer) => void (said += chunk.toString()))
    const ended = once(child, 'exit')
    await eventually(
      () => said,
      (text) => text.includes('… 5 s'),
      30_000,
    )
    child.kill('SIGINT')
    expect(await ended).toEqual([1, null])
    expect(said).toMatch(
      /no ping arrived\. What was made stays: .*\n {2}DNS: .*\n {2}proxy: POST \/webhooks\/gemini goes to port/,
    )
    expect(existsSync(file)).toBe(true)
    expect((await sdks['3.x'](emulatorUrl).webhooks.list()).webhooks).toHaveLength(1)
  })

  it('makes nothing where it cannot begin', async () => {
    expect(await init('http://relay.example.com/', 1)).toMatchObject({ code: 2, stderr: expect.stringContaining('https://') })
    expect(await init('https://relay.example.com/livez', 1)).toMatchObject({ code: 1, stderr: expect.stringContaining('/livez') })
    delete env['GEMINI_API_KEY']
    expect(await init('https://relay.example.com/', 1)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('GEMINI_API_KEY'),
    })
    expect(existsSync(join(directory, 'config'))).toBe(false)

    env['GEMINI_API_KEY'] = 'test-key'
    file = join(directory, 'mine.yaml')
    writeFileSync(file, 'sources: {}\n')
    expect(await init('https://relay.example.com/', 1)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('mine.yaml exists, and is not written over'),
    })
    expect(readFileSync(file, 'utf8')).toBe('sources: {}\n')
    expect(existsSync(join(directory, 'secrets'))).toBe(false)
  })
})

describe('gemini-relay init', () => {
  it('writes a configuration alone, once', async () => {
    const ran = await cli(['init', '-c', file], env)
    expect(ran).toMatchObject({ code: 0, stdout: `${file} is written\nnext: gemini-relay serve --config ${file}\n` })
    expect(loadConfig({ file, env: { GEMINI_WEBHOOK_SECRET: `whsec_${generateKey()}` } }).warnings).toEqual([])
    expect((await cli(['init', '-c', file], env)).code).toBe(1)
  })

  it.each([
    ['alone', undefined],
    ['with --gemini', { uri: 'https://relay.example.com/hook', keyFile: 'secrets/encryption_key' }],
  ])('%s writes examples that load when they are uncommented', (_, gemini) => {
    const text = configText({ schema: 's', port: 8080, ...(gemini && { gemini }) })
    const uncommented = text.replaceAll(/^( +)# ((?:dynamic|events): .*)$/gm, '$1$2').replaceAll(/^ {2}# /gm, '  ')
    expect(uncommented).not.toBe(text)
    const made = {
      SLACK_BOT_TOKEN: 'xoxb-1',
      KAFKA_BROKERS: 'k:9092',
      GEMINI_WEBHOOK_AUDIENCE: 'a',
      GEMINI_WEBHOOK_SECRET: `whsec_${generateKey()}`,
    }
    const readFile = (path: string) => (path === 'relay.yaml' ? uncommented : generateKey())
    const { config, warnings } = loadConfig({ file: 'relay.yaml', env: made, readFile })
    expect(warnings).toEqual([])
    expect(Object.keys(config.sinks)).toEqual(['trace', 'ops', 'stream', 'jobs'])
    expect(config.rules.map(({ name }) => name)).toEqual(['everything', 'failures-to-ops', 'kept'])
    expect(config.sources['gemini']?.dynamic?.audience).toBe('a')
  })
})
