/** The ceiling on unverified bytes, over real sockets. */
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startJwksServer } from '../../src/emulator/jwks-server.ts'
import { readBody } from '../../src/receive/body.ts'
import { listen } from '../../src/receive/server.ts'
import { createUnverifiedBytes } from '../../src/receive/unverified-bytes.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { rawConnection, type RawConnection } from '../setup/raw-connection.ts'
import { startReceiving, type Receiving, type ReceivingOptions } from '../setup/receiving.ts'
import { eventually, post, signedHeaders } from '../setup/sender.ts'

const bodyLimitBytes = 32_768
/** Two large bodies, and the 4 KiB that a request counts for from its beginning, for the one that tries. */
const unverifiedLimits = { totalBytes: 98_304, largeBytes: 2 * bodyLimitBytes + 4_096, smallBytes: 8_192 }
const large = JSON.stringify('x'.repeat(bodyLimitBytes - 2))
const small = JSON.stringify('x'.repeat(1_000))

let database: TestDatabase
let relay: Receiving
const opened: RawConnection[] = []

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
afterEach(async () => {
  for (const connection of opened.splice(0)) connection.destroy()
  await relay.close()
})

async function start(options: Partial<ReceivingOptions> = {}): Promise<void> {
  relay = await startReceiving({ databaseUrl: database.url, bodyLimitBytes, unverifiedLimits, ...options })
}

function open(): RawConnection {
  const connection = rawConnection(relay.port)
  opened.push(connection)
  return connection
}

function head(body: string, framing: string): string {
  const lines = Object.entries(signedHeaders({ body })).map(([name, value]) => `${name}: ${value}\r\n`)
  return `POST /hook HTTP/1.1\r\nhost: x\r\n${lines.join('')}${framing}\r\n\r\n`
}

const withLength = (body: string) => head(body, `content-length: ${body.length}`) + body
const inChunks = (body: string) => `${head(body, 'transfer-encoding: chunked')}${body.length.toString(16)}\r\n${body}`

/** A signed request that lacks its last byte. */
function sendSlowly(make: (body: string) => string): RawConnection {
  const connection = open()
  connection.write(make(large).slice(0, -1))
  return connection
}

const statusOf = (answer: string) => Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])

/** A large body that has said its size and of which nothing was sent. */
function announceLarge(): RawConnection {
  const connection = open()
  connection.write(head(large, `content-length: ${large.length}`))
  return connection
}

/** Looks for a moment only, so false can also mean not yet. */
async function isRefused(): Promise<boolean> {
  const connection = announceLarge()
  const answer = await Promise.race([connection.ended, sleep(100, '')])
  connection.destroy()
  return statusOf(answer) === 503
}

/** A whole large body, until there is a place for it. */
async function isServed(): Promise<void> {
  await eventually(
    async () => {
      const connection = open()
      connection.write(withLength(large))
      return statusOf(await Promise.race([connection.answered(), connection.ended]))
    },
    (status) => status === 200,
    5_000,
  )
}

/** Two large bodies hold all that large ones may hold. */
async function saturate(make: (body: string) => string): Promise<RawConnection[]> {
  const slow = [sendSlowly(make), sendSlowly(make)]
  await eventually(isRefused, Boolean, 5_000)
  return slow
}

/** Nothing is held: two more have their places, which what is still held would take, and a third has not, which something given back twice would give it. */
async function isExact(): Promise<void> {
  await isServed()
  const full = await saturate(withLength)
  for (const connection of full) connection.write(large.slice(-1))
  for (const connection of full) expect(statusOf(await connection.answered())).toBe(200)
  await isServed()
}

describe('while slow senders of large bodies hold what they may hold', () => {
  it.each([
    ['of a declared length', withLength],
    ['in chunks', inChunks],
  ])('and send bodies %s, another large one hears 503 before it sends its body, and small ones pass', async (_, make) => {
    await start()
    await saturate(make)
    const answer = await announceLarge().ended
    expect(answer).toMatch(/^HTTP\/1\.1 503 /)
    expect(answer).toMatch(/\r\nRetry-After: 5\r\n/i)
    expect(answer).toMatch(/\r\nConnection: close\r\n/i)
    expect(answer).toContain('"code":"overloaded"')
    expect(await post(relay.url, { body: small })).toMatchObject({ status: 200 })
  })

  it('a large body in chunks is read until it is no small one, then refused and not read on', async () => {
    await start()
    await saturate(withLength)
    const late = open()
    late.write(inChunks(large).slice(0, 12_000))
    expect(await late.ended).toContain('"code":"overloaded"')
    expect(await post(relay.url, { body: small })).toMatchObject({ status: 200 })
  })

  it('they themselves are served once they send the rest', async () => {
    await start()
    const slow = await saturate(withLength)
    for (const connection of slow) connection.write(large.slice(-1))
    for (const connection of slow) expect(statusOf(await connection.answered())).toBe(200)
    await isExact()
  })

  it('a length that is only claimed holds nothing', async () => {
    await start()
    for (let n = 0; n < 6; n += 1) open().write(head(large, `content-length: ${large.length}`))
    expect(await post(relay.url, { body: large })).toMatchObject({ status: 200 })
  })
})

describe('what a request held is given back, once, when', () => {
  it('its sender aborts', async () => {
    await start()
    for (const connection of await saturate(withLength)) connection.destroy()
    await isExact()
    for (const connection of await saturate(inChunks)) connection.destroy()
    await isExact()
  })

  it('it takes too long', async () => {
    await start({ limits: { requestTimeoutMs: 1_500, headersTimeoutMs: 1_000, connectionsCheckMs: 50, lingerMs: 50 } })
    const slow = await saturate(withLength)
    for (const connection of slow) expect(await connection.ended).toContain('request_timeout')
    await isExact()
  })

  it('it is over the body limit, at once and at its end', async () => {
    await start()
    const over = `${head(large, 'transfer-encoding: chunked')}${(50_000).toString(16)}\r\n${'x'.repeat(50_000)}\r\n`
    for (let n = 0; n < 4; n += 1) open().write(over)
    await isExact()
    for (let n = 0; n < 12; n += 1) {
      const connection = open()
      connection.write(`${over}0\r\n\r\n`)
      expect(statusOf(await connection.answered())).toBe(413)
    }
    await isExact()
  })

  it('it is refused for its signature, or for the ceiling itself', async () => {
    await start()
    for (let n = 0; n < 4; n += 1) {
      const forged = { 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }
      expect(await post(relay.url, { body: large, headers: forged })).toMatchObject({ status: 400 })
    }
    await isExact()
    const slow = await saturate(withLength)
    for (let n = 0; n < 4; n += 1) {
      const late = open()
      late.write(inChunks(large).slice(0, 12_000))
      expect(await late.ended).toContain('"code":"overloaded"')
    }
    for (const connection of slow) connection.destroy()
    await isExact()
  })
})

describe('while the JWKS hangs', () => {
  const unverifiable = { 'webhook-signature': `v1a,${Buffer.alloc(64).toString('base64')}` }

  it('requests that wait for keys hold their bytes until they are answered, and small ones with a shared secret pass', async () => {
    const jwks = await startJwksServer()
    jwks.setFault('hang')
    await start({ jwksUri: jwks.url })
    const waiting = [0, 1].map(() => post(relay.url, { body: large, headers: unverifiable }))
    await eventually(isRefused, Boolean, 4_000)
    expect(await post(relay.url, { body: small })).toMatchObject({ status: 200 })
    await jwks.close()
    for (const answer of await Promise.all(waiting))
      expect(answer).toMatchObject({ status: 503, body: { code: 'keys_unavailable' } })
    await isExact()
  })

  it('requests that one connection pipelines do not pile up behind it', async () => {
    const jwks = await startJwksServer()
    jwks.setFault('hang')
    await start({ jwksUri: jwks.url })
    const one = head('', 'content-length: 0').replace(
      /webhook-signature: .*/,
      `webhook-signature: ${unverifiable['webhook-signature']}`,
    )
    const pipelining = open()
    pipelining.write(one.repeat(100))
    await eventually(
      () => relay.refusals.get('overloaded') ?? 0,
      (count) => count > 0,
      4_000,
    )
    await jwks.close()
    const answers = await pipelining.ended
    // 24 times 4 KiB are the 96 KiB; the next answer is the last on this connection.
    expect(answers.split('"code":"keys_unavailable"')).toHaveLength(25)
    expect(answers.split('"code":"overloaded"')).toHaveLength(2)
    await isExact()
  })
})

describe('a body in pieces of one byte', () => {
  const inPieces = (body: string) =>
    `${head(body, 'transfer-encoding: chunked')}${Array.from(body, (byte) => `1\r\n${byte}\r\n`).join('')}`

  it('is taken as it was signed', async () => {
    await start()
    const connection = open()
    connection.write(`${inPieces(large)}0\r\n\r\n`)
    expect(statusOf(await connection.answered())).toBe(200)
  })

  it('takes the memory of its bytes, not of its pieces', async () => {
    await start()
    const pieces = 262_144
    const sent = `POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(pieces - 1)}`
    const unverified = createUnverifiedBytes()
    const bytesRead: (() => number)[] = []
    const bodies: Promise<unknown>[] = []
    const server = await listen(
      (request) => {
        const hold = unverified.hold(0)
        if (hold === undefined) throw new Error('nothing is held yet')
        bytesRead.push(() => request.socket.bytesRead)
        bodies.push(readBody(request, pieces, hold).catch(() => undefined))
      },
      { host: '127.0.0.1', port: 0 },
    )
    const before = heapAfterCollection()
    const connections = [0, 1, 2, 3].map(() => rawConnection(server.port))
    for (const connection of connections) connection.write(sent)
    await eventually(
      () => bytesRead.filter((read) => read() === sent.length).length,
      (count) => count === 4,
    )
    const grown = heapAfterCollection() - before
    for (const connection of connections) connection.destroy()
    await Promise.all(bodies)
    await server.close(AbortSignal.abort())
    // 4 × 256 Ki pieces: a Buffer for each would be 178 MB of heap.
    expect(grown).toBeLessThan(20_000_000)
  })
})

function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  return process.memoryUsage().heapUsed
}
