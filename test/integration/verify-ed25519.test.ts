import { afterEach, describe, expect, it } from 'vitest'
import { startJwksServer, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { generateSecret, generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { signEd25519, signHmac } from '../../src/emulator/sign.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { outcomeOf, requestOf, silent, type HeaderValues } from '../fixtures/verify.ts'

const now = new Date('2026-01-22T12:00:00Z')
const body = '{"type":"batch.succeeded","version":"v1","timestamp":"2026-01-22T12:00:00Z","data":{"id":"b1"}}'
const message = { id: 'msg_1', timestamp: now, body }

const servers: JwksServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

async function setUp(keys: readonly SigningKey[], secrets: readonly string[] = []) {
  const server = await startJwksServer({ keys: keys.map(({ publicJwk }) => publicJwk) })
  servers.push(server)
  const time = { ms: now.getTime() }
  const dynamic = { jwksUri: server.url, audience: 'any', algorithms: ['RS256' as const], unboundJwt: 'once' as const }
  const verifier = createVerifier({ source: { name: 'gemini', secrets, dynamic }, clock: () => time.ms, log: silent })
  const verify = (headers: HeaderValues, payload: string | Buffer = body) =>
    outcomeOf(() => verifier.verify(requestOf(headers, payload)))
  return { server, verifier, verify, time }
}

function keysOf(count: number): Promise<SigningKey[]> {
  return Promise.all(Array.from({ length: count }, () => generateSigningKey('EdDSA')))
}

describe('a request signed with Ed25519', () => {
  it('passes with each of three published keys, though it names none', async () => {
    const keys = await keysOf(3)
    const { verify, verifier, server } = await setUp(keys)
    for (const key of keys) expect(await verify(signEd25519({ ...message, key }))).toBe('verified')
    const request = requestOf(signEd25519({ ...message, key: keys }), body)
    expect(await verifier.verify(request)).toMatchObject({
      scheme: 'ed25519',
      webhookId: 'msg_1',
      json: JSON.parse(body),
      body: request.body,
    })
    expect(server.requests()).toBe(1)
  })

  it('passes when the keys are published without kid, alg or use', async () => {
    const [key] = await keysOf(1)
    if (key === undefined) throw new Error('no key')
    const { verify, server } = await setUp([])
    server.setKeys([{ kty: 'OKP', crv: 'Ed25519', x: key.publicJwk.x }])
    expect(await verify(signEd25519({ ...message, key }))).toBe('verified')
  })

  it('is refused when anything that was signed differs', async () => {
    const keys = await keysOf(1)
    const { verify } = await setUp(keys)
    const headers = signEd25519({ ...message, key: keys })
    expect(await verify(headers, `${body} `)).toBe('signature_mismatch')
    expect(await verify({ ...headers, 'webhook-id': 'msg_2' })).toBe('signature_mismatch')
    expect(await verify({ ...headers, 'webhook-timestamp': String(now.getTime() / 1_000 + 1) })).toBe('signature_mismatch')
    expect(await verify({ ...headers, 'webhook-timestamp': String(now.getTime() / 1_000 + 301) })).toBe('stale_timestamp')
  })

  it('is refused when a stranger signed it, and passes once the JWKS names the stranger', async () => {
    const [known, stranger] = await keysOf(2)
    if (known === undefined || stranger === undefined) throw new Error('no keys')
    const { verify, server, time } = await setUp([known])
    const headers = signEd25519({ ...message, key: stranger })
    expect(await verify(headers)).toBe('signature_mismatch')
    expect(server.requests()).toBe(2)
    server.setKeys([known.publicJwk, stranger.publicJwk])
    expect(await verify(headers)).toBe('signature_mismatch')
    time.ms += 29_999
    expect(await verify(headers)).toBe('signature_mismatch')
    expect(server.requests()).toBe(2)
    time.ms += 1
    expect(await verify(headers)).toBe('verified')
    expect(server.requests()).toBe(3)
  })

  it('passes when the sender signs with a key that was published a moment ago', async () => {
    const [old, fresh] = await keysOf(2)
    if (old === undefined || fresh === undefined) throw new Error('no keys')
    const { verify, server } = await setUp([old])
    expect(await verify(signEd25519({ ...message, key: old }))).toBe('verified')
    server.setKeys([fresh.publicJwk])
    expect(await verify(signEd25519({ ...message, key: fresh }))).toBe('verified')
    expect(await verify(signEd25519({ ...message, key: old }))).toBe('signature_mismatch')
  })

  it('is tried against eight keys and not against a ninth', async () => {
    const keys = await keysOf(9)
    const { verify } = await setUp(keys)
    const [eighth, ninth] = keys.slice(7)
    if (eighth === undefined || ninth === undefined) throw new Error('no keys')
    expect(await verify(signEd25519({ ...message, key: eighth }))).toBe('verified')
    expect(await verify(signEd25519({ ...message, key: ninth }))).toBe('signature_mismatch')
  })

  it('is looked at for eight entries and not for a ninth', async () => {
    const [key] = await keysOf(1)
    if (key === undefined) throw new Error('no key')
    const { verify } = await setUp([key])
    const headers = signEd25519({ ...message, key })
    const at = (before: number) => ({
      ...headers,
      'webhook-signature': [
        ...Array.from({ length: before }, (_, n) => `v1a,${Buffer.alloc(64, n).toString('base64')}`),
        headers['webhook-signature'],
      ].join(' '),
    })
    expect(await verify(at(7))).toBe('verified')
    expect(await verify(at(8))).toBe('signature_mismatch')
  })

  it.each([
    ['63 bytes', Buffer.alloc(63).toString('base64')],
    ['65 bytes', Buffer.alloc(65).toString('base64')],
    ['no padding', Buffer.alloc(64).toString('base64').replaceAll('=', '')],
    ['nothing', ''],
  ])('is refused without asking for keys when the signature is of %s', async (_what, text) => {
    const { verify, server } = await setUp([])
    expect(
      await verify({ 'webhook-id': 'm', 'webhook-timestamp': String(now.getTime() / 1_000), 'webhook-signature': `v1a,${text}` }),
    ).toBe('signature_mismatch')
    expect(server.requests()).toBe(0)
  })

  it('passes by whichever entry of a mixed header the source trusts', async () => {
    const keys = await keysOf(1)
    const secret = generateSecret()
    const { verify, verifier } = await setUp(keys, [secret])
    const asymmetric = signEd25519({ ...message, key: keys })
    const mixed = (secretUsed: string) => ({
      ...asymmetric,
      'webhook-signature': `${signHmac({ ...message, secret: secretUsed })['webhook-signature']} ${asymmetric['webhook-signature']}`,
    })
    expect(await verifier.verify(requestOf(mixed(secret), body))).toMatchObject({ scheme: 'hmac' })
    expect(await verifier.verify(requestOf(mixed(generateSecret()), body))).toMatchObject({ scheme: 'ed25519' })
    expect(await verify(signHmac({ ...message, secret: generateSecret() }))).toBe('signature_mismatch')
  })

  it('does not pass on the strength of a shared secret, nor the other way round', async () => {
    const keys = await keysOf(1)
    const { verify } = await setUp(keys)
    // an HMAC keyed with the public key, which everybody has
    const secret = `whsec_${Buffer.from(keys[0]?.publicJwk.x ?? '', 'base64url').toString('base64')}`
    expect(await verify(signHmac({ ...message, secret }))).toBe('signature_mismatch')
  })
})
