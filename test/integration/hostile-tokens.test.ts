/** JWTs that no trusted key has signed, or not for this: see docs/hostile-input.md. */
import { constants, createHmac, createPublicKey, sign } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SigningKey } from '../../src/emulator/keys.ts'
import { audience } from '../fuzz/keys.ts'
import { tokenOf } from '../fuzz/signed.ts'
import { rawSignature, signingInput } from '../fuzz/signing.ts'
import { startHostileRelay, type HostileRelay } from '../setup/hostile.ts'

let hostile: HostileRelay
beforeAll(async () => {
  hostile = await startHostileRelay()
})
afterAll(() => hostile.stop())

const claims = (odd: Record<string, unknown> = {}) => ({ aud: audience, jti: String(Math.random()), ...odd })
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds

/** By what is made of the signing input. */
function forge(header: unknown, payload: unknown, signer: (input: string) => Buffer): string {
  const input = signingInput(header, payload)
  return `${input}.${signer(input).toString('base64url')}`
}

async function refuses(token: string): Promise<void> {
  await hostile.refuses({ ...hostile.signed({ scheme: 'jwt' }), signature: token }, 'token_invalid')
}

async function takes(token: string): Promise<void> {
  await hostile.takes({ ...hostile.signed({ scheme: 'jwt' }), signature: token })
}

/** Those that are published, by what they sign. */
const published = ['rs256', 'es256'] as const

it.each(published)('a token of %s passes, to begin with', async (name) => {
  await takes(tokenOf(hostile.keys[name], claims()))
})

describe('alg: none', () => {
  it.each([
    ['none'],
    ['None'],
    ['NONE'],
    ['nOnE'],
    ['none '],
    [''],
    [null],
    [0],
    [false],
    [[]],
    [['none']],
    [{}],
    ['nοne'],
    [undefined],
  ])('spelled %j is refused, with any signature', async (alg) => {
    const { kid } = hostile.keys.es256
    for (const header of [{ alg, kid }, { alg }, { alg, kid, typ: 'JWT' }]) {
      await refuses(forge(header, claims(), () => Buffer.alloc(0)))
      await refuses(forge(header, claims(), (input) => rawSignature(hostile.keys.stranger.es256, input)))
    }
  })

  it('is refused also when a trusted key has signed it', async () => {
    const { es256 } = hostile.keys
    await refuses(forge({ alg: 'none', kid: es256.kid }, claims(), (input) => rawSignature(es256, input)))
  })
})

describe('a published key as the secret of an HMAC', () => {
  const forms: [string, (key: SigningKey) => Buffer][] = [
    ['PEM (SPKI)', (key) => Buffer.from(publicKey(key).export({ type: 'spki', format: 'pem' }))],
    [
      'PEM without its last line break',
      (key) => Buffer.from(publicKey(key).export({ type: 'spki', format: 'pem' }).toString().trim()),
    ],
    ['DER', (key) => publicKey(key).export({ type: 'spki', format: 'der' })],
    ['JWK', (key) => Buffer.from(JSON.stringify(key.publicJwk))],
    ['its own bytes', ({ publicJwk: { n, x } }) => Buffer.from(n ?? x ?? '', 'base64url')],
  ]
  const algorithms = [
    ['HS256', 'sha256'],
    ['HS384', 'sha384'],
    ['HS512', 'sha512'],
  ] as const
  const keys = ['rs256', 'es256', 'ed25519'] as const

  it.each(
    keys.flatMap((key) => algorithms.flatMap(([alg, hash]) => forms.map(([form, read]) => ({ key, alg, hash, form, read })))),
  )('is refused: $alg with the key of $key as $form', async ({ key: name, alg, hash, read }) => {
    const key = [hostile.keys[name]].flat()[0]
    if (key === undefined) throw new Error('no key')
    const hmac = (input: string) => createHmac(hash, read(key)).update(input).digest()
    await refuses(forge({ alg, kid: key.kid }, claims(), hmac))
    await refuses(forge({ alg }, claims(), hmac))
    await refuses(forge({ alg: key.alg, kid: key.kid }, claims(), hmac))
  })
})

function publicKey({ privateKey }: SigningKey) {
  return createPublicKey(privateKey)
}

describe('a kid', () => {
  it.each([
    ['that leads out of a directory', '../../../../../../dev/null'],
    ['that is a file', '/proc/sys/kernel/randomize_va_space'],
    ['of SQL', "x' union select 'AAAA' --"],
    ['of a shell', '$(sleep 5)'],
    ['in a prototype', '__proto__'],
    ['of a constructor', 'constructor'],
    ['of a method', 'toString'],
    ['of an index', '0'],
    ['of nothing', ''],
    ['of a NUL', '\0'],
    ['of everything', '*'],
    ['of a list', ['es-1']],
    ['of an object', { es: 1 }],
    ['of null', null],
    ['of a number', 0],
    ['of true', true],
    ['of 9,000 characters', 'k'.repeat(9_000)],
    ['in other letters', 'ES-1'],
    ['with a NUL after it', 'es-1\0'],
  ])('%s names no key, also where a trusted one has signed', async (_, kid) => {
    await refuses(tokenOf(hostile.keys.es256, claims(), { kid }))
    await refuses(tokenOf(hostile.keys.stranger.es256, claims(), { kid }))
  })

  it('of another trusted key is no way around its type', async () => {
    await refuses(tokenOf(hostile.keys.es256, claims(), { kid: hostile.keys.rs256.kid }))
    await refuses(tokenOf(hostile.keys.rs256, claims(), { kid: hostile.keys.es256.kid }))
    await refuses(tokenOf(hostile.keys.rs256, claims(), { alg: 'ES256', kid: hostile.keys.es256.kid }))
    await refuses(tokenOf(hostile.keys.es256, claims(), { alg: 'RS256', kid: hostile.keys.rs256.kid }))
    await refuses(tokenOf(hostile.keys.ed25519[0], claims()))
  })
})

describe('a token that brings its own key', () => {
  it.each(['es256', 'rs256'] as const)('or says where it is, is refused, and nobody looks there (%s)', async (name) => {
    const { trapUri, trapRequests, stranger } = hostile.keys
    const key = stranger[name]
    const certificate = publicKey(key).export({ type: 'spki', format: 'der' }).toString('base64')
    const extras = [
      { jwk: key.publicJwk },
      { jku: trapUri },
      { x5u: trapUri },
      { x5c: [certificate] },
      { jwk: key.publicJwk, jku: trapUri, x5u: trapUri, x5t: 'AAAA', 'x5t#S256': 'AAAA' },
    ]
    for (const extra of extras) {
      await refuses(tokenOf(key, claims(), extra))
      await refuses(tokenOf(key, claims({ iss: trapUri, jwks_uri: trapUri }), { ...extra, kid: undefined }))
      await refuses(tokenOf(key, claims(), { ...extra, kid: 'unknown' }))
    }
    expect(trapRequests()).toBe(0)
  })

  it('makes the relay fetch its own keys once in 30 s at most', () => {
    // once at the start and once for an unknown key, for each of three sources
    expect(hostile.keys.jwksRequests()).toBeLessThanOrEqual(6)
  })
})

describe('a token that asks for an extension', () => {
  it.each([
    [{ crit: ['exp'], exp: 1 }],
    [{ crit: ['b64'], b64: false }],
    [{ crit: ['b64'], b64: true }],
    [{ crit: ['x'], x: 1 }],
    [{ crit: [] }],
    [{ crit: 'b64' }],
    [{ crit: null }],
  ])('is refused, though a trusted key has signed it: %j', async (extension) => {
    await refuses(tokenOf(hostile.keys.es256, claims(), extension))
  })

  it('is refused with its payload left as it is (b64: false)', async () => {
    const { es256 } = hostile.keys
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: es256.kid, b64: false, crit: ['b64'] })).toString('base64url')
    const input = `${header}.${Buffer.from(JSON.stringify(claims())).toString('base64url')}`
    await refuses(`${input}.${rawSignature(es256, input).toString('base64url')}`)
  })

  it('without naming it critical gets nothing by it', async () => {
    const { es256 } = hostile.keys
    const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: es256.kid, b64: false })).toString('base64url')
    const json = JSON.stringify(claims())
    const signature = rawSignature(es256, `${header}.${json}`).toString('base64url')
    await refuses(`${header}.${Buffer.from(json).toString('base64url')}.${signature}`)
  })
})

describe('an oversized token', () => {
  it('of 16 KB is refused with its headers, and a smaller one for what it is', async () => {
    const bytes = await hostile.send({
      method: 'POST',
      target: '/webhooks/once',
      headers: [['webhook-signature', `e30.${'A'.repeat(17_000)}.AAAA`]],
      body: Buffer.alloc(0),
    })
    expect(bytes).toEqual({ answers: ['431'], closed: true })
    await refuses(`e30.${'A'.repeat(15_000)}.AAAA`)
    await refuses(tokenOf(hostile.keys.stranger.es256, claims({ padding: 'x'.repeat(9_000) })))
  })
})

describe('a header of a token', () => {
  it.each<[string, (kid: string) => string]>([
    ['with alg twice, the last of which is none', (kid) => `{"alg":"ES256","kid":"${kid}","alg":"none"}`],
    ['with kid twice, the last of which is unknown', (kid) => `{"alg":"ES256","kid":"${kid}","kid":"x"}`],
    ['with its members in a prototype', (kid) => `{"__proto__":{"alg":"ES256","kid":"${kid}"}}`],
    ['with its members in another object', (kid) => `{"header":{"alg":"ES256","kid":"${kid}"}}`],
    ['that is a list', (kid) => `[{"alg":"ES256","kid":"${kid}"}]`],
    ['that is two objects', (kid) => `{"alg":"ES256","kid":"${kid}"}{"alg":"ES256"}`],
    ['behind a byte order mark', (kid) => `\uFEFF{"alg":"ES256","kid":"${kid}"}x`],
    ['of brackets only', () => '['.repeat(5_000)],
    ['that is null', () => 'null'],
    ['that is empty', () => ''],
  ])('%s is refused, though a trusted key has signed it', async (_, header) => {
    const { es256 } = hostile.keys
    await refuses(forge(header(es256.kid), claims(), (input) => rawSignature(es256, input)).replace(/^\./, 'A.'))
  })

  it('with alg twice is read as JSON is everywhere here, the last one', async () => {
    const { es256, stranger } = hostile.keys
    const header = `{"alg":"none","alg":"ES256","kid":"${es256.kid}"}`
    await takes(forge(header, claims(), (input) => rawSignature(es256, input)))
    await refuses(forge(header, claims(), (input) => rawSignature(stranger.es256, input)))
    await refuses(forge(header, claims(), () => Buffer.alloc(0)))
  })

  it.each<[string, (input: Buffer) => Buffer]>([
    ['RS384', (input) => sign('sha384', input, hostile.keys.rs256.privateKey)],
    ['RS512', (input) => sign('sha512', input, hostile.keys.rs256.privateKey)],
    [
      'PS256',
      (input) =>
        sign('sha256', input, { key: hostile.keys.rs256.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }),
    ],
    ['ES384', (input) => sign('sha384', input, { key: hostile.keys.es256.privateKey, dsaEncoding: 'ieee-p1363' })],
    ['EdDSA', (input) => sign(null, input, hostile.keys.ed25519[0].privateKey)],
    ['Ed25519', (input) => sign(null, input, hostile.keys.ed25519[0].privateKey)],
    ['dir', () => Buffer.alloc(16)],
    ['es256', (input) => rawSignature(hostile.keys.es256, input.toString())],
  ])('with the algorithm %s, which is not configured, is refused, though a trusted key has signed it so', async (alg, signer) => {
    for (const { kid } of [hostile.keys.rs256, hostile.keys.es256, hostile.keys.ed25519[0]]) {
      await refuses(forge({ alg, kid }, claims(), (input) => signer(Buffer.from(input))))
      await refuses(forge({ alg }, claims(), (input) => signer(Buffer.from(input))))
    }
  })
})

describe('a signature of a token', () => {
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  it.each<[string, (input: string) => Buffer]>([
    ['of zeros (psychic)', () => Buffer.alloc(64)],
    ['of ones', () => Buffer.alloc(64, 0xff)],
    ['of the order of the curve', () => Buffer.concat([order, order])],
    ['of no bytes', () => Buffer.alloc(0)],
    ['in DER', (input) => sign('sha256', Buffer.from(input), hostile.keys.es256.privateKey)],
    ['with a byte more', (input) => Buffer.concat([rawSignature(hostile.keys.es256, input), Buffer.from([0])])],
    ['with a byte less', (input) => rawSignature(hostile.keys.es256, input).subarray(0, 63)],
    ['of another text', (input) => rawSignature(hostile.keys.es256, `${input} `)],
    ['of the header alone', (input) => rawSignature(hostile.keys.es256, input.slice(0, input.indexOf('.')))],
    ['by a stranger', (input) => rawSignature(hostile.keys.stranger.es256, input)],
    ['by the Ed25519 key', (input) => rawSignature(hostile.keys.ed25519[0], input)],
    ['by the RSA key', (input) => rawSignature(hostile.keys.rs256, input)],
  ])('%s is none of ES256', async (_, signer) => {
    await refuses(forge({ alg: 'ES256', kid: hostile.keys.es256.kid }, claims(), signer))
    await refuses(forge({ alg: 'ES256' }, claims(), signer))
  })

  it.each<[string, (input: string) => Buffer]>([
    ['of zeros', () => Buffer.alloc(256)],
    ['of one', () => Buffer.concat([Buffer.alloc(255), Buffer.from([1])])],
    ['by the key of ES256', (input) => rawSignature(hostile.keys.es256, input)],
    ['by a stranger', (input) => rawSignature(hostile.keys.stranger.rs256, input)],
    ['with zeros before it', (input) => Buffer.concat([Buffer.alloc(1), rawSignature(hostile.keys.rs256, input)])],
  ])('%s is none of RS256', async (_, signer) => {
    await refuses(forge({ alg: 'RS256', kid: hostile.keys.rs256.kid }, claims(), signer))
  })
})

describe('claims', () => {
  it.each<[string, () => unknown]>([
    ['that have expired', () => claims({ exp: inSeconds(-120) })],
    ['that expired before there was time', () => claims({ exp: -1 })],
    ['whose exp is a text', () => claims({ exp: String(inSeconds(600)) })],
    ['whose exp is null', () => claims({ exp: null })],
    ['that are not valid yet', () => claims({ nbf: inSeconds(120) })],
    ['whose nbf is a text', () => claims({ nbf: 'now' })],
    ['for another audience', () => claims({ aud: 'another' })],
    ['for several others', () => claims({ aud: ['another', 'and another'] })],
    ['for nobody', () => claims({ aud: [] })],
    ['without an audience', () => claims({ aud: undefined })],
    ['for an audience in capitals', () => claims({ aud: audience.toUpperCase() })],
    ['for an audience in a list in a list', () => claims({ aud: [[audience]] })],
    ['for an audience in an object', () => claims({ aud: { 0: audience, length: 1 } })],
    ['for two audiences, the last of which is another', () => `{"aud":"${audience}","aud":"another"}`],
    ['with the audience in a prototype', () => `{"__proto__":{"aud":"${audience}"}}`],
    ['that are a list', () => `["${audience}"]`],
    ['that are null', () => 'null'],
    ['that are no JSON', () => '{'],
  ])('%s are refused, though a trusted key has signed them', async (_, payload) => {
    await refuses(tokenOf(hostile.keys.es256, payload()))
    await refuses(tokenOf(hostile.keys.rs256, payload()))
  })

  it('for several audiences pass when ours is among them', async () => {
    await takes(tokenOf(hostile.keys.es256, claims({ aud: ['another', audience] })))
  })
})

it('a token in another shape is none', async () => {
  const token = tokenOf(hostile.keys.es256, claims())
  const [header = '', payload = '', signature = ''] = token.split('.')
  const shapes = [
    `Bearer ${token}`,
    `v1,${token}`,
    `${token}.`,
    `.${payload}.${signature}`,
    `"${token}"`,
    `${token},${token}`,
    `${header}.${payload}`,
  ]
  for (const shape of shapes)
    await hostile.refuses({ ...hostile.signed({ scheme: 'jwt' }), signature: shape }, 'signature_mismatch')
})
