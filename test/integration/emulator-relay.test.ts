/** From the emulator to the relay: what one signs, the other verifies, with no code in common between them. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { emulate, sdks, type TestEmulator } from '../setup/emulator.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { eventually } from '../setup/sender.ts'

let database: TestDatabase
let emulator: TestEmulator
let client: pg.Client
let webhook: string
let secret: string
const { webhooks, batches } = {
  webhooks: () => sdks['3.x'](emulator.url).webhooks,
  batches: () => sdks['3.x'](emulator.url).batches,
}

beforeAll(async () => {
  database = await createTestDatabase()
  // A job of five seconds takes ten milliseconds, a retry of half a minute sixty.
  emulator = await emulate({ speed: 500 })
  const created = await webhooks().create({ uri: 'https://later.example.com/', subscribed_events: ['batch.succeeded'] })
  webhook = created.id ?? ''
  secret = created.new_signing_secret ?? ''
  client = new pg.Client({ connectionString: database.url })
  await client.connect()
})

afterAll(async () => {
  await emulator?.stop()
  await client?.end()
  await database?.drop()
})

/** A relay that knows these secrets, and where the webhook leads from now on. */
async function relayFor(secrets: readonly string[]): Promise<TestRelay> {
  const relay = await startRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: /webhooks/gemini
    static: { secrets: [${secrets.map((_, n) => `"\${SECRET_${n}}"`).join(', ')}] }
    dynamic: { jwks_uri: "${emulator.jwksUri}", audience: gemini-relay-emulator }
`,
    env: { DATABASE_URL: database.url, ...Object.fromEntries(secrets.map((one, n) => [`SECRET_${n}`, one])) },
  })
  onTestFinished(() => relay.stop())
  await webhooks().update(webhook, { uri: hookOf(relay) })
  return relay
}

const hookOf = (relay: TestRelay) => `${relay.url}/webhooks/gemini`

interface Event {
  webhook_id: string
  type: string
  subject: string
  body: unknown
}

/** Those of this subject, once there are so many. */
async function stored(subject: string, count = 1): Promise<Event[]> {
  const sql = `select webhook_id, type, subject, body from gemini_relay.events where subject = $1 order by id`
  const rows = await eventually(
    async () => (await client.query<Event & { body: Buffer }>(sql, [subject])).rows,
    ({ length }) => length === count,
  )
  return rows.map((row) => ({ ...row, body: JSON.parse(row.body.toString()) }))
}

async function finishBatch(config: { webhookConfig?: { uris: string[]; userMetadata?: Record<string, unknown> } } = {}) {
  const { name = '' } = await batches().create({ model: 'gemini-3-flash-preview', src: 'files/input', config })
  return name
}

describe('the relay', () => {
  it('takes a ping and the end of a batch of a registered webhook', async () => {
    await relayFor([secret])
    await webhooks().ping(webhook)
    expect(await stored(webhook)).toMatchObject([{ type: 'webhook.ping' }])
    const name = await finishBatch()
    expect(await stored(name)).toMatchObject([
      { type: 'batch.succeeded', body: { data: { output_file_uri: expect.any(String) } } },
    ])
  })

  it.each(['jwt', 'ed25519'])('takes the end of a job that named it, signed with %s', async (dynamic_scheme) => {
    const relay = await relayFor([secret])
    await emulator.steer('POST', '/settings', { dynamic_scheme })
    const name = await finishBatch({ webhookConfig: { uris: [hookOf(relay)], userMetadata: { job_group: 'nightly' } } })
    expect(await stored(name)).toMatchObject([
      { type: 'batch.succeeded', body: { data: { user_metadata: { job_group: 'nightly' } } } },
    ])
  })

  it('takes a token signed with a key that is newer than the set it has', async () => {
    const relay = await relayFor([secret])
    await emulator.steer('POST', '/settings', { dynamic_scheme: 'jwt' })
    await stored(await finishBatch({ webhookConfig: { uris: [hookOf(relay)] } }))
    await emulator.steer('POST', '/keys/rotate')
    await stored(await finishBatch({ webhookConfig: { uris: [hookOf(relay)] } }))
  })

  it('keeps an event once that comes twice', async () => {
    await relayFor([secret])
    await emulator.steer('POST', '/faults', { kind: 'duplicate' })
    const name = await finishBatch()
    await eventually(
      async () => (await emulator.steer('GET', '/deliveries?state=pending')).body,
      (body) => JSON.stringify(body) === '{"deliveries":[]}',
    )
    await stored(name)
  })

  it.each([
    ['bad_signature', 'signature_mismatch'],
    ['stale', 'stale_timestamp'],
  ])('refuses a request with the fault %s, and takes its retry', async (kind, code) => {
    const relay = await relayFor([secret])
    await emulator.steer('POST', '/faults', { kind })
    await stored(await finishBatch())
    expect(await (await fetch(`${relay.url}/readyz`)).json()).toMatchObject({ detail: { refusals: { [code]: 1 } } })
  })

  it('goes on with the previous secret for a day, and after an immediate revocation needs the new one', async () => {
    const old = await relayFor([secret])
    await webhooks().rotateSigningSecret(webhook, { revocation_behavior: 'revoke_previous_secrets_after_h24' })
    await stored(await finishBatch())
    const revocation = { revocation_behavior: 'revoke_previous_secrets_immediately' } as const
    const { secret: next = '' } = await webhooks().rotateSigningSecret(webhook, revocation)
    const name = await finishBatch()
    await eventually(
      () => emulator.log(),
      (log) => /delivery: 400/.test(log),
    )
    expect((await client.query('select from gemini_relay.events where subject = $1', [name])).rowCount).toBe(0)
    await old.stop()
    await relayFor([next])
    await stored(name)
  })
})
