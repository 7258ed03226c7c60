import { createHash, createHmac, createPublicKey, generateKeyPairSync, sign } from 'node:crypto'
import { exportJWK } from 'jose'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startJwksServer, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { generateSecret, generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { signHmac, signJwt, type TokenOptions } from '../../src/emulator/sign.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import type { DynamicVerification } from '../../src/verify/source.ts'
import { outcomeOf, requestOf, silent, type HeaderValues } from '../fixtures/verify.ts'

const now = new Date('2026-01-22T12:00:00Z')
const nowSeconds = now.getTime() / 1_000
const audience = 'my-project'
const envelope = {
  type: 'batch.succeeded',
  version: 'v1',
  timestamp: '2026-01-22T11:59:58Z',
  data: { id: 'b1', counts: [1, 2, { deep: null }] },
}
const body = JSON.stringify(envelope)
const message = { id: 'msg_1', timestamp: now, body }

let key: SigningKey
let stranger: SigningKey
let elliptic: SigningKey
beforeAll(async () => {
  ;[key, stranger, elliptic] = await Promise.all([
    generateSigningKey('RS256', 'one'),
    generateSigningKey('RS256', 'two'),
    generateSigningKey('ES256', 'three'),
  ])
})

const servers: JwksServer[] = []
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()))
})

async function setUp(options: Partial<DynamicVerification> & { keys?: unknown[] } = {}) {
  const { keys = [key.publicJwk], ...overrides } = options
  const server = await startJwksServer()
  server.setKeys(keys)
  servers.push(server)
  const time = { ms: now.getTime() }
  const dynamic: DynamicVerification = { jwksUri: server.url, audience, algorithms: ['RS256'], unboundJwt: 'once', ...overrides }
  const verifier = createVerifier({ source: { name: 'gemini', secrets: [], dynamic }, clock: () => time.ms, log: silent })
  const verified = async (headers: HeaderValues, payload: string | Buffer = body) => verifier.verify(requestOf(headers, payload))
  const verify = (headers: HeaderValues, payload: string | Buffer = body) => outcomeOf(() => verified(headers, payload))
  const send = async (token: Partial<TokenOptions>, payload: string | Buffer = body) =>
    verify(await signJwt({ ...message, key, audience, ...token }), payload)
  return { server, verified, verify, send, time }
}

const part = (value: unknown) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** A token made by hand, for what no library would sign. */
function forged(header: unknown, claims: unknown, signer: (input: string) => Buffer = () => Buffer.alloc(0)): HeaderValues {
  const input = `${part(header)}.${part(claims)}`
  return {
    'webhook-id': 'msg_1',
    'webhook-timestamp': String(nowSeconds),
    'webhook-signature': `${input}.${signer(input).toString('base64url')}`,
  }
}
const secondsFromNow = (seconds: number) => new Date((nowSeconds + seconds) * 1_000)
const byKey = (input: string) => sign('sha256', Buffer.from(input), key.privateKey)
const unnamed = () => forged({ alg: 'RS256' }, { aud: audience }, byKey)
const nested = (inner: string) => `${'['.repeat(4_000)}${inner}${']'.repeat(4_000)}`
const nestedEvent = (inner: string) => `{"type":"t","data":${nested(inner)}}`

describe('a request with a token', () => {
  it('passes when a published key signed the token, and carries what must be bound', async () => {
    const { verified } = await setUp()
    const headers = await signJwt({ ...message, key, audience })
    const token = headers['webhook-signature']
    const result = await verified(headers)
    expect(result).toMatchObject({ scheme: 'jwt', webhookId: 'msg_1', source: 'gemini', body: Buffer.from(body), json: envelope })
    expect(result.token).toEqual({
      digest: createHash('sha256')
        .update(token.slice(0, token.lastIndexOf('.')))
        .digest(),
      bodyDigest: createHash('sha256').update(body).digest(),
      reuse: 'once',
      expiresAt: null,
    })
    expect(result).not.toHaveProperty('claimsMetadata')
  })

  it('has another digest for another token of the same second, and the same for a token without jti', async () => {
    const { verified } = await setUp()
    const digestOf = async (token: Partial<TokenOptions>) =>
      (await verified(await signJwt({ ...message, key, audience, ...token }))).token?.digest.toString('hex')
    expect(await digestOf({})).not.toBe(await digestOf({}))
    expect(await digestOf({ jti: null })).toBe(await digestOf({ jti: null }))
  })

  it('has the same digest when only the spelling of the signature differs', async () => {
    const { verified } = await setUp({ algorithms: ['ES256'], keys: [elliptic.publicJwk] })
    // ECDSA is randomized: the same signing input, two good signatures
    const token = () => signJwt({ ...message, key: elliptic, audience, jti: null })
    const [first, second] = [await token(), await token()]
    expect(first['webhook-signature']).not.toBe(second['webhook-signature'])
    expect((await verified(first)).token?.digest).toEqual((await verified(second)).token?.digest)
  })

  it('passes with ES256 where the source says so, and not where it does not', async () => {
    const keys = [key.publicJwk, elliptic.publicJwk]
    const both = await setUp({ algorithms: ['RS256', 'ES256'], keys })
    expect(await both.send({ key: elliptic })).toBe('verified')
    expect(await both.send({ key })).toBe('verified')
    const one = await setUp({ keys })
    expect(await one.send({ key: elliptic })).toBe('token_invalid')
    expect(one.server.requests()).toBe(0)
  })

  it('needs the configured audience, alone or in a list, unless the source takes any', async () => {
    const { send, verify } = await setUp()
    expect(await send({ audience: 'another-project' })).toBe('token_invalid')
    expect(await verify(await signJwt({ ...message, key }))).toBe('token_invalid')
    expect(await verify(forged({ alg: 'RS256', kid: 'one' }, { aud: ['x', audience] }, byKey))).toBe('verified')
    expect(await verify(forged({ alg: 'RS256', kid: 'one' }, { aud: [[audience]] }, byKey))).toBe('token_invalid')
    const any = await setUp({ audience: 'any' })
    expect(await any.verify(await signJwt({ ...message, key }))).toBe('verified')
  })

  it('passes until a minute after it expired and from a minute before it begins', async () => {
    const { send, verified } = await setUp()
    expect(await send({ expiresAt: secondsFromNow(-59) })).toBe('verified')
    expect(await send({ expiresAt: secondsFromNow(-60) })).toBe('token_invalid')
    expect(await send({ notBefore: secondsFromNow(60) })).toBe('verified')
    expect(await send({ notBefore: secondsFromNow(61) })).toBe('token_invalid')
    const result = await verified(await signJwt({ ...message, key, audience, expiresAt: secondsFromNow(600) }))
    expect(result.token?.expiresAt).toEqual(secondsFromNow(660))
  })

  it.each([
    ['exp', '1769083200'],
    ['exp', null],
    ['nbf', 'now'],
    ['exp', []],
  ])('is refused when %s is %j, which is no number', async (claim, value) => {
    const { verify } = await setUp()
    expect(await verify(forged({ alg: 'RS256', kid: 'one' }, { aud: audience, [claim]: value }, byKey))).toBe('token_invalid')
  })

  it('may expire after the end of time', async () => {
    const { verified } = await setUp()
    const result = await verified(forged({ alg: 'RS256', kid: 'one' }, `{"aud":"${audience}","exp":1e300}`, byKey))
    expect(result.token?.expiresAt).toBeNull()
  })

  it('is refused when its timestamp is stale, though the token holds', async () => {
    const { verify } = await setUp()
    expect(await verify(await signJwt({ ...message, timestamp: new Date(now.getTime() - 301_000), key, audience }))).toBe(
      'stale_timestamp',
    )
  })
})

describe('a forged token', () => {
  const audienceOnly = { aud: audience }

  it('without an algorithm is refused', async () => {
    const { verify } = await setUp()
    for (const alg of ['none', 'None', 'NONE', '', undefined])
      expect(await verify(forged({ alg, kid: 'one' }, audienceOnly))).toBe('token_invalid')
  })

  it('made with the public key as an HMAC secret is refused', async () => {
    const { verify } = await setUp()
    const pem = createPublicKey(key.privateKey).export({ type: 'spki', format: 'pem' })
    const secrets = [JSON.stringify(key.publicJwk), Buffer.from(key.publicJwk.n ?? '', 'base64url'), pem]
    for (const secret of secrets) {
      const hmac = (input: string) => createHmac('sha256', secret).update(input).digest()
      expect(await verify(forged({ alg: 'HS256', kid: 'one' }, audienceOnly, hmac))).toBe('token_invalid')
      expect(await verify(forged({ alg: 'RS256', kid: 'one' }, audienceOnly, hmac))).toBe('token_invalid')
    }
  })

  it('that brings its own key, or says where to find it, is refused', async () => {
    const { verify, server } = await setUp()
    const mallory = await startJwksServer({ keys: [stranger.publicJwk] })
    servers.push(mallory)
    const byStranger = (input: string) => sign('sha256', Buffer.from(input), stranger.privateKey)
    const extras = [{ jwk: stranger.publicJwk }, { jku: mallory.url }, { x5u: mallory.url }, { x5c: ['MIIB'] }]
    for (const extra of extras) {
      expect(await verify(forged({ alg: 'RS256', kid: 'one', ...extra }, audienceOnly, byStranger))).toBe('token_invalid')
      expect(await verify(forged({ alg: 'RS256', ...extra }, audienceOnly, byStranger))).toBe('token_invalid')
    }
    expect(mallory.requests()).toBe(0)
    expect(server.requests()).toBe(2)
  })

  it('that was tampered with is refused', async () => {
    const { verify } = await setUp()
    const [header = '', , signature = ''] = (await signJwt({ ...message, key, audience }))['webhook-signature'].split('.')
    const tampered = `${header}.${part({ aud: audience, type: 'batch.succeeded', data: {} })}.${signature}`
    expect(await verify({ ...forged({}, {}), 'webhook-signature': tampered })).toBe('token_invalid')
  })

  it('that asks for an extension is refused, also when a trusted key signed it', async () => {
    const { verify } = await setUp()
    expect(await verify(forged({ alg: 'RS256', kid: 'one', crit: ['exp'], exp: 1 }, audienceOnly, byKey))).toBe('token_invalid')
    expect(await verify(forged({ alg: 'RS256', kid: 'one', crit: ['b64'], b64: false }, audienceOnly, byKey))).toBe(
      'token_invalid',
    )
    expect(await verify(forged({ alg: 'RS256', kid: 'one', crit: ['b64'], b64: true }, audienceOnly, byKey))).toBe(
      'token_invalid',
    )
  })

  it.each([
    ['an empty header', 'e30.e30.', 'token_invalid'],
    ['a list for a header', `${part('[]')}.e30.AAAA`, 'token_invalid'],
    ['null for a header', `${part('null')}.e30.AAAA`, 'token_invalid'],
    ['a number for a kid', `${part({ alg: 'RS256', kid: 7 })}.e30.AAAA`, 'token_invalid'],
    ['an object for a kid', `${part({ alg: 'RS256', kid: {} })}.e30.AAAA`, 'token_invalid'],
    ['a list of algorithms', `${part({ alg: ['RS256'] })}.e30.AAAA`, 'token_invalid'],
    ['its algorithm in a prototype', `${part('{"__proto__":{"alg":"RS256","kid":"one"}}')}.e30.AAAA`, 'token_invalid'],
    ['a signature of one character', `${part({ alg: 'RS256', kid: 'one' })}.e30.A`, 'token_invalid'],
    ['more than 16 KiB', `${'A'.repeat(16_380)}.e30.A`, 'token_invalid'],
    ['a character that is not base64url', '!.e30.AAAA', 'signature_mismatch'],
    ['four parts', 'e30.e30.e30.AAAA', 'signature_mismatch'],
  ])('with %s is refused', async (_what, token, code) => {
    const { verify } = await setUp()
    expect(await verify({ ...forged({}, {}), 'webhook-signature': token })).toBe(code)
  })

  it.each(['[]', 'null', '"x"', 'x', '', '{"aud":"my-project"'])(
    'with the claims %j is refused, also when a trusted key signed it',
    async (claims) => {
      const { verify } = await setUp()
      expect(await verify(forged({ alg: 'RS256', kid: 'one' }, claims, byKey))).not.toBe('verified')
    },
  )

  it('signed with a key of fewer than 2,048 bits is refused, though the key is published', async () => {
    const weak = generateKeyPairSync('rsa', { modulusLength: 1_024 })
    const { verify } = await setUp({ keys: [{ ...(await exportJWK(weak.publicKey)), kid: 'weak' }, key.publicJwk] })
    expect(
      await verify(
        forged({ alg: 'RS256', kid: 'weak' }, audienceOnly, (input) => sign('sha256', Buffer.from(input), weak.privateKey)),
      ),
    ).toBe('token_invalid')
  })

  it.each([{ use: 'enc' }, { key_ops: ['encrypt'] }, { alg: 'RS512' }, { kty: 'oct', k: 'AAAA' }])(
    'signed with a published key that is for something else (%j) is refused',
    async (purpose) => {
      const { send } = await setUp({ keys: [{ ...key.publicJwk, ...purpose }, stranger.publicJwk] })
      expect(await send({})).toBe('token_invalid')
    },
  )

  it('is no way past a source without a JWKS', async () => {
    const verifier = createVerifier({
      source: { name: 'gemini', secrets: [generateSecret()] },
      clock: () => now.getTime(),
      log: silent,
    })
    const headers = await signJwt({ ...message, key, audience })
    expect(await outcomeOf(() => verifier.verify(requestOf(headers, body)))).toBe('signature_mismatch')
  })

  it('is told from an HMAC on a source that trusts only a JWKS', async () => {
    const { verify } = await setUp()
    expect(await verify(signHmac({ ...message, secret: generateSecret() }))).toBe('signature_mismatch')
  })
})

describe('the key of a token', () => {
  it('is the one its kid names, and no other', async () => {
    const { send, server } = await setUp({ keys: [key.publicJwk, stranger.publicJwk] })
    expect(await send({ key: { ...key, kid: 'two' } })).toBe('token_invalid')
    expect(server.requests()).toBe(1)
    expect(await send({ key: stranger })).toBe('verified')
  })

  it('is looked for again once when its kid is unknown, and then not for 30 s', async () => {
    const { send, server, time } = await setUp()
    expect(await send({ key: stranger })).toBe('token_invalid')
    expect(server.requests()).toBe(2)
    server.setKeys([key.publicJwk, stranger.publicJwk])
    expect(await send({ key: stranger })).toBe('token_invalid')
    expect(server.requests()).toBe(2)
    time.ms += 30_000
    expect(await send({ key: stranger })).toBe('verified')
    expect(server.requests()).toBe(3)
  })

  it('may be published a moment before it is used', async () => {
    const { send, server } = await setUp()
    expect(await send({})).toBe('verified')
    server.setKeys([stranger.publicJwk])
    expect(await send({ key: stranger })).toBe('verified')
    expect(await send({})).toBe('token_invalid')
  })

  it('is each of the right type, at most eight, when the token names none', async () => {
    const { kid: _kid, ...nameless } = key.publicJwk
    const others = Array.from({ length: 7 }, () => stranger.publicJwk)
    const eighth = await setUp({ keys: [elliptic.publicJwk, ...others, nameless] })
    expect(await eighth.verify(unnamed())).toBe('verified')
    const ninth = await setUp({ keys: [...others, stranger.publicJwk, nameless] })
    expect(await ninth.verify(unnamed())).toBe('token_invalid')
  })
})

describe('a token whose claims hold the event', () => {
  it('passes with the same event for a body, in whatever order and spacing', async () => {
    const { send } = await setUp()
    const { data, ...rest } = envelope
    const respelled = JSON.stringify({ data: { counts: data.counts, id: data.id }, ...rest }, null, 2)
    expect(await send({ claims: envelope }, respelled)).toBe('verified')
    expect(await send({ claims: { type: envelope.type, data } }, respelled)).toBe('verified')
    expect(await send({ claims: envelope }, JSON.stringify({ type: envelope.type, data }))).toBe('verified')
  })

  it('passes without a body, and is then stored as the event alone', async () => {
    const { verified } = await setUp()
    const claims = { ...envelope, user_metadata: { job: 'nightly' } }
    const result = await verified(
      await signJwt({ ...message, key, audience, claims, expiresAt: new Date(now.getTime() + 60_000) }),
      '',
    )
    expect(result.json).toEqual(claims)
    expect(JSON.parse(result.body.toString())).toEqual(claims)
    expect(result.claimsMetadata).toEqual({ job: 'nightly' })
    expect(result.token?.bodyDigest).toEqual(createHash('sha256').digest())
  })

  it.each([
    ['type', { ...envelope, type: 'batch.failed' }],
    ['data', { ...envelope, data: { ...envelope.data, id: 'b2' } }],
    ['a list in data', { ...envelope, data: { ...envelope.data, counts: [1, 2] } }],
    ['a member more in data', { ...envelope, data: { ...envelope.data, extra: 1 } }],
    [
      'a prototype for a member in data',
      { ...envelope, data: JSON.parse('{"id":"b1","__proto__":{"counts":[1,2,{"deep":null}]}}') },
    ],
    ['timestamp', { ...envelope, timestamp: '2026-01-22T11:59:59Z' }],
    ['no data', { type: envelope.type }],
  ])('is refused with another %s in the body', async (_what, other) => {
    const { send } = await setUp()
    expect(await send({ claims: envelope }, JSON.stringify(other))).toBe('body_mismatch')
  })

  it.each(['[]', 'null', 'hello', '{', ' '])('is refused with the body %j', async (payload) => {
    const { send } = await setUp()
    expect(await send({ claims: envelope }, payload)).toBe('body_mismatch')
  })

  it('is once only, whatever the source says of unbound tokens', async () => {
    for (const unboundJwt of ['once', 'accept', 'reject'] as const) {
      const { verified } = await setUp({ unboundJwt })
      expect((await verified(await signJwt({ ...message, key, audience, claims: envelope }))).token?.reuse).toBe('once')
    }
  })

  it('may nest deeply, and is compared all the same', async () => {
    const { verify } = await setUp()
    const headers = forged({ alg: 'RS256', kid: 'one' }, `{"aud":"${audience}",${nestedEvent('1').slice(1)}`, byKey)
    expect(await verify(headers, nestedEvent('1'))).toBe('verified')
    expect(await verify(headers, nestedEvent('2'))).toBe('body_mismatch')
  })
})

describe('a token that says nothing of the event', () => {
  it.each([
    ['once', 'once'],
    ['accept', 'accept'],
  ] as const)('may be used as the source says: %s', async (unboundJwt, reuse) => {
    const { verified } = await setUp({ unboundJwt })
    expect((await verified(await signJwt({ ...message, key, audience }))).token?.reuse).toBe(reuse)
  })

  it('is refused where the source rejects unbound tokens', async () => {
    const { send } = await setUp({ unboundJwt: 'reject' })
    expect(await send({})).toBe('token_unbound')
    expect(await send({ claims: { type: 'batch.succeeded' } })).toBe('token_unbound')
    expect(await send({ claims: { data: {} } })).toBe('token_unbound')
    expect(await send({ claims: { type: 7, data: {} } })).toBe('token_unbound')
  })

  it('passes without a body, as a request that tells of no event', async () => {
    const { verified } = await setUp()
    expect(await verified(await signJwt({ ...message, key, audience }), '')).toMatchObject({
      body: Buffer.alloc(0),
      json: undefined,
    })
  })

  it('may bring user metadata, if that is an object', async () => {
    const { verified } = await setUp()
    const metadataOf = async (user_metadata: unknown) =>
      (await verified(await signJwt({ ...message, key, audience, claims: { user_metadata } }))).claimsMetadata
    expect(await metadataOf({ priority: 'high' })).toEqual({ priority: 'high' })
    expect(await metadataOf(['high'])).toBeUndefined()
    expect(await metadataOf('high')).toBeUndefined()
  })
})
