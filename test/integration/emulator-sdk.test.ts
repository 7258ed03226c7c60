/** The official SDK, in each major version, drives every call of WebhookService against the emulator. */
import { randomUUID } from 'node:crypto'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulate, receive, sdks, sdkVersions, type TestEmulator } from '../setup/emulator.ts'
import { eventually } from '../setup/sender.ts'

let emulator: TestEmulator
let guarded: TestEmulator

beforeAll(async () => {
  emulator = await emulate()
  guarded = await emulate({ apiKey: 'the-right-key' })
})

afterAll(async () => {
  await emulator?.stop()
  await guarded?.stop()
})

const isoTime = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const uri = 'https://relay.example.com/webhooks/gemini'

describe.each(sdkVersions)('the SDK %s', (version) => {
  const open = (apiKey?: string) => sdks[version](emulator.url, apiKey).webhooks
  const make = (name: string = randomUUID()) =>
    open().create({ name, uri, subscribed_events: ['batch.succeeded', 'batch.failed'] })

  async function made(name?: string): Promise<{ id: string; secret: string }> {
    const { id = '', new_signing_secret: secret = '' } = await make(name)
    expect(id).not.toBe('')
    return { id, secret }
  }

  it('creates a webhook, and is shown its secret', async () => {
    const webhook = await make('from the SDK')
    expect(webhook).toMatchObject({
      id: expect.stringMatching(/^\w+$/),
      name: 'from the SDK',
      uri,
      subscribed_events: ['batch.succeeded', 'batch.failed'],
      state: 'enabled',
      create_time: isoTime,
      update_time: isoTime,
    })
    const secret = webhook.new_signing_secret ?? ''
    expect(Buffer.from(secret.replace(/^whsec_/, ''), 'base64')).toHaveLength(32)
    expect(webhook.signing_secrets).toEqual([{ truncated_secret: `whsec_...${secret.slice(-4)}` }])
  })

  it('gets a webhook, without its secret', async () => {
    const { id, secret } = await made('to be read')
    const read = await open().get(id)
    expect(read).toMatchObject({ id, name: 'to be read', uri, state: 'enabled' })
    expect(read.new_signing_secret).toBeUndefined()
    expect(JSON.stringify(read)).not.toContain(secret)
  })

  it('lists all webhooks, in pages', async () => {
    const fresh = await emulate()
    const client = sdks[version](fresh.url).webhooks
    expect((await client.list()).webhooks ?? []).toEqual([])
    for (const name of ['a', 'b', 'c', 'd', 'e']) await client.create({ name, uri, subscribed_events: ['batch.failed'] })
    const names: (string | undefined)[][] = []
    let token: string | undefined
    do {
      const page = await client.list({ page_size: 2, ...(token === undefined ? {} : { page_token: token }) })
      names.push((page.webhooks ?? []).map(({ name }) => name))
      token = page.next_page_token
    } while (token !== undefined)
    expect(names).toEqual([['a', 'b'], ['c', 'd'], ['e']])
    expect((await client.list()).webhooks).toHaveLength(5)
    await fresh.stop()
  })

  it('updates what it names and leaves the rest', async () => {
    const { id } = await made('before')
    const renamed = await open().update(id, { name: 'after' })
    expect(renamed).toMatchObject({ id, name: 'after', uri, subscribed_events: ['batch.succeeded', 'batch.failed'] })
    const changed = await open().update(id, { uri: 'https://elsewhere.example.com/', subscribed_events: ['video.generated'] })
    expect(changed).toMatchObject({
      name: 'after',
      uri: 'https://elsewhere.example.com/',
      subscribed_events: ['video.generated'],
    })
    const { name, uri: address, subscribed_events, update_time } = changed
    expect(await open().get(id)).toMatchObject({ name, uri: address, subscribed_events, update_time })
  })

  it('updates only what is in the update mask', async () => {
    const { id } = await made('masked')
    const changed = await open().update(id, { name: 'other', uri: 'https://not.example.com/', update_mask: 'name' })
    expect(changed).toMatchObject({ name: 'other', uri })
    const both = await open().update(id, { name: 'both', state: 'disabled', update_mask: 'name,state' })
    expect(both).toMatchObject({ name: 'both', state: 'disabled' })
    expect((await open().update(id, { update_mask: 'name' })).name).toBeUndefined()
  })

  it('disables and enables', async () => {
    const { id } = await made()
    expect((await open().update(id, { state: 'disabled' })).state).toBe('disabled')
    expect((await open().update(id, { state: 'enabled' })).state).toBe('enabled')
  })

  it('deletes', async () => {
    const { id } = await made()
    expect(await open().delete(id)).toEqual(expect.anything())
    await expect(open().get(id)).rejects.toMatchObject({ status: 404 })
    await expect(open().delete(id)).rejects.toMatchObject({ status: 404 })
  })

  it('rotates, with the previous secret live for another 24 hours', async () => {
    const { id, secret } = await made()
    const before = Date.now()
    const { secret: next = '' } = await open().rotateSigningSecret(id, {
      revocation_behavior: 'revoke_previous_secrets_after_h24',
    })
    expect(next).toMatch(/^whsec_/)
    expect(next).not.toBe(secret)
    const [newest, previous] = (await open().get(id)).signing_secrets ?? []
    expect(newest).toEqual({ truncated_secret: `whsec_...${next.slice(-4)}` })
    expect(previous?.truncated_secret).toBe(`whsec_...${secret.slice(-4)}`)
    const expires = Date.parse(previous?.expire_time ?? '')
    expect(expires).toBeGreaterThanOrEqual(before + 86_400_000)
    expect(expires).toBeLessThanOrEqual(Date.now() + 86_400_000)
  })

  it('rotates, with the previous secrets revoked at once', async () => {
    const { id } = await made()
    await open().rotateSigningSecret(id, {})
    const { secret = '' } = await open().rotateSigningSecret(id, { revocation_behavior: 'revoke_previous_secrets_immediately' })
    expect((await open().get(id)).signing_secrets).toEqual([{ truncated_secret: `whsec_...${secret.slice(-4)}` }])
  })

  it('pings, and the ping arrives, signed with the secret', async () => {
    const receiver = await receive()
    const { id = '', new_signing_secret: secret = '' } = await open().create({
      uri: receiver.url,
      subscribed_events: ['batch.failed'],
    })
    expect(await open().ping(id)).toEqual(expect.anything())
    expect(await open().ping(id, { body: {} })).toEqual(expect.anything())
    await eventually(
      () => receiver.received,
      ({ length }) => length === 2,
    )
    for (const { headers, body } of receiver.received) {
      const signed = {
        'webhook-id': String(headers['webhook-id']),
        'webhook-timestamp': String(headers['webhook-timestamp']),
        'webhook-signature': String(headers['webhook-signature']),
      }
      expect(new Webhook(secret).verify(body, signed)).toMatchObject({ version: 'v1', timestamp: isoTime })
    }
  })

  it('is told which field is wrong', async () => {
    const cases: [call: () => Promise<unknown>, message: RegExp][] = [
      [() => open().create({ uri: 'http://relay.example.com/', subscribed_events: ['batch.failed'] }), /'uri'.*https/],
      [() => open().create({ uri: 'not a uri', subscribed_events: ['batch.failed'] }), /'uri'/],
      [() => open().create({ uri, subscribed_events: [] }), /'subscribed_events'/],
      [() => open().create({ uri, subscribed_events: ['everything'] }), /'subscribed_events.0'/],
      [
        () => open().create(Object.assign({ uri, subscribed_events: ['batch.failed'] }, { colour: 'red' })),
        /Unknown name.*colour/,
      ],
      [() => open().list({ page_token: 'made-up' }), /page_token/],
      [() => open().list({ page_size: -1 }), /page_size/],
    ]
    for (const [call, message] of cases) {
      const error = await call().then(
        () => undefined,
        (thrown: unknown) => thrown,
      )
      expect(error).toMatchObject({ status: 400, message: expect.stringMatching(message) })
      expect(error).toMatchObject({ error: { error: { code: 400, status: 'INVALID_ARGUMENT' } } })
    }
  })

  it('is told which update is wrong', async () => {
    const { id } = await made()
    const updates = [
      { uri: 'ftp://relay.example.com/' },
      { state: 'disabled_due_to_failed_deliveries' as const },
      { name: 'x', update_mask: 'id' },
      { name: 'x', update_mask: 'uri' },
    ]
    for (const update of updates) await expect(open().update(id, update)).rejects.toMatchObject({ status: 400 })
    expect(await open().get(id)).toMatchObject({ uri, state: 'enabled' })
  })

  it('is told that there is no such webhook', async () => {
    const calls = [
      () => open().get('missing'),
      () => open().update('missing', { name: 'x' }),
      () => open().delete('missing'),
      () => open().rotateSigningSecret('missing', {}),
      () => open().ping('missing'),
    ]
    for (const call of calls)
      await expect(call).rejects.toMatchObject({ status: 404, message: expect.stringContaining('missing') })
  })

  it('is refused a ping of a webhook that is disabled', async () => {
    const { id } = await made()
    await open().update(id, { state: 'disabled' })
    await expect(open().ping(id)).rejects.toMatchObject({ status: 400 })
  })

  it('is refused with another key', async () => {
    await expect(sdks[version](guarded.url, 'a-wrong-key').webhooks.list()).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining('API key not valid'),
    })
    expect(await sdks[version](guarded.url, 'the-right-key').webhooks.list()).toEqual(expect.anything())
  })
})

describe('the HTTP calls of the guide', () => {
  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = { 'x-goog-api-key': 'any' },
  ) {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const response = await fetch(`${emulator.url}${path}`, { method, headers, ...sent })
    return { status: response.status, body: JSON.parse(await response.text()) }
  }

  it.each(['v1', 'v1beta'])('are answered under /%s, whichever way fields are spelled', async (version) => {
    const created = await call('POST', `/${version}/webhooks`, { uri, subscribedEvents: ['batch.failed'] })
    expect(created).toMatchObject({ status: 200, body: { subscribed_events: ['batch.failed'] } })
    const path = `/${version}/webhooks/${created.body.id}`
    const behaviour = { revocation_behavior: 'REVOKE_PREVIOUS_SECRETS_IMMEDIATELY' }
    expect(await call('POST', `${path}/rotate_secret`, behaviour)).toMatchObject({
      status: 200,
      body: { secret: expect.any(String) },
    })
    expect((await call('GET', path)).body.signing_secrets).toHaveLength(1)
    await call('POST', `${path}:rotateSigningSecret`, { revocationBehavior: 'REVOKE_PREVIOUS_SECRETS_AFTER_H24' })
    expect((await call('GET', path)).body.signing_secrets).toHaveLength(2)
    const masked = await call('PATCH', `${path}?updateMask=subscribedEvents`, {
      subscribedEvents: ['video.generated'],
      name: 'no',
    })
    expect(masked.body).toMatchObject({ subscribed_events: ['video.generated'] })
    expect(masked.body.name).toBeUndefined()
    expect(await call('PATCH', `${path}?update_mask=id`, { id: 'another' })).toMatchObject({ status: 400 })
    expect(await call('GET', `/${version}/webhooks?pageSize=1`)).toMatchObject({ body: { next_page_token: expect.any(String) } })
    expect(await call('DELETE', path)).toEqual({ status: 200, body: {} })
  })

  it('take the key from the query too, and refuse a call without one', async () => {
    expect((await call('GET', '/v1/webhooks?key=any', undefined, {})).status).toBe(200)
    expect(await call('GET', '/v1/webhooks', undefined, {})).toMatchObject({
      status: 403,
      body: { error: { code: 403, status: 'PERMISSION_DENIED' } },
    })
    expect(emulator.log()).not.toContain('key=any')
  })

  it('are refused where there is nothing to call, and where the body is no object', async () => {
    const nothing = ['/v1/nothing', '/v2/webhooks', '/v1/webhooks/', '/v1/webhooks/x:pong', '/v1/webhooks/%zz:ping', '//']
    for (const path of nothing)
      expect(await call('POST', path, {})).toMatchObject({ status: 404, body: { error: { code: 404 } } })
    for (const body of [[], 'text', 1]) expect((await call('POST', '/v1/webhooks', body)).status).toBe(400)
    const broken = await fetch(`${emulator.url}/v1/webhooks?key=any`, { method: 'POST', body: '{' })
    expect([broken.status, await broken.json()]).toMatchObject([400, { error: { status: 'INVALID_ARGUMENT' } }])
  })
})
