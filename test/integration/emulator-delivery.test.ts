/** What the emulator sends, to whom, how often, how signed, and how it misbehaves when asked to. */
import { verify as verifySignature, createPublicKey } from 'node:crypto'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { emulate, receive, sdks, type Received, type Receiver, type TestEmulator } from '../setup/emulator.ts'
import { freePorts } from '../setup/free-ports.ts'
import { eventually } from '../setup/sender.ts'

type Options = NonNullable<Parameters<typeof emulate>[0]>

async function open(options: Options = {}): Promise<TestEmulator> {
  const emulator = await emulate(options)
  onTestFinished(() => emulator.stop())
  return emulator
}

async function register(emulator: TestEmulator, uri: string, events = ['batch.succeeded']) {
  const { id = '', new_signing_secret: secret = '' } = await sdks['3.x'](emulator.url).webhooks.create({
    uri,
    subscribed_events: events,
  })
  return { id, secret }
}

const emit = (emulator: TestEmulator, event: Record<string, unknown> = {}) =>
  emulator.steer('POST', '/events', { type: 'batch.succeeded', data: { id: 'batches/1' }, ...event })

const arrived = (receiver: Receiver, count: number) =>
  eventually(
    () => receiver.received,
    ({ length }) => length === count,
  )

const idOf = ({ headers }: Received) => String(headers['webhook-id'])
const signatureOf = ({ headers }: Received) => String(headers['webhook-signature'])
const typeOf = ({ body }: Received) => z.object({ type: z.string() }).parse(JSON.parse(body)).type

function signedBy(secret: string, { headers, body }: Received): boolean {
  const signed = {
    'webhook-id': String(headers['webhook-id']),
    'webhook-timestamp': String(headers['webhook-timestamp']),
    'webhook-signature': String(headers['webhook-signature']),
  }
  try {
    new Webhook(secret).verify(body, signed)
    return true
  } catch {
    return false
  }
}

const deliveryList = z.object({
  deliveries: z.array(z.object({ webhook_id: z.string(), state: z.string(), attempts: z.number(), last: z.string().nullable() })),
})

async function deliveries(emulator: TestEmulator) {
  return deliveryList.parse((await emulator.steer('GET', '/deliveries')).body).deliveries
}

const stateOf = async (emulator: TestEmulator, id: string) => (await sdks['3.x'](emulator.url).webhooks.get(id)).state

const keySet = z.object({ keys: z.array(z.record(z.string(), z.unknown())) })

async function published(emulator: TestEmulator) {
  return keySet.parse(await (await fetch(emulator.jwksUri)).json()).keys
}

type Keys = Awaited<ReturnType<typeof published>>

/** @throws where its signature does not hold */
function tokenOf(one: Received, keys: Keys) {
  const set = createLocalJWKSet({ keys: keys.map((key) => ({ ...key, kty: String(key.kty) })) })
  return jwtVerify(signatureOf(one), set, { audience: 'gemini-relay-emulator' })
}

/** Those that signed it. */
function ed25519KeysOf(one: Received, keys: Keys): Keys {
  const signature = Buffer.from(signatureOf(one).replace(/^v1a,/, ''), 'base64')
  const content = Buffer.from(`${idOf(one)}.${String(one.headers['webhook-timestamp'])}.${one.body}`)
  return keys
    .filter(({ kty }) => kty === 'OKP')
    .filter((key) => verifySignature(null, content, createPublicKey({ key, format: 'jwk' }), signature))
}

describe('an event', () => {
  it('goes to the webhooks that subscribe to its type, each with a secret and a webhook-id of its own', async () => {
    const emulator = await open()
    const [one, two, other] = [await receive(), await receive(), await receive()]
    const first = await register(emulator, one.url)
    const second = await register(emulator, two.url, ['interaction.failed', 'batch.succeeded'])
    await register(emulator, other.url, ['batch.failed'])
    await emit(emulator)
    const [[a], [b]] = [await arrived(one, 1), await arrived(two, 1)]
    if (a === undefined || b === undefined) throw new Error('nothing arrived')
    expect([signedBy(first.secret, a), signedBy(second.secret, b), signedBy(second.secret, a)]).toEqual([true, true, false])
    expect(idOf(a)).not.toBe(idOf(b))
    expect(a.headers['content-type']).toBe('application/json')
    expect(JSON.parse(a.body)).toMatchObject({ type: 'batch.succeeded', version: 'v1', data: { id: 'batches/1' } })
    await emit(emulator, { type: 'batch.failed' })
    expect((await arrived(other, 1)).map(typeOf)).toEqual(['batch.failed'])
    expect([one.received, two.received].map(({ length }) => length)).toEqual([1, 1])
  })

  it('goes to one who subscribes to the older name of a success', async () => {
    const emulator = await open()
    const receiver = await receive()
    await register(emulator, receiver.url, ['batch.completed'])
    await emit(emulator)
    await arrived(receiver, 1)
  })

  it('goes to the addresses of its job instead, where there are any', async () => {
    const emulator = await open()
    const [registered, named, also] = [await receive(), await receive(), await receive()]
    await register(emulator, registered.url)
    await emit(emulator, { uris: [named.url, also.url] })
    await arrived(named, 1)
    await arrived(also, 1)
    await emit(emulator)
    await arrived(registered, 1)
  })

  it('goes nowhere while a webhook is disabled, or after it was deleted', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { webhooks } = sdks['3.x'](emulator.url)
    const { id } = await register(emulator, receiver.url)
    await webhooks.update(id, { state: 'disabled' })
    await emit(emulator)
    await webhooks.update(id, { state: 'enabled' })
    await emit(emulator, { data: { id: 'batches/2' } })
    expect((await arrived(receiver, 1)).map(({ body }) => body)).toEqual([expect.stringContaining('batches/2')])
    await webhooks.delete(id)
    await emit(emulator)
    expect(await deliveries(emulator)).toHaveLength(1)
  })
})

describe('a dynamic delivery', () => {
  it('is signed with a JWT for the audience, by the RSA key of the JWKS', async () => {
    const emulator = await open()
    const receiver = await receive()
    await emit(emulator, { uris: [receiver.url], user_metadata: { priority: 'high' } })
    const [one] = await arrived(receiver, 1)
    if (one === undefined) throw new Error('nothing arrived')
    const { payload, protectedHeader } = await tokenOf(one, await published(emulator))
    expect(protectedHeader).toMatchObject({ alg: 'RS256', kid: expect.any(String) })
    expect(Object.keys(payload).toSorted()).toEqual(['aud', 'iat', 'jti'])
    expect(JSON.parse(one.body)).toMatchObject({ data: { user_metadata: { priority: 'high' } } })
  })

  it('is signed with one of three Ed25519 keys when asked to', async () => {
    const emulator = await open()
    const receiver = await receive()
    await emulator.steer('POST', '/settings', { dynamic_scheme: 'ed25519' })
    await emit(emulator, { uris: [receiver.url] })
    const [one] = await arrived(receiver, 1)
    if (one === undefined) throw new Error('nothing arrived')
    const keys = await published(emulator)
    expect(keys.filter(({ kty }) => kty === 'OKP')).toHaveLength(3)
    expect(ed25519KeysOf(one, keys)).toHaveLength(1)
  })

  it('has its metadata and its id where the settings put them', async () => {
    const emulator = await open()
    const receiver = await receive()
    const event = { uris: [receiver.url], user_metadata: { n: 1 } }
    await emulator.steer('POST', '/settings', { metadata_in: 'envelope' })
    await emit(emulator, event)
    await arrived(receiver, 1)
    await emulator.steer('POST', '/settings', { metadata_in: 'claims', claims: 'event', audience: 'somebody' })
    await emit(emulator, event)
    const [first, second] = await arrived(receiver, 2)
    if (first === undefined || second === undefined) throw new Error('nothing arrived')
    expect(JSON.parse(first.body)).toMatchObject({ user_metadata: { n: 1 }, data: { id: 'batches/1' } })
    expect(second.body).not.toContain('user_metadata')
    const claims = JSON.parse(Buffer.from(signatureOf(second).split('.')[1] ?? '', 'base64url').toString())
    expect(claims).toMatchObject({ aud: 'somebody', type: 'batch.succeeded', user_metadata: { n: 1 } })
  })

  it('is signed with a new key after a rotation; the previous ones stay in the set for a day, or go at once', async () => {
    const emulator = await open()
    const kids = async () => (await published(emulator)).map(({ kid }) => kid)
    const before = await kids()
    await emulator.steer('POST', '/keys/rotate')
    const both = await kids()
    expect(both).toHaveLength(6)
    expect(both).toEqual(expect.arrayContaining(before))
    await emulator.steer('POST', '/clock', { advance: '24h' })
    expect((await kids()).filter((kid) => before.includes(kid))).toHaveLength(2)
    await emulator.steer('POST', '/keys/rotate', { previous: 'withdrawn' })
    const after = await kids()
    expect(after).toHaveLength(2)
    expect(both.filter((kid) => after.includes(kid))).toEqual([])
  })
})

describe('a rotation of secrets', () => {
  it('signs with the old and the new one for 24 hours, and with the new one alone after them', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { id, secret } = await register(emulator, receiver.url)
    const { secret: next = '' } = await sdks['3.x'](emulator.url).webhooks.rotateSigningSecret(id, {})
    await emit(emulator)
    await arrived(receiver, 1)
    await emulator.steer('POST', '/clock', { advance: '23h' })
    await emit(emulator)
    await arrived(receiver, 2)
    await emulator.steer('POST', '/clock', { advance: '1h' })
    await emit(emulator)
    const [first, second, third] = await arrived(receiver, 3)
    if (first === undefined || second === undefined || third === undefined) throw new Error('nothing arrived')
    for (const one of [first, second]) {
      expect(signatureOf(one)).toMatch(/^v1,\S+ v1,\S+$/)
      expect([signedBy(secret, one), signedBy(next, one)]).toEqual([true, true])
    }
    expect([signedBy(secret, third), signedBy(next, third)]).toEqual([false, true])
  })

  it('signs with the new one alone at once, where that was asked for', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { id, secret } = await register(emulator, receiver.url)
    const body = { revocation_behavior: 'revoke_previous_secrets_immediately' } as const
    const { secret: next = '' } = await sdks['3.x'](emulator.url).webhooks.rotateSigningSecret(id, body)
    await emit(emulator)
    const [one] = await arrived(receiver, 1)
    if (one === undefined) throw new Error('nothing arrived')
    expect([signedBy(secret, one), signedBy(next, one)]).toEqual([false, true])
  })
})

describe('a delivery that fails', () => {
  it('comes again with the same id, a fresh timestamp and growing pauses, and ends when it is taken', async () => {
    const emulator = await open({ speed: 1_000 })
    const receiver = await receive()
    const { secret } = await register(emulator, receiver.url)
    receiver.answer(503)
    await emit(emulator)
    await eventually(
      () => receiver.received,
      ({ length }) => length >= 6,
    )
    receiver.answer(204)
    await eventually(
      () => deliveries(emulator),
      ([one]) => one?.state === 'delivered',
    )
    expect(new Set(receiver.received.map(idOf)).size).toBe(1)
    expect(new Set(receiver.received.map(({ body }) => body)).size).toBe(1)
    for (const one of receiver.received) {
      expect(signedBy(secret, one)).toBe(true)
      // The receiver's clock is the real one, however fast the emulator's is.
      expect(Math.abs(Number(one.headers['webhook-timestamp']) - one.at / 1_000)).toBeLessThan(60)
    }
  })

  it('is given up after 24 hours, and its webhook is disabled, for nothing else got through', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { id } = await register(emulator, receiver.url)
    receiver.answer(500)
    await emit(emulator)
    await arrived(receiver, 1)
    await emulator.steer('POST', '/clock', { advance: '23h' })
    // The attempts of 23 hours, one after the other: 5 s, 10 s … 2 h, then every 2 h.
    await eventually(
      () => receiver.received.length,
      (count) => count >= 18,
    )
    expect(await stateOf(emulator, id)).toBe('enabled')
    await emulator.steer('POST', '/clock', { advance: '1h' })
    const [one] = await eventually(
      () => deliveries(emulator),
      ([first]) => first?.state === 'given_up',
    )
    expect(one).toMatchObject({ attempts: receiver.received.length, last: expect.stringContaining('500') })
    expect(one?.attempts).toBeGreaterThan(18)
    expect(one?.attempts).toBeLessThan(30)
    expect(await stateOf(emulator, id)).toBe('disabled_due_to_failed_deliveries')

    receiver.answer(200)
    await emit(emulator)
    expect(await deliveries(emulator)).toHaveLength(1)
    await sdks['3.x'](emulator.url).webhooks.update(id, { state: 'enabled' })
    await emulator.steer('POST', '/deliveries/resend')
    const again = await eventually(
      () => deliveries(emulator),
      ([first]) => first?.state === 'delivered',
    )
    expect(again).toMatchObject([{ webhook_id: one?.webhook_id, attempts: 1 }])
  })

  it('leaves its webhook enabled when another one got through meanwhile', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { id } = await register(emulator, receiver.url)
    await emulator.steer('POST', '/faults', { kind: 'lost', type: 'batch.succeeded', times: 1_000 })
    await emit(emulator)
    await emulator.steer('POST', '/clock', { advance: '1m' })
    await sdks['3.x'](emulator.url).webhooks.ping(id)
    await arrived(receiver, 1)
    await emulator.steer('POST', '/clock', { advance: '27h' })
    await eventually(
      () => deliveries(emulator),
      (list) => list.some(({ state }) => state === 'given_up'),
    )
    expect(await stateOf(emulator, id)).toBe('enabled')
  })

  it('leaves its webhook enabled when somebody has enabled it meanwhile', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { webhooks } = sdks['3.x'](emulator.url)
    const { id } = await register(emulator, receiver.url)
    receiver.answer(500)
    await emit(emulator)
    await arrived(receiver, 1)
    await emulator.steer('POST', '/clock', { advance: '1s' })
    for (const state of ['disabled', 'enabled'] as const) await webhooks.update(id, { state })
    await emulator.steer('POST', '/clock', { advance: '24h' })
    await eventually(
      () => deliveries(emulator),
      ([one]) => one?.state === 'given_up',
    )
    expect(await stateOf(emulator, id)).toBe('enabled')
  })

  it('is over at once where the receiver is gone for good, and its webhook is disabled', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { id } = await register(emulator, receiver.url)
    receiver.answer(410)
    await emit(emulator)
    await eventually(
      () => deliveries(emulator),
      ([one]) => one?.state === 'given_up',
    )
    expect(await stateOf(emulator, id)).toBe('disabled_due_to_failed_deliveries')
  })

  it('comes no earlier than the receiver asked for', async () => {
    const emulator = await open()
    const receiver = await receive()
    await register(emulator, receiver.url)
    receiver.answer(429, { 'retry-after': '600' })
    await emit(emulator)
    await arrived(receiver, 1)
    await emulator.steer('POST', '/clock', { advance: '9m' })
    await emit(emulator, { type: 'batch.succeeded', data: { id: 'batches/2' } })
    await arrived(receiver, 2)
    receiver.answer(200)
    await emulator.steer('POST', '/clock', { advance: '2m' })
    const bodies = (await arrived(receiver, 3)).map(({ body }) => body)
    expect(bodies[1]).toContain('batches/2')
    expect(bodies[2]).toBe(bodies[0])
  })

  it('is not sent on to where a redirect leads', async () => {
    const emulator = await open()
    const [receiver, elsewhere] = [await receive(), await receive()]
    await register(emulator, receiver.url)
    receiver.answer(307, { location: elsewhere.url })
    await emit(emulator)
    const list = await eventually(
      () => deliveries(emulator),
      ([one]) => one?.last === '307',
    )
    expect(list).toMatchObject([{ state: 'pending', attempts: 1 }])
    expect(elsewhere.received).toEqual([])
  })

  it('is tried again when there is no answer in time, or nobody listens', async () => {
    const emulator = await open({ timeoutMs: 50 })
    const receiver = await receive()
    receiver.answer('never')
    await emit(emulator, { uris: [receiver.url] })
    const [nobody] = await freePorts(1)
    await emit(emulator, { uris: [`http://127.0.0.1:${nobody}/`] })
    const seen = await eventually(
      () => deliveries(emulator),
      (list) => list.every(({ last }) => last !== null),
    )
    expect(seen).toMatchObject([
      { state: 'pending', last: 'timeout' },
      { state: 'pending', last: expect.stringContaining('ECONNREFUSED') },
    ])
  })
})

describe('a fault on request', () => {
  it('sends a duplicate', async () => {
    const emulator = await open()
    const receiver = await receive()
    await register(emulator, receiver.url)
    await emulator.steer('POST', '/faults', { kind: 'duplicate' })
    await emit(emulator)
    const [first, second] = await arrived(receiver, 2)
    expect(second).toMatchObject({ body: first?.body, headers: { 'webhook-id': first?.headers['webhook-id'] } })
    await emit(emulator)
    await arrived(receiver, 3)
  })

  it('sends the next ones in reverse order', async () => {
    const emulator = await open()
    const receiver = await receive()
    const types = ['batch.succeeded', 'batch.failed', 'batch.expired']
    await register(emulator, receiver.url, types)
    await emulator.steer('POST', '/faults', { kind: 'reorder', times: 3 })
    for (const type of types) await emit(emulator, { type })
    expect((await arrived(receiver, 3)).map(typeOf)).toEqual(types.toReversed())
    await emulator.steer('POST', '/faults', { kind: 'reorder', times: 10 })
    for (const type of types) await emit(emulator, { type })
    await emulator.steer('DELETE', '/faults')
    expect((await arrived(receiver, 6)).slice(3).map(typeOf)).toEqual(types.toReversed())
  })

  it('sends late', async () => {
    const emulator = await open()
    const receiver = await receive()
    await register(emulator, receiver.url)
    await emulator.steer('POST', '/faults', { kind: 'delay', by: '10m' })
    await emit(emulator)
    await emit(emulator, { data: { id: 'batches/2' } })
    await arrived(receiver, 1)
    await emulator.steer('POST', '/clock', { advance: '10m' })
    expect((await arrived(receiver, 2)).map(({ body }) => body.includes('batches/2'))).toEqual([true, false])
  })

  it.each(['hmac', 'jwt', 'ed25519'] as const)(
    'sends a wrong signature (%s), and a right one with the next attempt',
    async (scheme) => {
      const emulator = await open({ speed: 1_000 })
      const receiver = await receive()
      if (scheme !== 'hmac') await emulator.steer('POST', '/settings', { dynamic_scheme: scheme })
      const { secret } = await register(emulator, receiver.url)
      await emulator.steer('POST', '/faults', { kind: 'bad_signature' })
      receiver.answer(400)
      await emit(emulator, scheme === 'hmac' ? {} : { uris: [receiver.url] })
      const [wrong, right] = await eventually(
        () => receiver.received,
        ({ length }) => length >= 2,
      )
      if (wrong === undefined || right === undefined) throw new Error('nothing arrived')
      const keys = await published(emulator)
      const holds = {
        hmac: (one: Received) => signedBy(secret, one),
        jwt: (one: Received) => tokenOf(one, keys).then(Boolean, () => false),
        ed25519: (one: Received) => ed25519KeysOf(one, keys).length === 1,
      }[scheme]
      expect([await holds(wrong), await holds(right)]).toEqual([false, true])
      const form = /^(v1,|v1a,|eyJ)/
      expect(signatureOf(wrong).match(form)?.[0]).toBe(signatureOf(right).match(form)?.[0])
      expect(idOf(wrong)).toBe(idOf(right))
    },
  )

  it('sends a timestamp of some time ago, rightly signed', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { secret } = await register(emulator, receiver.url)
    await emulator.steer('POST', '/faults', { kind: 'stale', by: '4m' })
    await emit(emulator)
    const [one] = await arrived(receiver, 1)
    if (one === undefined) throw new Error('nothing arrived')
    expect(one.at / 1_000 - Number(one.headers['webhook-timestamp'])).toBeGreaterThanOrEqual(240)
    expect(signedBy(secret, one)).toBe(true)
  })

  it('makes calls of the API fail, those whose path was named', async () => {
    const emulator = await open()
    const { webhooks, batches } = sdks['3.x'](emulator.url)
    await emulator.steer('POST', '/faults', { kind: 'api_error', status: 400, path: '/webhooks' })
    await batches.list()
    await expect(webhooks.list()).rejects.toMatchObject({ status: 400 })
    await webhooks.list()
    await emulator.steer('POST', '/faults', { kind: 'api_error', times: 1 })
    // The SDK tries again by itself.
    expect(await webhooks.list()).toEqual(expect.anything())
    await emulator.steer('POST', '/faults', { kind: 'api_error', status: 403, times: 5 })
    await emulator.steer('DELETE', '/faults')
    await webhooks.list()
  })

  it('makes a call of the API slow, and no other', async () => {
    const emulator = await open()
    const { webhooks, batches } = sdks['3.x'](emulator.url)
    await emulator.steer('POST', '/faults', { kind: 'api_slow', by: '500ms', path: '/batches' })
    const done: string[] = []
    const slow = batches.list().then(() => done.push('batches'))
    await webhooks.list()
    done.push('webhooks')
    await slow
    expect(done).toEqual(['webhooks', 'batches'])
  })
})

describe('the sender', () => {
  it('sends nothing while it is paused; what is older than 24 hours then never comes by itself', async () => {
    const emulator = await open()
    const receiver = await receive()
    await register(emulator, receiver.url)
    await emulator.steer('POST', '/sender', { paused: true })
    await emit(emulator, { data: { id: 'batches/old' } })
    await emulator.steer('POST', '/clock', { advance: '30h' })
    await emit(emulator, { data: { id: 'batches/young' } })
    await emulator.steer('POST', '/sender', { paused: false })
    expect((await arrived(receiver, 1)).map(({ body }) => body)).toEqual([expect.stringContaining('young')])
    await eventually(
      () => deliveries(emulator),
      (list) =>
        list
          .map(({ state }) => state)
          .toSorted()
          .join(' ') === 'delivered given_up',
    )
    await emulator.steer('POST', '/deliveries/resend')
    await arrived(receiver, 2)
  })
})

describe('the end of the emulator', () => {
  it('waits for no receiver', async () => {
    const emulator = await emulate({ timeoutMs: 3_600_000 })
    const receiver = await receive()
    await emit(emulator, { uris: [receiver.url] })
    await eventually(
      () => deliveries(emulator),
      ([one]) => one?.state === 'delivered',
    )
    // On the connection of the first one, whose end could also be taken for one that was idle for too long.
    receiver.answer('never')
    await emit(emulator, { uris: [receiver.url] })
    await arrived(receiver, 2)
    await emulator.stop()
  })
})

describe('what steers it', () => {
  it('is told what is wrong', async () => {
    const emulator = await open()
    const wrong = [
      ['/clock', { speed: 0 }],
      ['/clock', { advance: 'a day' }],
      ['/settings', { dynamic_scheme: 'rot13' }],
      ['/faults', { kind: 'earthquake' }],
      ['/jobs/missing', { end: 'failed' }],
      ['/deliveries/missing/resend', {}],
      ['/webhooks/missing/disable', {}],
      ['/events', { type: 'x.y', uris: ['http://example.com/'] }],
    ] as const
    for (const [path, body] of wrong) {
      const { status } = await emulator.steer('POST', path, body)
      expect([path, [400, 404].includes(status)]).toEqual([path, true])
    }
  })

  it('is no page in a browser: that could send a form, and this takes JSON only', async () => {
    const emulator = await open()
    const form = await fetch(`${emulator.url}/emulator/events`, { method: 'POST', body: '{"type":"batch.failed"}' })
    expect(form.status).toBe(400)
  })

  it('needs the key where there is one', async () => {
    const emulator = await open({ apiKey: 'the-right-key' })
    expect((await emulator.steer('GET', '')).status).toBe(403)
    const headers = { 'x-goog-api-key': 'the-right-key' }
    expect((await fetch(`${emulator.url}/emulator`, { headers })).status).toBe(200)
  })

  it('sees all at once', async () => {
    const emulator = await open({ speed: 7 })
    const { id } = await register(emulator, 'https://relay.example.com/')
    await emulator.steer('POST', `/webhooks/${id}/disable`)
    expect(await stateOf(emulator, id)).toBe('disabled_due_to_failed_deliveries')
    expect((await emulator.steer('GET', '')).body).toMatchObject({
      clock: { speed: 7 },
      settings: { dynamic_scheme: 'jwt', batch: { end: 'succeeded', duration: '5000ms' } },
      webhooks: 1,
      deliveries: { pending: 0, delivered: 0, given_up: 0 },
    })
  })

  it('never writes a secret or a key into the log', async () => {
    const emulator = await open()
    const receiver = await receive()
    const { id, secret } = await register(emulator, `${receiver.url}?token=private`)
    await sdks['3.x'](emulator.url, 'my-key').webhooks.ping(id)
    await arrived(receiver, 1)
    await eventually(
      () => emulator.log(),
      (log) => log.includes('delivery: 200'),
    )
    for (const hidden of [secret, 'my-key', 'token=private']) expect(emulator.log()).not.toContain(hidden)
  })
})
