/** A JWKS that changes, grows, stalls or answers nonsense, over real HTTP: what it may do to keys, to requests and to this process. */
import { createECDH, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import { gzipSync } from 'node:zlib'
import { exportJWK } from 'jose'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { startJwksServer, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { generateSecret, generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { signEd25519, signHmac, signJwt } from '../../src/emulator/sign.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { outcomeOf, requestOf, silent } from '../fixtures/verify.ts'
import { eventually } from '../setup/sender.ts'

const now = new Date('2026-01-22T12:00:00Z')
const message = { id: 'msg_1', timestamp: now, body: '{}' }
const secret = generateSecret()

let key: SigningKey
let other: SigningKey
let rsa: SigningKey
let otherRsa: SigningKey
beforeAll(async () => {
  ;[key, other] = await Promise.all([generateSigningKey('EdDSA', 'one'), generateSigningKey('EdDSA', 'two')])
  ;[rsa, otherRsa] = await Promise.all([generateSigningKey('RS256', 'one'), generateSigningKey('RS256', 'two')])
})

const releases: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const release of releases.splice(0).toReversed()) await release()
})

async function publish(...keys: unknown[]): Promise<JwksServer> {
  const server = await startJwksServer()
  server.setKeys(keys)
  releases.push(() => server.close())
  return server
}

/** A server that answers as it is told; its address, and how often it was asked. */
async function serve(listener: RequestListener): Promise<{ url: string; requests: () => number }> {
  let requests = 0
  const server = createServer((request, response) => {
    requests += 1
    listener(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  releases.push(() => (server.close(), server.closeAllConnections()))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  return { url: `http://127.0.0.1:${address.port}/jwks.json`, requests: () => requests }
}

function setUp(jwksUri: string) {
  const time = { ms: now.getTime() }
  const dynamic = { jwksUri, audience: 'any', algorithms: ['RS256' as const], unboundJwt: 'once' as const }
  const verifier = createVerifier({
    source: { name: 'gemini', secrets: [secret], dynamic },
    clock: () => time.ms,
    log: silent,
  })
  releases.push(() => verifier.stop())
  const verify = (headers: Parameters<typeof requestOf>[0]) => outcomeOf(() => verifier.verify(requestOf(headers, message.body)))
  return {
    time,
    verifier,
    verify,
    /** Signed with Ed25519. */
    send: (signer = key) => verify(signEd25519({ ...message, key: signer })),
    sendToken: async (signer = rsa) => verify(await signJwt({ ...message, key: signer })),
    sendHmac: () => verify(signHmac({ ...message, secret })),
  }
}

describe('a JWKS that rotates', () => {
  it('is asked by the first request of its new key, and the old key is gone with the answer', async () => {
    const server = await publish(key.publicJwk)
    const { send } = setUp(server.url)
    expect(await send()).toBe('verified')
    server.setKeys([other.publicJwk])
    expect(await send(other)).toBe('verified')
    expect(await send()).toBe('signature_mismatch')
  })

  it('is asked by the first token with a kid that is new', async () => {
    const server = await publish(rsa.publicJwk)
    const { sendToken } = setUp(server.url)
    expect(await sendToken()).toBe('verified')
    server.setKeys([otherRsa.publicJwk])
    expect(await sendToken(otherRsa)).toBe('verified')
    expect(await sendToken()).toBe('token_invalid')
    expect(server.requests()).toBe(2)
  })

  it('twice in 30 seconds is asked a second time when they are over', async () => {
    const server = await publish(key.publicJwk)
    const { send, time } = setUp(server.url)
    expect(await send(other)).toBe('signature_mismatch')
    server.setKeys([other.publicJwk])
    time.ms += 29_999
    expect(await send(other)).toBe('signature_mismatch')
    time.ms += 1
    expect(await send(other)).toBe('verified')
  })

  it('is not asked for every token that a stranger makes up a kid for', async () => {
    const server = await publish(rsa.publicJwk)
    const { verify } = setUp(server.url)
    for (let n = 0; n < 20; n += 1) {
      expect(await verify(await signJwt({ ...message, key: { ...otherRsa, kid: `made-up-${n}` } }))).toBe('token_invalid')
    }
    expect(server.requests()).toBe(2)
  })
})

describe('a JWKS that empties', () => {
  it('leaves its last keys in use, until it has others', async () => {
    const server = await publish(key.publicJwk)
    const { send, time } = setUp(server.url)
    expect(await send()).toBe('verified')
    server.setKeys([])
    expect(await send(other)).toBe('signature_mismatch')
    expect(await send()).toBe('verified')
    server.setKeys([other.publicJwk])
    time.ms += 30_000
    expect(await send(other)).toBe('verified')
    expect(await send()).toBe('signature_mismatch')
  })
})

describe('a JWKS of 10,000 keys', () => {
  const strangers = (count: number, extra: object = {}) =>
    Array.from({ length: count }, () => ({ kty: 'OKP', crv: 'Ed25519', x: randomBytes(32).toString('base64url'), ...extra }))

  it('of more than a megabyte is not taken, and the last keys stay', async () => {
    const server = await publish(key.publicJwk)
    const { send } = setUp(server.url)
    expect(await send()).toBe('verified')
    server.setKeys([other.publicJwk, ...strangers(10_000, { kid: 'x'.repeat(32) })])
    expect(await send(other)).toBe('signature_mismatch')
    expect(await send()).toBe('verified')
  })

  it('costs a request eight verifications at most', async () => {
    const keys = [...strangers(7), key.publicJwk, other.publicJwk, ...strangers(9_991)]
    const { send } = setUp((await publish(...keys)).url)
    expect(await send()).toBe('verified')
    expect(await send(other)).toBe('signature_mismatch')
  })

  it('of one kid costs a token eight verifications at most', async () => {
    const others = await Promise.all(Array.from({ length: 7 }, () => generateSigningKey('RS256', 'same')))
    const eighth = { ...rsa, kid: 'same' }
    const ninth = { ...otherRsa, kid: 'same' }
    const keys = [...others, eighth, ninth].map(({ publicJwk }) => ({ ...publicJwk, kid: 'same' }))
    const { sendToken } = setUp((await publish(...keys, ...strangers(9_991, { kid: 'same' }))).url)
    expect(await sendToken(eighth)).toBe('verified')
    expect(await sendToken(ninth)).toBe('token_invalid')
  })

  it('is read up to its 64th', async () => {
    const { sendToken } = setUp((await publish(...strangers(63), rsa.publicJwk, otherRsa.publicJwk, ...strangers(9_935))).url)
    expect(await sendToken()).toBe('verified')
    expect(await sendToken(otherRsa)).toBe('token_invalid')
  })
})

describe('a JWKS that redirects', () => {
  it.each([301, 302, 303, 307, 308])('with %d is not followed, and nobody else is asked', async (status) => {
    const elsewhere = await serve((_request, response) => response.end(JSON.stringify({ keys: [key.publicJwk] })))
    const server = await serve((_request, response) => response.writeHead(status, { location: elsewhere.url }).end())
    const { send, verifier } = setUp(server.url)
    expect(await send()).toBe('keys_unavailable')
    expect(elsewhere.requests()).toBe(0)
    expect(verifier.readiness().ready).toBe(false)
  })
})

describe('a JWKS that hangs', () => {
  const stalls: [string, RequestListener][] = [
    ['before its answer', () => {}],
    ['in the middle of its answer', (_request, response) => void response.writeHead(200).write('{"keys":[')],
    [
      'while it sends a byte now and then',
      (_request, response) => {
        const timer = setInterval(() => response.write(' '), 20)
        response.on('close', () => clearInterval(timer))
      },
    ],
  ]

  it.each(stalls)('%s is given up after five seconds, all that wait are answered, and it was asked once', async (_, listener) => {
    const server = await serve(listener)
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { send, verifier } = setUp(server.url)
    const waiting = Array.from({ length: 200 }, () => send())
    await asked(server)
    vi.advanceTimersByTime(5_000)
    expect(new Set(await Promise.all(waiting))).toEqual(new Set(['keys_unavailable']))
    expect(server.requests()).toBe(1)
    expect(verifier.readiness().reason).toContain('no answer within 5000 ms')
  })

  it('keeps nobody waiting whose key is known, or who has a shared secret', async () => {
    let hangs = false
    const server = await serve((_request, response) => {
      if (!hangs) response.end(JSON.stringify({ keys: [key.publicJwk] }))
    })
    const { send, sendHmac, verifier } = setUp(server.url)
    expect(await send()).toBe('verified')
    hangs = true
    let ended = false
    const waiting = send(other).finally(() => (ended = true))
    await eventually(server.requests, (requests) => requests === 2)
    expect(await send()).toBe('verified')
    expect(await sendHmac()).toBe('verified')
    expect(ended).toBe(false)
    verifier.stop()
    expect(await waiting).toBe('signature_mismatch')
  })
})

/** Without timers, which are the test's own. */
async function asked({ requests }: { requests: () => number }): Promise<void> {
  while (requests() === 0) await new Promise((resolve) => setImmediate(resolve))
}

describe('an answer that is no JWKS', () => {
  const answers: [string, RequestListener][] = [
    ['a page with status 200', (_request, response) => response.end('<!doctype html><title>Sign in</title>')],
    ['a page that says it is JSON', (_request, response) => response.setHeader('content-type', 'application/json').end('<html>')],
    ['nothing', (_request, response) => response.end()],
    ['JSON that breaks off', (_request, response) => response.end(JSON.stringify({ keys: [key.publicJwk] }).slice(0, -2))],
    [
      'a connection that breaks off',
      (_request, response) => {
        response.writeHead(200, { 'content-length': '10000' }).write(JSON.stringify({ keys: [key.publicJwk] }))
        setTimeout(() => response.destroy(), 20)
      },
    ],
    ['keys with status 500', (_request, response) => response.writeHead(500).end(JSON.stringify({ keys: [key.publicJwk] }))],
    ['keys with status 206', (_request, response) => response.writeHead(206).end(JSON.stringify({ keys: [key.publicJwk] }))],
    ['null', (_request, response) => response.end('null')],
    ['keys that are an object', (_request, response) => response.end(JSON.stringify({ keys: { 0: key.publicJwk, length: 1 } }))],
    ['half a million brackets', (_request, response) => response.end('{"keys":'.padEnd(500_000, '['))],
    [
      '100 MB in 100 KB of gzip',
      (_request, response) => response.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(100_000_000, ' '))),
    ],
  ]

  it.each(answers)('%s leaves dynamic requests waiting for keys and all others alone', async (_, listener) => {
    const { send, sendHmac, time } = setUp((await serve(listener)).url)
    expect(await send()).toBe('keys_unavailable')
    time.ms += 1_000
    expect(await send()).toBe('keys_unavailable')
    expect(await sendHmac()).toBe('verified')
  })

  it.each(answers)('%s after a good answer takes no key away', async (_, listener) => {
    let good = true
    const server = await serve((request, response) => {
      if (good) response.end(JSON.stringify({ keys: [key.publicJwk] }))
      else listener(request, response)
    })
    const { send } = setUp(server.url)
    expect(await send()).toBe('verified')
    good = false
    expect(await send(other)).toBe('signature_mismatch')
    expect(server.requests()).toBe(2)
    expect(await send()).toBe('verified')
  })
})

it.each(['text/plain', 'application/octet-stream', 'application/jwk-set+json'])(
  'a JWKS of the content type %s is read all the same: object stores serve files by their names',
  async (type) => {
    const server = await serve((_request, response) =>
      response.setHeader('content-type', type).end(JSON.stringify({ keys: [key.publicJwk] })),
    )
    expect(await setUp(server.url).send()).toBe('verified')
  },
)

describe('a published key', () => {
  it.each([{ use: 'enc' }, { key_ops: ['encrypt', 'wrapKey'] }, { key_ops: [] }, { alg: 'ES256' }, { kty: 'AKP' }, { kid: 7 }])(
    'that is for something else (%j) verifies nothing',
    async (odd) => {
      const { send } = setUp((await publish({ ...key.publicJwk, ...odd }, other.publicJwk)).url)
      expect(await send()).toBe('signature_mismatch')
      expect(await send(other)).toBe('verified')
    },
  )

  it('with its private half verifies nothing: everybody could have signed', async () => {
    const leaked = [key, rsa].map(({ privateKey, kid }) => ({ ...privateKey.export({ format: 'jwk' }), kid }))
    const { send, sendToken } = setUp((await publish(...leaked, other.publicJwk)).url)
    expect(await send()).toBe('signature_mismatch')
    expect(await sendToken()).toBe('token_invalid')
    expect(await send(other)).toBe('verified')
  })

  it.each([512, 1_024, 2_047])('of %d bits of RSA verifies nothing', async (bits) => {
    const weak = generateKeyPairSync('rsa', { modulusLength: bits })
    const jwk = await exportJWK(weak.publicKey)
    const { verify, sendToken } = setUp((await publish({ ...jwk, kid: 'weak' }, rsa.publicJwk)).url)
    const input = `${encode({ alg: 'RS256', kid: 'weak' })}.${encode({ aud: 'any' })}`
    const token = `${input}.${sign('sha256', Buffer.from(input), weak.privateKey).toString('base64url')}`
    expect(await verify({ ...(await signJwt({ ...message, key: rsa })), 'webhook-signature': token })).toBe('token_invalid')
    expect(await sendToken()).toBe('verified')
  })

  it('that is no point of its curve is passed over', async () => {
    const ecdh = createECDH('prime256v1')
    const point = ecdh.generateKeys()
    const [x, y] = [point.subarray(1, 33), point.subarray(33).map((byte) => byte ^ 1)]
    const bad = { kty: 'EC', crv: 'P-256', x: x.toString('base64url'), y: Buffer.from(y).toString('base64url') }
    expect(await setUp((await publish(bad, key.publicJwk)).url).send()).toBe('verified')
  })

  it('and another of the same kid are both tried', async () => {
    const twin = { ...otherRsa, kid: 'one' }
    const { sendToken } = setUp((await publish(rsa.publicJwk, { ...otherRsa.publicJwk, kid: 'one' })).url)
    expect(await sendToken()).toBe('verified')
    expect(await sendToken(twin)).toBe('verified')
  })

  it('without a kid verifies tokens that name none, and none that does', async () => {
    const { kid: _kid, ...nameless } = rsa.publicJwk
    const { verify, sendToken } = setUp((await publish(nameless)).url)
    expect(await sendToken()).toBe('token_invalid')
    const input = `${encode({ alg: 'RS256' })}.${encode({ aud: 'any' })}`
    const token = `${input}.${sign('sha256', Buffer.from(input), rsa.privateKey).toString('base64url')}`
    expect(await verify({ ...(await signJwt({ ...message, key: rsa })), 'webhook-signature': token })).toBe('verified')
  })
})

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
