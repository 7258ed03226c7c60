/** `gemini-relay emulate` as a process, and everything that docs/emulator.md shows. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { receive, sdks } from '../setup/emulator.ts'
import { binary } from '../setup/relay-process.ts'
import { root } from '../setup/root.ts'
import { eventually } from '../setup/sender.ts'

const run = promisify(execFile)
const page = readFileSync(join(root, 'docs/emulator.md'), 'utf8')

interface Process {
  child: ChildProcess
  stdout: () => string
  stderr: () => string
  exited: Promise<number | null>
}

function launch(args: readonly string[]): Process {
  const child = spawn(process.execPath, [binary, 'emulate', ...args], { env: { PATH: process.env.PATH }, stdio: 'pipe' })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => void (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()))
  const exited = once(child, 'exit').then(([code]): number | null => (typeof code === 'number' ? code : null))
  onTestFinished(() => void child.kill('SIGKILL'))
  return { child, stdout: () => stdout, stderr: () => stderr, exited }
}

const facts = z.object({ url: z.string(), jwks_uri: z.string(), audience: z.string() })

async function start(...args: string[]): Promise<Process & z.output<typeof facts>> {
  const launched = launch(['--port', '0', '--json', ...args])
  const line = await eventually(launched.stdout, (text) => text.includes('\n'))
  return { ...launched, ...facts.parse(JSON.parse(line)) }
}

describe('gemini-relay emulate', () => {
  it('says what to export, never the key that it was given, and ends with 0 on SIGTERM and SIGINT', async () => {
    for (const [signal, args] of [
      ['SIGTERM', []],
      ['SIGINT', ['--api-key', 'private-key']],
    ] as const) {
      const launched = launch(['--port', '0', ...args])
      const text = await eventually(launched.stdout, (told) => told.includes('Ctrl-C'))
      const url = /^ {2}export GOOGLE_GEMINI_BASE_URL=(\S+)$/m.exec(text)?.[1] ?? ''
      expect(text).toMatch(/^ {2}export GEMINI_API_KEY=/m)
      expect(text).toContain(`jwks_uri: '${url}/.well-known/jwks.json'`)
      expect((await fetch(`${url}/.well-known/jwks.json`)).status).toBe(200)
      expect(await eventually(launched.stderr, (log) => log.includes('jwks.json'))).toMatch(/"method":"GET".*"status":200/)
      launched.child.kill(signal)
      expect(await launched.exited).toBe(0)
      expect(text + launched.stderr()).not.toContain('private-key')
    }
  })

  it('ends at once while a receiver keeps it waiting and jobs run', async () => {
    const { url, child, exited } = await start()
    const receiver = await receive()
    receiver.answer('never')
    const { webhooks, batches } = sdks['3.x'](url)
    const { id = '' } = await webhooks.create({ uri: receiver.url, subscribed_events: ['batch.failed'] })
    await batches.create({ model: 'gemini-3-flash-preview', src: 'files/x' })
    await webhooks.ping(id)
    await eventually(
      () => receiver.received,
      ({ length }) => length === 1,
    )
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
  })

  it('fails with 1 where the port is taken, and with 2 where it is used wrongly', async () => {
    const { url } = await start()
    const second = launch(['--port', new URL(url).port])
    expect(await second.exited).toBe(1)
    expect(second.stderr()).toMatch(/port \d+ on 127\.0\.0\.1 is already in use\n.*--port/)
    for (const args of [['--port', 'x'], ['--port', '65536'], ['--speed', '0'], ['--speed', 'fast'], ['extra']])
      expect([args, await launch(args).exited]).toEqual([args, 2])
  })
})

describe('docs/emulator.md', () => {
  it('has an example for the SDK that runs', async () => {
    const { url } = await start()
    const example = /^```js\n(.*?)^```$/ms.exec(page)?.[1] ?? ''
    const script = example.replace("'@google/genai'", "'genai3'")
    const env = { PATH: process.env.PATH, GOOGLE_GEMINI_BASE_URL: url, GEMINI_API_KEY: 'any-key-will-do' }
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: root, env })
    expect(stdout).toMatch(/^whsec_\S{44}\nbatches\/\w+\n$/)
  })

  it('tells calls that steer it, all of which do', async () => {
    const { url } = await start()
    const { webhooks, batches } = sdks['3.x'](url)
    const { id: webhook = '' } = await webhooks.create({ uri: 'https://relay.example.com/', subscribed_events: ['batch.failed'] })
    const rows = [...page.matchAll(/^\| `(GET|POST|DELETE) (\/emulator\S*)` +\| (?:`(\{.*?\})`)? +\|/gm)]
    expect(rows.length).toBeGreaterThan(15)
    for (const [, method = '', path = '', body] of rows) {
      const { name = '' } = await batches.create({ model: 'gemini-3-flash-preview', src: 'files/x' })
      const id = path.startsWith('/emulator/webhooks') ? webhook : name.replace('batches/', '')
      const headers = { 'content-type': 'application/json' }
      const sent = method === 'GET' ? {} : { body: body ?? '' }
      const { status } = await fetch(`${url}${path.replace('{id}', id)}`, { method, headers, ...sent })
      expect([method, path, status]).toEqual([method, path, 200])
    }
  })

  it('tells the faults that there are', async () => {
    const { url } = await start()
    const told = [...page.matchAll(/^\| `(\w+)` +\| [A-Z]/gm)].map(([, kind]) => kind)
    const post = async (kind: string | undefined) => {
      const headers = { 'content-type': 'application/json' }
      return (await fetch(`${url}/emulator/faults`, { method: 'POST', headers, body: JSON.stringify({ kind }) })).text()
    }
    for (const kind of told) expect(await post(kind)).toContain(`"kind":"${kind}"`)
    const there = [...(await post('earthquake')).matchAll(/\\"(\w+)\\"/g)].map(([, kind]) => kind)
    expect(told).toEqual(there)
  })

  it('tells the options that there are', async () => {
    const { stdout } = await run(process.execPath, [binary, 'emulate', '--help'])
    const options = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)]
      .map(([, option]) => option)
      .filter((one) => one !== '--help' && one !== '--version')
    const told = [...page.matchAll(/^\| `(--[\w-]+)` /gm)].map(([, option]) => option)
    expect(new Set(told)).toEqual(new Set(options))
  })
})
