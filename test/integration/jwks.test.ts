import { createServer } from 'node:http'
import { setImmediate } from 'node:timers/promises'
import { pino } from 'pino'
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { startJwksServer, type JwksFault, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { generateSecret, generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { signEd25519, signHmac, signJwt } from '../../src/emulator/sign.ts'
import type { Log } from '../../src/log.ts'
import { createVerifier, type Verifier } from '../../src/verify/verifier.ts'
import { outcomeOf, requestOf, silent } from '../fixtures/verify.ts'

const now = new Date('2026-01-22T12:00:00Z')
const message = { id: 'msg_1', timestamp: now, body: '{}' }
const secret = generateSecret()

let key: SigningKey
let other: SigningKey
beforeAll(async () => {
  ;[key, other] = await Promise.all([generateSigningKey('EdDSA'), generateSigningKey('EdDSA')])
})

const releases: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const release of releases.splice(0).toReversed()) await release()
})

async function startServer(port = 0): Promise<JwksServer> {
  const server = await startJwksServer({ keys: [key.publicJwk], port })
  releases.push(() => server.close().catch(() => undefined))
  return server
}

function verifierOf(
  jwksUri: string,
  { log = silent, fetch = globalThis.fetch }: { log?: Log; fetch?: typeof globalThis.fetch } = {},
) {
  const time = { ms: now.getTime() }
  const dynamic = { jwksUri, audience: 'any', algorithms: ['RS256' as const], unboundJwt: 'once' as const }
  const verifier = createVerifier({ source: { name: 'gemini', secrets: [secret], dynamic }, clock: () => time.ms, log, fetch })
  releases.push(() => verifier.stop())
  const send = (signer = key) =>
    outcomeOf(() => verifier.verify(requestOf(signEd25519({ ...message, key: signer }), message.body)))
  return { verifier, send, time }
}

function readinessOf(verifier: Verifier, ready: boolean) {
  return vi.waitFor(() => expect(verifier.readiness().ready).toBe(ready), { timeout: 8_000, interval: 20 })
}

describe('the keys of a JWKS', () => {
  it('are fetched once for any number of requests at a time', async () => {
    const server = await startServer()
    const { send } = verifierOf(server.url)
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => send())))).toEqual(new Set(['verified']))
    expect(server.requests()).toBe(1)
  })

  it('are fetched once for any number of requests with an unknown key', async () => {
    const server = await startServer()
    const { send } = verifierOf(server.url)
    await send()
    server.setKeys([key.publicJwk, other.publicJwk])
    expect(new Set(await Promise.all(Array.from({ length: 50 }, () => send(other))))).toEqual(new Set(['verified']))
    expect(server.requests()).toBe(2)
  })

  it('are asked for again when the clock was set back during a cooldown', async () => {
    const server = await startServer()
    const { send, time } = verifierOf(server.url)
    expect(await send(other)).toBe('signature_mismatch')
    server.setKeys([key.publicJwk, other.publicJwk])
    time.ms -= 60_000
    expect(await send(other)).toBe('verified')
  })

  it('are those that can be used: malformed ones are passed over', async () => {
    const server = await startServer()
    server.setKeys([
      null,
      7,
      'x',
      [],
      {},
      { kty: 'RSA' },
      { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' },
      { kty: 'OKP', crv: 'X25519', x: key.publicJwk.x },
      key.publicJwk,
    ])
    expect(await verifierOf(server.url).send()).toBe('verified')
  })
})

const faults: [string, JwksFault][] = [
  ['a 500', { status: 500 }],
  ['a 404', { status: 404 }],
  ['a page', 'html'],
  ['a redirect', 'redirect'],
  ['an empty list', 'empty'],
  ['no list', 'no-list'],
  ['two megabytes', 'oversized'],
]

describe('a JWKS that answers with', () => {
  it.each(faults)('%s makes requests wait for keys, and is asked again', async (_what, fault) => {
    const server = await startServer()
    server.setFault(fault)
    const { send, time, verifier } = verifierOf(server.url)
    expect(await send()).toBe('keys_unavailable')
    expect(verifier.readiness()).toMatchObject({ ready: false, reason: expect.stringContaining('the JWKS cannot be fetched: ') })
    server.setFault(undefined)
    expect(await send()).toBe('keys_unavailable')
    time.ms += 1_000
    expect(await send()).toBe('verified')
    expect(verifier.readiness()).toEqual({ ready: true })
    expect(server.requests()).toBe(2)
  })

  it.each(faults)('%s after it had answered well leaves its keys in use', async (_what, fault) => {
    const server = await startServer()
    const { send, verifier } = verifierOf(server.url)
    expect(await send()).toBe('verified')
    server.setFault(fault)
    expect(await send(other)).toBe('signature_mismatch')
    expect(server.requests()).toBe(2)
    expect(await send()).toBe('verified')
    expect(verifier.readiness()).toEqual({ ready: true })
  })
})

describe('a JWKS that cannot be reached', () => {
  it('leaves requests with a shared secret alone', async () => {
    const server = await startServer()
    await server.close()
    const { verifier, send } = verifierOf(server.url)
    expect(await send()).toBe('keys_unavailable')
    expect(await outcomeOf(() => verifier.verify(requestOf(signHmac({ ...message, secret }), message.body)))).toBe('verified')
  })

  it('makes requests with a token wait as well', async () => {
    const server = await startServer()
    await server.close()
    const { verifier } = verifierOf(server.url)
    const signer = await generateSigningKey('RS256')
    expect(
      await outcomeOf(async () => verifier.verify(requestOf(await signJwt({ ...message, key: signer }), message.body))),
    ).toBe('keys_unavailable')
  })

  it('is fetched in the background once it can be, so that readiness turns by itself', async () => {
    const server = await startServer()
    const port = Number(new URL(server.url).port)
    await server.close()
    const { verifier } = verifierOf(server.url)
    verifier.start()
    await vi.waitFor(() => expect(verifier.readiness().reason).toMatch(/ECONNREFUSED/))
    await startServer(port)
    await readinessOf(verifier, true)
  })

  it('is given five seconds to answer', async () => {
    const server = await startServer()
    server.setFault('hang')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { send, verifier } = verifierOf(server.url)
    const waiting = send()
    await until(() => server.requests() === 1)
    vi.advanceTimersByTime(5_000)
    expect(await waiting).toBe('keys_unavailable')
    expect(verifier.readiness().reason).toBe('the JWKS cannot be fetched: no answer within 5000 ms')
  })

  it('says so in the log, and when it is back, without its address', async () => {
    const lines: string[] = []
    const log = pino({ base: null }, { write: (line: string) => lines.push(line) })
    const server = await startServer()
    server.setFault({ status: 503 })
    const { send, time } = verifierOf(`${server.url}?token=hunter2`, { log })
    await send()
    server.setFault(undefined)
    time.ms += 1_000
    expect(await send()).toBe('verified')
    expect(lines).toEqual([expect.stringContaining('the answer was 503'), expect.stringContaining('fetched again')])
    expect(lines.join('')).not.toContain('hunter2')
  })
})

/** The refresh's own timers are moved by hand; everything else is real. */
async function started(cacheControl: string | undefined) {
  const server = await startServer()
  server.setCacheControl(cacheControl)
  let failures = 0
  const log = pino({ base: null }, { write: (line: string) => (failures += line.includes('could not be fetched') ? 1 : 0) })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const { verifier, send } = verifierOf(server.url, { log })
  verifier.start()
  await until(() => verifier.readiness().ready)
  return { server, send, verifier, failures: () => failures }
}

describe('the background refresh', () => {
  it.each([
    ['an hour by default', undefined, 3_600_000],
    ['an hour where the answer says nothing of it', 'no-cache', 3_600_000],
    ['what the answer says', 'public, max-age=600, must-revalidate', 600_000],
    ['a minute at least', 'max-age=1', 60_000],
    ['a day at most', 'max-age=31536000', 86_400_000],
  ])('comes after %s', async (_what, cacheControl, ms) => {
    const { server } = await started(cacheControl)
    vi.advanceTimersByTime(ms - 1)
    await aFetchWouldHaveArrived()
    expect(server.requests()).toBe(1)
    vi.advanceTimersByTime(1)
    await until(() => server.requests() === 2)
  })

  it('brings in new keys and drops withdrawn ones', async () => {
    const { server, send } = await started('max-age=60')
    // uses up the one fetch that an unknown key is worth: what comes now comes from the background
    expect(await send(other)).toBe('signature_mismatch')
    server.setKeys([other.publicJwk])
    expect(await send(other)).toBe('signature_mismatch')
    vi.advanceTimersByTime(60_000)
    await until(async () => (await send(other)) === 'verified')
    expect(await send()).toBe('signature_mismatch')
    expect(server.requests()).toBe(3)
  })

  it('tries again with growing delays while it fails, and serves the keys it has', async () => {
    const { server, send, verifier, failures } = await started('max-age=60')
    server.setFault({ status: 500 })
    vi.advanceTimersByTime(60_000)
    for (const [failed, ms] of [
      [1, 1_000],
      [2, 2_000],
      [3, 4_000],
    ] as const) {
      await until(() => failures() === failed)
      // up to half of the delay is taken off at random
      vi.advanceTimersByTime(ms / 2 - 1)
      await aFetchWouldHaveArrived()
      expect(server.requests()).toBe(failed + 1)
      vi.advanceTimersByTime(ms / 2 + 1)
      await until(() => server.requests() === failed + 2)
    }
    expect(await send()).toBe('verified')
    expect(verifier.readiness()).toEqual({ ready: true })
  })

  it('ends with stop', async () => {
    const { verifier, server } = await started('max-age=60')
    expect(vi.getTimerCount()).toBe(1)
    verifier.stop()
    expect(vi.getTimerCount()).toBe(0)
    vi.advanceTimersByTime(600_000)
    await aFetchWouldHaveArrived()
    expect(server.requests()).toBe(1)
  })

  it('gives up a fetch under way at stop, and calls that no failure', async () => {
    const lines: string[] = []
    const log = pino({ base: null }, { write: (line: string) => lines.push(line) })
    const server = await startServer()
    server.setFault('hang')
    const { verifier, send } = verifierOf(server.url, { log })
    verifier.start()
    const waiting = send()
    await until(() => server.requests() === 1)
    verifier.stop()
    expect(await waiting).toBe('keys_unavailable')
    expect(lines).toEqual([])
  })
})

/** Waits without timers, which are the ones under test. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 4_000
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error('waited for 4 s in vain')
    await setImmediate()
  }
}

/** As long as a fetch of this machine takes many times over: ten round trips to a server on it. */
async function aFetchWouldHaveArrived(): Promise<void> {
  const probe = await startJwksServer()
  for (let trip = 0; trip < 10; trip += 1) await (await fetch(probe.url)).text()
  await probe.close()
}

describe('the fetch', () => {
  it('is the one that was injected', async () => {
    const asked: string[] = []
    const fetch: typeof globalThis.fetch = async (input) => {
      asked.push(input instanceof Request ? input.url : input.toString())
      return Response.json({ keys: [key.publicJwk] })
    }
    expect(await verifierOf('https://keys.example/jwks.json', { fetch }).send()).toBe('verified')
    expect(asked).toEqual(['https://keys.example/jwks.json'])
  })

  it('stops reading an endless answer', async () => {
    let closed = false
    const server = createServer((_request, response) => {
      response.on('close', () => (closed = true))
      response.writeHead(200)
      const more = () => response.writable && response.write('x'.repeat(65_536), more)
      more()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    releases.push(() => (server.close(), server.closeAllConnections()))
    const address = server.address()
    const { send, verifier } = verifierOf(`http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}/`)
    expect(await send()).toBe('keys_unavailable')
    expect(verifier.readiness().reason).toContain('larger than 1048576 bytes')
    await vi.waitUntil(() => closed)
  })
})
