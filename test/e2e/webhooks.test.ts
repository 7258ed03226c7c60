/** `gemini-relay webhooks …` against the emulator, a running relay beside it: what Gemini shows once is kept, and used at once. */
import { describe, expect, it } from 'vitest'
import { cli } from '../setup/cli.ts'
import { freePorts } from '../setup/free-ports.ts'
import { manageRelay, newKey, type ManagedRelay } from '../setup/managed-relay.ts'
import { envelope, eventually, post, signedHeaders, type Answer } from '../setup/sender.ts'

const secretShape = /^whsec_[A-Za-z0-9+/]{43}=$/

/** Posts an event that this secret signed. */
function send(hook: string, secret: string): Promise<Answer> {
  const sent = { body: envelope('batch.succeeded') }
  const id = `msg_${Math.random()}`
  return post(hook, { ...sent, id, headers: signedHeaders({ ...sent, id }, secret) })
}

const statusOf = async (hook: string, secret: string) => (await send(hook, secret)).status

/** As `pg_dump` would show them: every row of every table. */
async function dumpOf({ db }: ManagedRelay): Promise<string> {
  const { rows: tables } = await db.query<{ name: string }>(
    `select format('%I.%I', table_schema, table_name) as name from information_schema.tables
     where table_schema in ('gemini_relay', 'public') and table_type = 'BASE TABLE'`,
  )
  expect(tables.length).toBeGreaterThan(8)
  const all = []
  for (const { name } of tables) all.push(...(await db.query<{ row: string }>(`select t::text as row from ${name} t`)).rows)
  return all.map(({ row }) => row).join('\n')
}

describe.concurrent('webhooks create', () => {
  it('makes the webhook, and a running relay takes what its secret signs within a second', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    expect((await fetch(`${relay.url}/readyz`)).status).toBe(503)
    const { code, stdout } = await managed.webhooks(['create', '--uri', relay.hook, '--name', 'first', '--json'])
    expect([code, JSON.parse(stdout)]).toEqual([
      0,
      expect.objectContaining({ name: 'first', uri: relay.hook, state: 'enabled', source: 'gemini' }),
    ])
    const { id } = JSON.parse(stdout)
    expect(stdout).not.toMatch(/whsec_[A-Za-z0-9+/]/)
    expect((await managed.sdk().webhooks.get(id)).subscribed_events).toContain('interaction.completed')
    expect((await managed.webhooks(['ping', id])).code).toBe(0)
    await eventually(
      async () => (await managed.db.query(`select from gemini_relay.events where type = 'webhook.ping'`)).rowCount,
      (count) => count === 1,
    )
    expect((await fetch(`${relay.url}/readyz`)).status).toBe(200)
  })

  it('shows the secret where it is asked to, and keeps it in no other place that can be read', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id, secret } = await managed.create(relay.hook)
    const next = await managed.rotate(id)
    for (const one of [secret, next]) {
      expect(one).toMatch(secretShape)
      expect(await statusOf(relay.hook, one)).toBe(200)
      const key = Buffer.from(one.slice('whsec_'.length), 'base64')
      const dump = await dumpOf(managed)
      for (const spelling of [
        one.slice('whsec_'.length, -1),
        key.toString('hex'),
        key.toString('base64url'),
        key.toString('latin1'),
      ])
        expect(dump).not.toContain(spelling)
      expect(relay.log()).not.toContain(one.slice('whsec_'.length))
    }
    expect(await dumpOf(managed)).not.toContain(managed.env.RELAY_ENCRYPTION_KEY)
  })

  it('subscribes to what the rules want, where nothing else is said', async (test) => {
    const yaml = `
sinks: { trace: { type: log } }
rules:
  - { name: batches, when: { type: [batch.failed, batch.completed, batch.cancelled] }, to: [trace] }
  - { name: elsewhere, when: { type: video.generated, source: other }, to: [trace] }
  - { name: maybe, when: { type: interaction.f* }, if: "event.data.id == 'x'", to: [trace] }
`
    const managed = await manageRelay(test, { yaml })
    await managed.serve()
    const { stdout } = await managed.webhooks(['create', '--uri', 'https://relay.example.com/', '--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      subscribed_events: ['batch.succeeded', 'batch.failed', 'interaction.failed'],
    })
  })

  it('says what is wrong before anything is made', async (test) => {
    const managed = await manageRelay(test)
    const uri = ['create', '--uri', 'https://relay.example.com/']
    const refused = async (args: readonly string[], env: Record<string, string>) => {
      const { code, stderr } = await managed.webhooks(args, env)
      return [code, stderr]
    }
    expect(await refused(uri, { GEMINI_API_KEY: '' })).toEqual([
      1,
      expect.stringMatching(/no key for the Gemini API\n.*GEMINI_API_KEY/),
    ])
    expect(await refused(uri, { RELAY_ENCRYPTION_KEY: '' })).toEqual([1, expect.stringMatching(/RELAY_ENCRYPTION_KEY/)])
    expect(await refused(uri, { RELAY_ENCRYPTION_KEY: 'short' })).toEqual([1, expect.stringMatching(/key 1 is not base64/)])
    expect(await refused(uri, {})).toEqual([1, expect.stringMatching(/holds no gemini-relay data yet/)])
    await managed.serve()
    expect(await refused(['create', '--uri', 'http://relay.example.com/'], {})).toEqual([
      1,
      expect.stringMatching(/answered 400: .*uri/),
    ])
    expect(await refused([...uri, '--source', 'other'], {})).toEqual([2, expect.stringMatching(/--source gemini/)])
    expect(await refused([...uri, '--events', 'batch'], {})).toEqual([2, expect.stringMatching(/types of events/)])
    expect((await managed.sdk().webhooks.list()).webhooks ?? []).toEqual([])
    // What the API refused was not made: nothing is left open.
    expect((await managed.db.query('select from gemini_relay.webhook_intents')).rowCount).toBe(0)
  })
})

describe.concurrent('webhooks list, get, update, delete', () => {
  it('need the API alone, and show every field', async (test) => {
    const { emulator, sdk } = await manageRelay(test)
    const env = { GEMINI_API_KEY: 'k', GOOGLE_GEMINI_BASE_URL: emulator.url }
    const webhooks = (...args: string[]) => cli(['webhooks', ...args], env)
    expect((await webhooks('list')).stdout).toBe('the project has no webhooks\n')
    const made = []
    for (const name of ['a', 'b', 'c'])
      made.push(await sdk().webhooks.create({ name, uri: 'https://relay.example.com/', subscribed_events: ['batch.failed'] }))
    const listed = JSON.parse((await webhooks('list', '--json')).stdout)
    expect(listed).toHaveLength(3)
    const [{ id = '' } = {}] = made
    const read: Record<string, unknown> = JSON.parse((await webhooks('get', id, '--json')).stdout)
    expect(read).toEqual(listed[0])
    expect(Object.keys(read).toSorted()).toEqual(
      ['create_time', 'id', 'name', 'signing_secrets', 'state', 'subscribed_events', 'update_time', 'uri'].toSorted(),
    )
    const table = (await webhooks('list')).stdout
    for (const text of ['STATE', id, 'enabled', 'batch.failed', 'https://relay.example.com/']) expect(table).toContain(text)
    expect((await webhooks('get', id)).stdout).toMatch(/^name {5}a$/m)
    const changed = await webhooks(
      'update',
      id,
      '--events',
      'batch.failed,video.generated',
      '--state',
      'disabled',
      '--name',
      'new',
    )
    expect(changed.stdout).toMatch(/disabled/)
    expect(await sdk().webhooks.get(id)).toMatchObject({
      name: 'new',
      state: 'disabled',
      subscribed_events: ['batch.failed', 'video.generated'],
      uri: 'https://relay.example.com/',
    })
    expect((await webhooks('update', id)).code).toBe(2)
    const unknown = await webhooks('get', 'nothing')
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/answered 404: .*nothing.* was not found/)])
  })

  it('go through all pages of a long list', async (test) => {
    const { emulator, sdk } = await manageRelay(test)
    // The emulator has at most 1,000, which is one page: the second is empty of webhooks and full of a token.
    for (let n = 0; n < 60; n++) await sdk().webhooks.create({ uri: 'https://relay.example.com/', subscribed_events: ['a.b'] })
    const { stdout } = await cli(['webhooks', 'list', '--json'], { GEMINI_API_KEY: 'k', GOOGLE_GEMINI_BASE_URL: emulator.url })
    expect(JSON.parse(stdout)).toHaveLength(60)
  })

  it('tells the errors of the API, and the key in none of them', async (test) => {
    const { emulator, env, webhooks } = await manageRelay(test)
    const key = 'AIza-very-private'
    await emulator.steer('POST', '/faults', { kind: 'api_error', status: 403, times: 1 })
    const refused = await webhooks(['list'], { GEMINI_API_KEY: key })
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringMatching(/answered 403.*\n.*GEMINI_API_KEY/)])
    const [port] = await freePorts(1)
    const away = await webhooks(['list'], { GEMINI_API_KEY: key, GOOGLE_GEMINI_BASE_URL: `http://127.0.0.1:${port}` })
    expect([away.code, away.stderr]).toEqual([1, expect.stringMatching(/cannot be reached: .*ECONNREFUSED/)])
    expect(refused.stderr + away.stderr + refused.stdout + away.stdout).not.toContain(key)
    expect(env.GEMINI_API_KEY).not.toBe(key)
  })

  it('deletes a webhook, and trusts its secret no more', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id, secret } = await managed.create(relay.hook)
    expect(await statusOf(relay.hook, secret)).toBe(200)
    expect((await managed.webhooks(['delete', id])).code).toBe(0)
    await eventually(
      () => statusOf(relay.hook, secret),
      (status) => status !== 200,
    )
    await expect(managed.sdk().webhooks.get(id)).rejects.toMatchObject({ status: 404 })
    // One that is gone already is deleted again without complaint.
    expect((await managed.webhooks(['delete', id])).code).toBe(0)
  })
})

describe.concurrent('webhooks rotate', () => {
  it('has both secrets live for a day, and after a day the new one alone', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id, secret } = await managed.create(relay.hook)
    const next = await managed.rotate(id)
    await eventually(
      () => statusOf(relay.hook, next),
      (status) => status === 200,
    )
    expect(await statusOf(relay.hook, secret)).toBe(200)
    const { rows } = await managed.db.query<{ hours: number | null }>(
      `select round(date_part('epoch', expires_at - clock_timestamp()) / 3600) as hours from gemini_relay.signing_secrets order by id`,
    )
    expect(rows).toEqual([{ hours: 24 }, { hours: null }])
    // A day later, as Postgres sees it.
    await managed.db.query(`update gemini_relay.signing_secrets set expires_at = expires_at - interval '25 hours'`)
    await eventually(
      () => statusOf(relay.hook, secret),
      (status) => status === 400,
    )
    expect(await statusOf(relay.hook, next)).toBe(200)
  })

  it('revokes at once where it is told to: for a minute the old one is asked to come again, then it is refused', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id, secret } = await managed.create(relay.hook)
    const next = await managed.rotate(id, '--revoke', 'immediately')
    await eventually(
      () => statusOf(relay.hook, next),
      (status) => status === 200,
    )
    const late = await send(relay.hook, secret)
    expect([late.status, late.body.code, late.headers.get('retry-after')]).toEqual([503, 'keys_unavailable', '30'])
    await managed.db.query(`update gemini_relay.signing_secrets set expires_at = expires_at - interval '61 seconds'`)
    await eventually(
      () => statusOf(relay.hook, secret),
      (status) => status === 400,
    )
  })

  it('takes over a webhook that was made elsewhere, and says when there is none', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id = '' } = await managed.sdk().webhooks.create({ uri: relay.hook, subscribed_events: ['batch.failed'] })
    const secret = await managed.rotate(id, '--revoke', 'immediately')
    await eventually(
      () => statusOf(relay.hook, secret),
      (status) => status === 200,
    )
    const unknown = await managed.webhooks(['rotate', 'nothing'])
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringMatching(/404/)])
    expect((await managed.db.query('select from gemini_relay.webhook_intents')).rowCount).toBe(0)
  })

  it('waits for another change that is under way', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id } = await managed.create(relay.hook)
    const secrets = await Promise.all([managed.rotate(id), managed.rotate(id), managed.rotate(id)])
    for (const secret of secrets) expect(await statusOf(relay.hook, secret)).toBe(200)
    const shown = (await managed.sdk().webhooks.get(id)).signing_secrets ?? []
    expect(shown).toHaveLength(4)
    const { rows } = await managed.db.query('select from gemini_relay.signing_secrets where expires_at is null')
    expect(rows).toHaveLength(1)
  })
})

describe.concurrent('a change that did not end', () => {
  it('leaves an intent, while which unknown signatures are answered 503, until it is healed by rotating again', async (test) => {
    // What is answered 503 comes again after half a minute of the emulator's time.
    const managed = await manageRelay(test, { speed: 10 })
    const relay = await managed.serve()
    const { id, secret } = await managed.create(relay.hook)
    // The answer with the secret never comes: Gemini has rotated, and nobody knows to what.
    await managed.emulator.steer('POST', '/faults', { kind: 'api_lost', path: 'rotateSigningSecret' })
    const failed = await managed.webhooks(['rotate', id, '--revoke', 'immediately'])
    expect([failed.code, failed.stderr]).toEqual([1, expect.stringMatching(/answered 503/)])
    const unknown = `whsec_${newKey()}`
    const kept = await send(relay.hook, unknown)
    expect([kept.status, kept.body.code]).toEqual([503, 'keys_unavailable'])
    expect(await statusOf(relay.hook, secret)).toBe(200)
    // What Gemini signs meanwhile comes again.
    expect((await managed.webhooks(['ping', id])).code).toBe(0)
    await eventually(
      () => managed.emulator.log(),
      (log) => log.includes('delivery: 503'),
    )
    const healed = await managed.webhooks(['heal'])
    expect([healed.code, healed.stderr]).toEqual([
      0,
      expect.stringMatching(/healed: webhook \w+ of source gemini has a new secret/),
    ])
    await eventually(
      async () => (await managed.db.query(`select from gemini_relay.events where type = 'webhook.ping'`)).rowCount,
      (count) => count === 1,
    )
  })

  it('is healed by a running relay that has the key of the API', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    const { id } = await managed.create(relay.hook)
    await managed.db.query(
      `insert into gemini_relay.webhook_intents (source, webhook, revocation, opened_at) values ('gemini', $1, 'immediately', now() - interval '1 minute')`,
      [id],
    )
    await eventually(
      () => relay.log(),
      (log) => log.includes('healed: webhook'),
      30_000,
    )
    expect((await managed.db.query('select from gemini_relay.webhook_intents')).rowCount).toBe(0)
    await managed.webhooks(['ping', id])
    await eventually(
      async () => (await managed.db.query(`select from gemini_relay.events where type = 'webhook.ping'`)).rowCount,
      (count) => count === 1,
    )
  })

  it('of a webhook that was made without its secret being kept, gives it a new one', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    await managed.db.query(`insert into gemini_relay.webhook_intents (source, uri, known) values ('gemini', $1, '{}')`, [
      relay.hook,
    ])
    const { id = '', new_signing_secret: lost = '' } = await managed
      .sdk()
      .webhooks.create({ uri: relay.hook, subscribed_events: ['batch.failed'] })
    expect(
      await eventually(
        () => statusOf(relay.hook, lost),
        (status) => status === 503,
      ),
    ).toBe(503)
    expect((await managed.webhooks(['heal'])).stderr).toContain(`webhook ${id} of source gemini was made without`)
    await managed.webhooks(['ping', id])
    await eventually(
      async () => (await managed.db.query(`select from gemini_relay.events where type = 'webhook.ping'`)).rowCount,
      (count) => count === 1,
    )
    // Of one that was never made, nothing is left.
    await managed.db.query(
      `insert into gemini_relay.webhook_intents (source, uri, known) values ('gemini', 'https://never.example/', '{}')`,
    )
    expect((await managed.webhooks(['heal'])).stderr).toContain('was about to be made, and was not')
    expect((await managed.db.query('select from gemini_relay.webhook_intents')).rowCount).toBe(0)
  })
})

describe.concurrent('the encryption key', () => {
  it('that is another one is a clear error at start and for every change, and the right one restores', async (test) => {
    const managed = await manageRelay(test)
    const first = await managed.serve()
    const { id, secret } = await managed.create(first.hook)
    await first.stop()
    const other = { RELAY_ENCRYPTION_KEY: newKey() }
    await expect(managed.serve(other)).rejects.toThrow(
      /stored secrets were encrypted with the key [0-9a-f]{12}; given: [0-9a-f]{12}\n.*rekey/,
    )
    await expect(managed.serve({ RELAY_ENCRYPTION_KEY: '' })).rejects.toThrow(/managed secrets need an encryption key/)
    await expect(managed.serve({ RELAY_ENCRYPTION_KEY: 'bm90IDMyIGJ5dGVz' })).rejects.toThrow(/holds 12 bytes, expected 32/)
    const rotating = await managed.webhooks(['rotate', id], other)
    expect([rotating.code, rotating.stderr]).toEqual([1, expect.stringContaining('encrypted with the key')])
    const restored = await managed.serve()
    expect(await statusOf(restored.hook, secret)).toBe(200)
  })

  it('is changed without a gap: both, then a new encryption of all, then the new one alone', async (test) => {
    const managed = await manageRelay(test)
    const old = managed.env.RELAY_ENCRYPTION_KEY ?? ''
    const relay = await managed.serve()
    const { secret } = await managed.create(relay.hook)
    await relay.stop()
    const key = newKey()
    const both = { RELAY_ENCRYPTION_KEY: `${key},${old}` }
    const second = await managed.serve(both)
    expect(await statusOf(second.hook, secret)).toBe(200)
    const rekeyed = await managed.webhooks(['rekey', '--json'], both)
    expect(JSON.parse(rekeyed.stdout)).toMatchObject({ rekeyed: 1 })
    expect(await statusOf(second.hook, secret)).toBe(200)
    await second.stop()
    const third = await managed.serve({ RELAY_ENCRYPTION_KEY: key })
    expect(await statusOf(third.hook, secret)).toBe(200)
  })

  it('opens no row that was changed or moved to another webhook', async (test) => {
    const managed = await manageRelay(test)
    const relay = await managed.serve()
    await managed.create(relay.hook)
    await relay.stop()
    await managed.db.query(`update gemini_relay.signing_secrets set webhook = 'another'`)
    await expect(managed.serve()).rejects.toThrow(/signing secret of webhook another of source gemini was changed/)
  })
})
