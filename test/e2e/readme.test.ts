/** What the documentation shows is run or loaded here: nothing in it may be only true once. */
import { execFile } from 'node:child_process'
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { failureRetryable, refusalStatus } from '../../src/errors.ts'
import { certificate } from '../fixtures/pem.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { emulate, type TestEmulator } from '../setup/emulator.ts'
import { binary, spawnRelay, writeConfig, type RelayProcess } from '../setup/relay-process.ts'
import { eventually, secret } from '../setup/sender.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))

const pages = [
  'README.md',
  'SECURITY.md',
  'CONTRIBUTING.md',
  'secrets/README.md',
  ...readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => `docs/${file}`),
].map((file) => ({ file, text: readFileSync(join(root, file), 'utf8') }))

interface Block {
  /** `file:line` of its first line. */
  where: string
  file: string
  language: string
  text: string
}

const blocks = pages.flatMap(({ file, text }): Block[] =>
  [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(({ 1: language = '', 2: body = '', index }) => {
    return { where: `${file}:${text.slice(0, index).split('\n').length + 1}`, file, language, text: body }
  }),
)

const commands = blocks
  .filter(({ language }) => language === 'sh')
  .flatMap(({ where, file, text }) =>
    text
      .trim()
      .split('\n')
      .map((line) => ({ where, file, line })),
  )

/** Values for whatever a configuration may ask of its environment. */
const made = {
  GEMINI_WEBHOOK_SECRET: secret,
  GEMINI_WEBHOOK_AUDIENCE: 'an-audience',
  SLACK_BOT_TOKEN: 'xoxb-made-up',
  KAFKA_BROKERS: '127.0.0.1:1',
  KAFKA_PASSWORD: 'made-up',
  FORWARD_SECRET: secret,
  RELAY_ADMIN_TOKEN: 'made-up-and-long-enough',
}

/** A block may leave out the source, which its page has named before. */
const usualSource = "sources: { gemini: { path: /webhooks/gemini, static: { secrets: ['${GEMINI_WEBHOOK_SECRET}'] } } }\n"

/** A block that is about something else may leave out all of it. */
const usualRule = 'sinks: { trace: { type: log } }\nrules: [{ name: all, to: [trace] }]\n'

function completed(yaml: string): string {
  const withRule = /^(sources|sinks|rules|include):/m.test(yaml) ? yaml : `${usualRule}${yaml}`
  return /^sources:/m.test(yaml) ? yaml : `${usualSource}${withRule}`
}

function load(yaml: string) {
  const files = new Map([
    ['relay.yaml', completed(yaml)],
    [resolve('secrets/encryption_key'), Buffer.alloc(32).toString('base64')],
    ['/run/secrets/kafka_ca.pem', certificate],
  ])
  const readFile = (path: string) => files.get(path) ?? 'made-up'
  return loadConfig({ file: 'relay.yaml', env: made, readFile })
}

function block(file: string, language: string, having: string): string {
  const found = blocks.find((one) => one.file === file && one.language === language && one.text.includes(having))
  if (found === undefined) throw new Error(`${file} has no ${language} block with ${having}`)
  return found.text
}

describe('every YAML block of the documentation', () => {
  it.each(blocks.filter(({ language }) => language === 'yaml'))('$where loads without a mistake or a doubt', ({ text }) => {
    expect(load(text).warnings).toEqual([])
  })

  it.each(['relay.yaml', 'demo.yaml'])('config/%s loads too', (name) => {
    const env = {
      ...made,
      JWKS_URI: 'http://127.0.0.1:1/jwks.json',
      SLACK_API_URL: 'http://127.0.0.1:1/api/',
      DEMO_TOPIC: 'demo',
    }
    expect(loadConfig({ file: join(root, 'config', name), env }).warnings).toEqual([])
  })

  it('is there at all', () => {
    expect(blocks.filter(({ language }) => language === 'yaml').length).toBeGreaterThanOrEqual(8)
  })
})

describe('the links of the documentation', () => {
  const links = pages.flatMap(({ file, text }) =>
    [...text.matchAll(/\]\((?!https?:)([^)#]*)(#[^)]*)?\)/g)].map(({ 1: path = '', 2: anchor = '' }) => ({ file, path, anchor })),
  )

  it.each(links)('$file → $path$anchor leads somewhere', ({ file, path, anchor }) => {
    const target = path === '' ? file : relative(root, resolve(root, dirname(file), path))
    expect(existsSync(join(root, target))).toBe(true)
    expect(['', ...anchorsOf(target)]).toContain(anchor)
  })

  /** As GitHub makes them of the headings. */
  function anchorsOf(target: string): string[] {
    const text = pages.find(({ file }) => file === target)?.text ?? ''
    const titles = [...text.matchAll(/^#+ (.*)$/gm)].map(({ 1: title = '' }) => title.toLowerCase())
    return titles.map((title) => `#${title.replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-')}`)
  }
})

describe('the tables of the documentation', () => {
  it('give every failure code, and whether it is retried', () => {
    const rows = rowsOf('docs/operations.md', /^\| `(\w+)` +\| (yes|no) /gm)
    expect(rows).toEqual(Object.entries(failureRetryable).map(([code, retryable]) => [code, retryable ? 'yes' : 'no']))
  })

  it('give every refusal, and its status', () => {
    const rows = rowsOf('docs/operations.md', /^\| `(\w+)` +\| (\d{3}) /gm)
    expect(rows).toEqual(Object.entries(refusalStatus).map(([code, status]) => [code, String(status)]))
  })

  it('give the defaults of every type of sink', () => {
    const { sinks } = load(block('README.md', 'yaml', 'retention:')).config
    const defaults = Object.values(sinks).map(({ type, concurrency, batch, timeout, rate }) => {
      return [
        type,
        concurrency,
        batch,
        `${timeout / 1_000}s`,
        rate === undefined ? '' : `${rate.count}/${rate.perMs / 1_000}s`.replace('/1s', '/s'),
      ]
    })
    const rows = rowsOf('docs/sinks.md', /^\| (\w+) +\| (\d+) +\| (\d+) +\| (\d+s) +\| (\S*) *\|$/gm)
    expect(rows).toEqual(defaults.map((row) => row.map(String)))
  })

  function rowsOf(file: string, pattern: RegExp): string[][] {
    const page = pages.find((one) => one.file === file)
    return [...(page?.text ?? '').matchAll(pattern)].map(([, ...cells]) => cells)
  }
})

/** Lines that no test of this file runs, and why. */
const elsewhere: [line: RegExp, reason: string][] = [
  [/^npm ci$|^npm ci && npm test$|^npm test$|^npm run check$/, 'this is how the test got here'],
  [/^npm ci && npm run demo -- --once$/, 'demo.test.ts runs it'],
  [/^npm run bench /, 'it measures for minutes'],
  [/^npm run --silent sbom$|^npm run audit$/, 'supply.test.ts runs them'],
  [/^npm run chaos -- |^npm run chaos:broken$/, 'minutes again; .ci/run runs the first'],
  [/^gemini-relay emulate$/, 'emulate.test.ts runs it'],
  [/^gemini-relay (init|webhooks) /, 'gemini-page.test.ts runs them, against the emulator'],
  [/^npm start$|^gemini-relay serve$/, 'started below, as its own process'],
  [/^export PGHOST=|^psql |^pg_dump /, 'needs the clients of Postgres, which the relay does not bring'],
  [/^chmod |^openssl .* > secrets\/|^echo .* > secrets\//, 'writes secrets into the checkout'],
]

const isOurs = (line: string): boolean => /^(gemini-relay|node dist\/main\.js) /.test(line)
const isExport = (line: string): boolean => /^export [A-Z_]+=\S*$/.test(line)
const isElsewhere = (line: string): boolean => elsewhere.some(([pattern]) => pattern.test(line))

describe('every command of the documentation', () => {
  it.each(commands)('$where `$line` is run here, or it is said why not', ({ line }) => {
    expect(isOurs(line) || isExport(line) || isElsewhere(line)).toBe(true)
  })

  it.each(elsewhere)('the exception %s is still needed', (pattern) => {
    expect(commands.filter(({ line }) => pattern.test(line))).not.toEqual([])
  })

  it('is a script of the package, where npm runs it', () => {
    const manifest: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const start = 'npm run --silent build && node dist/main.js serve'
    expect(manifest).toMatchObject({
      scripts: { start, test: expect.any(String), check: expect.any(String), demo: expect.any(String) },
    })
  })
})

/** Runs a line in a shell, in the checkout, as a reader would. */
async function shell(line: string, env: Record<string, string>): Promise<string> {
  const command = line.replace(/^(gemini-relay|node dist\/main\.js) /, '"$NODE" "$RELAY" ')
  const known = { PATH: process.env.PATH, NODE: process.execPath, RELAY: binary }
  return (await run('bash', ['-c', command], { cwd: root, env: { ...known, ...env } })).stdout
}

describe('five minutes to a first rule', () => {
  let database: TestDatabase
  let relay: RelayProcess
  let env: Record<string, string>

  beforeAll(async () => {
    database = await createTestDatabase()
    const started = block('README.md', 'sh', 'npm start').match(/^export (GEMINI_WEBHOOK_SECRET)=(\S+)$/m)
    env = { DATABASE_URL: database.url, RELAY_HOST: '127.0.0.1', GEMINI_WEBHOOK_SECRET: started?.[2] ?? '' }
    // What `npm start` serves: the configuration as shipped.
    const yaml = readFileSync(join(root, 'config/relay.yaml'), 'utf8')
    relay = await spawnRelay({ yaml, env: { ...env, PORT: '0' } })
  })

  afterAll(async () => {
    await relay?.stop()
    await database?.drop()
  })

  it('shows an event that was sent as two deliveries and a row', async () => {
    const lines = block('README.md', 'sh', 'send batch.failed').trim().split('\n')
    expect(lines).toEqual([
      expect.stringMatching(/^export GEMINI_WEBHOOK_SECRET=/),
      expect.stringMatching(/main\.js send /),
      expect.stringMatching(/main\.js deliveries list$/),
    ])
    const [exported = '', send = '', list = ''] = lines
    const second = { ...env, PORT: new URL(relay.url).port, GEMINI_WEBHOOK_SECRET: exported.split('=').slice(1).join('=') }
    expect(await shell(send, second)).toContain('200 {"status":"received"}')

    const listed = await eventually(
      () => shell(list, second),
      (text) => text.match(/delivered/g)?.length === 2,
    )
    expect(listed).toMatch(/delivered +jobs/)
    expect(listed).toMatch(/delivered +trace/)
    expect(await query(database.url, 'select status, error from gemini_jobs')).toEqual([
      { status: 'batch.failed', error: 'quota exceeded' },
    ])
  })

  it('checks a configuration with the rule that the reader adds', async () => {
    const [exported = '', check = ''] = block('README.md', 'sh', 'main.js check').trim().split('\n')
    const added = writeConfig(withAdded(block('README.md', 'yaml', 'name: failures-to-ops')))
    const stdout = await shell(`${exported} && ${check.replace('node dist/main.js', '"$NODE" "$RELAY"')}`, {
      ...env,
      RELAY_CONFIG: added.file,
    })
    added.remove()
    expect(stdout).toContain('is valid: 1 source, 2 rules, 3 sinks, 0 warnings')
  })

  /** The shipped configuration with the block's sink and rule among its own, as the page asks for. */
  function withAdded(yaml: string): string {
    const [sinks = '', rules = ''] = yaml.replace(/^sinks:\n/, '').split(/^rules:\n/m)
    return readFileSync(join(root, 'config/relay.yaml'), 'utf8')
      .replace(/^sinks:\n/m, (heading) => `${heading}${sinks}`)
      .replace(/^rules:\n/m, (heading) => `${heading}${rules}`)
  }
})

describe("the operator's commands", () => {
  let database: TestDatabase
  let relay: RelayProcess
  let config: ReturnType<typeof writeConfig>
  let emulator: TestEmulator
  let env: Record<string, string>

  beforeAll(async () => {
    database = await createTestDatabase()
    emulator = await emulate()
    // The README's example, whose sinks lead nowhere here except to the table.
    const yaml = block('README.md', 'yaml', 'retention:')
      .replaceAll(/\$\{file:[^}]*\}/g, '${SLACK_BOT_TOKEN}')
      .replace(/dynamic: .*/, '')
    config = writeConfig(yaml)
    const gemini = { GEMINI_API_KEY: 'any-key-will-do', GOOGLE_GEMINI_BASE_URL: emulator.url }
    env = { ...made, ...gemini, DATABASE_URL: database.url, RELAY_CONFIG: config.file }
    relay = await spawnRelay({ yaml, env: { ...env, PORT: '0' } })
    env = { ...env, PORT: new URL(relay.url).port }
    await shell('gemini-relay send batch.failed --id msg_123', env)
  })

  afterAll(async () => {
    await relay?.stop()
    await emulator?.stop()
    config?.remove()
    await database?.drop()
  })

  const lines = commands.map(({ line }) => line).filter((line) => line.startsWith('gemini-relay ') && !isElsewhere(line))

  it.each([...new Set(lines)])('%s', async (line) => {
    expect(await shell(line, env)).not.toBe('')
  })

  it('print JSON with --json', async () => {
    for (const line of lines.filter((one) => one.includes('--json'))) {
      expect(JSON.parse(await shell(line, env))).toBeInstanceOf(Object)
    }
  })

  it('are joined by queries that run', async () => {
    const queries = blocks.filter(({ language }) => language === 'sql').flatMap(({ text }) => text.trim().split('\n'))
    expect(queries.length).toBeGreaterThan(0)
    for (const sql of queries) expect(await query(database.url, sql)).toBeInstanceOf(Array)
  })
})

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
