/** A relay whose secrets are managed, an emulator as its Gemini, and the commands that change both. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { TestContext } from 'vitest'
import { cli, type Ran } from './cli.ts'
import { createTestDatabase } from './database.ts'
import { emulate, sdks, type TestEmulator } from './emulator.ts'
import { spawnRelay, writeConfig, type RelayProcess } from './relay-process.ts'

export interface ManagedRelay {
  emulator: TestEmulator
  db: pg.Client
  config: string
  env: Record<string, string>
  /** Starts a relay on the configuration; `url` is that of its source. */
  serve: (env?: Record<string, string>) => Promise<RelayProcess & { hook: string }>
  /** `gemini-relay webhooks …` */
  webhooks: (args: readonly string[], env?: Record<string, string>) => Promise<Ran>
  /** A webhook for this address, by the command. */
  create: (uri: string) => Promise<{ id: string; secret: string }>
  rotate: (id: string, ...args: string[]) => Promise<string>
  sdk: () => ReturnType<(typeof sdks)['3.x']>
}

export const newKey = (): string => randomBytes(32).toString('base64')

const rules = `
sinks: { trace: { type: log } }
rules: [{ name: everything, to: [trace] }]
`

/** All of it is gone after the test, which may run beside others: it passes its own context. */
export async function manageRelay(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  options: { speed?: number; yaml?: string } = {},
): Promise<ManagedRelay> {
  const database = await createTestDatabase()
  onTestFinished(() => database.drop())
  const emulator = await emulate({ speed: options.speed ?? 1 })
  onTestFinished(() => emulator.stop())
  const db = new pg.Client({ connectionString: database.url })
  await db.connect()
  onTestFinished(() => db.end())
  const yaml = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /webhooks/gemini, static: { managed: true } } }
${options.yaml ?? rules}`
  const config = writeConfig(yaml)
  onTestFinished(() => config.remove())
  const env: Record<string, string> = {
    DATABASE_URL: database.url,
    RELAY_ENCRYPTION_KEY: newKey(),
    GEMINI_API_KEY: 'test-key',
    GOOGLE_GEMINI_BASE_URL: emulator.url,
  }
  const webhooks: ManagedRelay['webhooks'] = (args, more = {}) =>
    cli(['webhooks', ...args, '--config', config.file], { ...env, ...more })

  async function secretFrom(args: readonly string[]): Promise<{ id: string; secret: string }> {
    const { code, stdout, stderr } = await webhooks([...args, '--json', '--show-secret'])
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${code}: ${stderr}`)
    const { id, signing_secret: secret }: { id: string; signing_secret: string } = JSON.parse(stdout)
    return { id, secret }
  }

  return {
    emulator,
    db,
    config: config.file,
    env,
    async serve(more = {}) {
      const relay = await spawnRelay({ yaml, env: { ...env, ...more } })
      onTestFinished(() => relay.kill())
      return { ...relay, hook: `${relay.url}/webhooks/gemini` }
    },
    webhooks,
    create: (uri) => secretFrom(['create', '--uri', uri]),
    rotate: async (id, ...args) => (await secretFrom(['rotate', id, ...args])).secret,
    sdk: () => sdks['3.x'](emulator.url),
  }
}
