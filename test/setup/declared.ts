/** A relay on a database of its own, an emulated Gemini, and the commands that declare webhooks between the two. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import pg from 'pg'
import { cli, type Ran } from './cli.ts'
import { createTestDatabase } from './database.ts'
import { emulate, sdks, type TestEmulator } from './emulator.ts'
import { holdingProxy, type HoldingProxy } from './holding-proxy.ts'
import { binary, writeConfig } from './relay-process.ts'
import { startRelay, type TestRelay } from './relay.ts'

export interface DeclaredRig {
  gemini: TestEmulator
  /** Client of the emulator, for what others do there. */
  webhooks: ReturnType<(typeof sdks)['3.x']>['webhooks']
  /** What the commands talk to instead of the emulator. */
  proxy: HoldingProxy
  relay: TestRelay
  /** Of the relay's source `gemini`. */
  uri: string
  db: pg.Pool
  env: Record<string, string>
  /** Path of the configuration that the commands read. */
  config: string
  /** Replaces it. */
  declare: (options: ConfigText) => void
  /** `gemini-relay webhooks …` on the configuration. */
  run: (...args: string[]) => Promise<Ran>
  /** Likewise, and ends it with SIGKILL when `moment` has come. */
  runAndKill: (args: readonly string[], moment: () => Promise<unknown>) => Promise<void>
  stop: () => Promise<void>
}

export interface ConfigText {
  /** Entries of `gemini.webhooks`, in YAML. */
  webhooks: string
  /** In YAML. Default: one that wants `batch.succeeded` and `batch.failed`. */
  rules?: string
  /** In YAML, of `sources`. */
  sources?: string
}

const usualRules = '[{ name: all, when: { type: [batch.succeeded, batch.failed] }, to: [trace] }]'

/** @param webhooks entries of `gemini.webhooks`, in YAML, of the address of the source */
export async function declaredRig(webhooks: (uri: string) => string, rules = usualRules): Promise<DeclaredRig> {
  const database = await createTestDatabase()
  const gemini = await emulate()
  const proxy = await holdingProxy(gemini.url)
  const env = {
    DATABASE_URL: database.url,
    RELAY_ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    GEMINI_API_KEY: 'test-key',
    GOOGLE_GEMINI_BASE_URL: proxy.url,
  }
  const text = ({ webhooks: declared, rules: ruled = rules, sources = '' }: ConfigText) => `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini: { path: /hook, static: { managed: true } }
${sources}
sinks: { trace: { type: log } }
rules: ${ruled}
gemini:
  webhooks: ${declared}
`
  // Without the key for the API: what a command left open, the next one has to heal.
  const { GEMINI_API_KEY: _, ...relayEnv } = env
  const relay = await startRelay({ yaml: text({ webhooks: '{}' }), env: relayEnv })
  const uri = `${relay.url}/hook`
  let config = writeConfig(text({ webhooks: webhooks(uri) }))
  const db = new pg.Pool({ connectionString: database.url, max: 3 })
  const { webhooks: client } = sdks['3.x'](gemini.url)

  return {
    gemini,
    webhooks: client,
    proxy,
    relay,
    uri,
    db,
    env,
    get config() {
      return config.file
    },
    declare(options) {
      config.remove()
      config = writeConfig(text(options))
    },
    run: (...args) => cli(['webhooks', ...args, '-c', config.file], env),
    async runAndKill(args, moment) {
      const child = spawn(process.execPath, [binary, 'webhooks', ...args, '-c', config.file], {
        env: { PATH: process.env.PATH, ...env },
        stdio: 'pipe',
      })
      let said = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => void (said += chunk.toString()))
      const exited = once(child, 'exit')
      const first = await Promise.race([moment().then(() => 'come' as const), exited.then(() => 'ended' as const)])
      if (first === 'ended') throw new Error(`it ended before it could be killed: ${said}`)
      child.kill('SIGKILL')
      await exited
    },
    async stop() {
      await relay.stop()
      proxy.stop()
      await gemini.stop()
      config.remove()
      await db.end()
      await database.drop()
    },
  }
}
