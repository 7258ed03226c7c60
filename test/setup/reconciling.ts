/** An emulator with batches, and a relay's configuration that reconciles with it. */
import pg from 'pg'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'
import { createTestDatabase } from './database.ts'
import { emulate, sdks, type TestEmulator } from './emulator.ts'
import { createEmissions, type Ran } from './emissions.ts'
import { writeConfig } from './relay-process.ts'

export interface NewBatch {
  end?: 'succeeded' | 'failed' | 'cancelled' | 'expired'
  /** When it ends, on the emulator's clock. */
  after?: string
  /** Instead of inlined requests. */
  file?: string
  webhookConfig?: { uris: string[]; userMetadata?: Record<string, unknown> }
}

export interface ReconcilingOptions {
  /** More of the configuration: `gemini`, say. */
  yaml?: string
  apiKey?: string
}

export interface Reconciling {
  emulator: TestEmulator
  /** What the sink `forward` got. */
  receiver: Receiver
  database: { url: string }
  db: pg.Pool
  /** Of a relay, with the secret of the webhook that is registered. */
  config: { yaml: string; env: Record<string, string> }
  /** The webhook leads to this relay from now on. */
  sendTo: (url: string) => Promise<void>
  /** Made by plain calls: an SDK takes ten times as long. @returns names */
  batches: (count: number, batch?: NewBatch) => Promise<string[]>
  /** `gemini-relay reconcile`, as a process. */
  reconcile: (args?: readonly string[], env?: Record<string, string>) => Promise<Ran>
  /** What `reconcile --json` prints. */
  reconciled: (args?: readonly string[]) => Promise<Record<string, unknown>>
  count: (from: string) => Promise<number>
  close: () => Promise<void>
}

/** Two sinks: a table, and a receiver that counts. */
const base = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: /webhooks/gemini
    static: { secrets: ["\${SECRET}"] }
    dynamic: { jwks_uri: "\${JWKS_URI}", audience: gemini-relay-emulator }
sinks:
  jobs: { type: table, table: jobs, key: [job], create: true, columns: { job: event.subject, type: event.type, scheme: event.scheme } }
  forward: { type: http, url: "\${RECEIVER}", allow_private: true }
`

const rules = `
rules:
  - { name: ends, when: { type: batch.* }, to: [jobs, forward] }
`

export async function startReconciling({ yaml = '', apiKey }: ReconcilingOptions = {}): Promise<Reconciling> {
  const database = await createTestDatabase()
  const db = new pg.Pool({ connectionString: database.url, max: 4 })
  const emulator = await emulate(apiKey === undefined ? {} : { apiKey })
  const receiver = await startReceiver()
  const key = apiKey ?? 'test-key'
  const { webhooks } = sdks['3.x'](emulator.url, key)
  const webhook = await webhooks.create({
    uri: 'https://nobody.example.com/',
    subscribed_events: ['batch.succeeded', 'batch.failed', 'batch.cancelled', 'batch.expired'],
  })
  const config = {
    yaml: `${base}${yaml}${yaml.includes('rules:') ? '' : rules}`,
    env: {
      DATABASE_URL: database.url,
      SECRET: webhook.new_signing_secret ?? '',
      JWKS_URI: emulator.jwksUri,
      RECEIVER: `http://127.0.0.1:${receiver.port}/`,
      GEMINI_API_KEY: key,
      GOOGLE_GEMINI_BASE_URL: emulator.url,
    },
  }
  const written = writeConfig(config.yaml)
  const emissions = createEmissions()

  async function createBatch({ end = 'succeeded', after = '0ms', file, webhookConfig }: NewBatch): Promise<string> {
    const input = file === undefined ? { requests: { requests: [{}] } } : { file_name: file }
    const headers = { 'content-type': 'application/json', 'x-goog-api-key': key, 'emulator-end': end, 'emulator-duration': after }
    const body = JSON.stringify({ batch: { input_config: input, ...(webhookConfig === undefined ? {} : { webhookConfig }) } })
    const url = `${emulator.url}/v1beta/models/gemini-3-flash-preview:batchGenerateContent`
    const response = await fetch(url, { method: 'POST', headers, body })
    const made: { name: string } = JSON.parse(await response.text())
    return made.name
  }

  const reconcile = (args: readonly string[] = [], env: Record<string, string> = {}) =>
    emissions.run(['reconcile', '-c', written.file, ...args], { ...config.env, ...env })

  return {
    emulator,
    receiver,
    database,
    db,
    config,
    sendTo: async (url) => void (await webhooks.update(webhook.id ?? '', { uri: `${url}/webhooks/gemini` })),
    async batches(count, batch = {}) {
      const names: string[] = []
      for (let left = count; left > 0; left -= 50)
        names.push(...(await Promise.all(Array.from({ length: Math.min(left, 50) }, () => createBatch(batch)))))
      return names
    },
    reconcile,
    async reconciled(args = []) {
      const { code, output } = await reconcile(['--json', ...args])
      if (code !== 0) throw new Error(output)
      return JSON.parse(output)
    },
    async count(from) {
      const { rows } = await db.query<{ count: string }>(`select count(*) from ${from}`)
      return Number(rows[0]?.count)
    },
    async close() {
      await emissions.close()
      written.remove()
      await emulator.stop()
      await receiver.close()
      await db.end()
      await database.drop()
    },
  }
}
