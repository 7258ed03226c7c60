/** Clients that are slow, idle, silent or many on purpose, over real sockets. The limits are the product's own, only shorter. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import type { RefusalCode } from '../../src/errors.ts'
import { listen, type Listening, type ServerLimits } from '../../src/receive/server.ts'
import { rawConnection, type RawConnection } from '../setup/raw-connection.ts'
import { eventually } from '../setup/sender.ts'

const quick: Partial<ServerLimits> = { connectionsCheckMs: 20, lingerMs: 50 }
const request = 'POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}'

let server: Listening
const refusals: RefusalCode[] = []
const opened: RawConnection[] = []

afterEach(async () => {
  for (const connection of opened.splice(0)) connection.destroy()
  await server.close(AbortSignal.abort())
  refusals.splice(0)
})

/** Answers once the body is complete. */
function takeAll(incoming: IncomingMessage, response: ServerResponse): void {
  incoming.on('error', () => {})
  incoming.resume().on('end', () => response.end('taken'))
}

async function start(limits: Partial<ServerLimits>, handler = takeAll): Promise<void> {
  server = await listen(handler, {
    host: '127.0.0.1',
    port: 0,
    limits: { ...quick, ...limits },
    refused: (code) => refusals.push(code),
  })
}

/** The server holds no connection any more, whatever the clients still have open. */
function allGone(): Promise<number> {
  return eventually(server.connections, (count) => count === 0, 5_000)
}

function open(): RawConnection {
  const connection = rawConnection(server.port)
  opened.push(connection)
  return connection
}

async function served(): Promise<RawConnection> {
  const connection = open()
  connection.write(request)
  expect(await connection.answered()).toContain('taken')
  return connection
}

function codeOf(answer: string): unknown {
  return JSON.parse(answer.slice(answer.indexOf('{'))).code
}

describe('a client that is slow on purpose is answered 408 and closed, though it never closes itself, when it', () => {
  it('drips its headers', async () => {
    await start({ headersTimeoutMs: 200, requestTimeoutMs: 60_000 })
    const slow = open()
    slow.write('POST /hook HTTP/1.1\r\nhost: x\r\nwebhook-id: ')
    slow.drip('a', 20)
    expect(codeOf(await slow.ended)).toBe('request_timeout')
    await allGone()
  })

  it('connects and says nothing', async () => {
    await start({ headersTimeoutMs: 200, requestTimeoutMs: 60_000 })
    expect(codeOf(await open().ended)).toBe('request_timeout')
    await allGone()
  })

  it('drips its body', async () => {
    await start({ headersTimeoutMs: 200, requestTimeoutMs: 300 })
    const slow = open()
    slow.write('POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n')
    slow.drip('x', 20)
    expect(codeOf(await slow.ended)).toBe('request_timeout')
    await allGone()
  })

  it('drips a chunked body', async () => {
    await start({ headersTimeoutMs: 200, requestTimeoutMs: 300 })
    const slow = open()
    slow.write('POST /hook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n')
    slow.drip('1\r\nx\r\n', 20)
    expect(codeOf(await slow.ended)).toBe('request_timeout')
    await allGone()
  })

  it('drips the headers of its second request', async () => {
    await start({ headersTimeoutMs: 200, requestTimeoutMs: 60_000 })
    const slow = await served()
    slow.write('POST /hook HTTP/1.1\r\nhost: x\r\nwebhook-id: ')
    slow.drip('a', 20)
    expect(await slow.ended).toContain('request_timeout')
    await allGone()
  })
})

it('what never becomes a request is counted by the code of its answer, once', async () => {
  await start({ headersTimeoutMs: 200, requestTimeoutMs: 300 })
  const answers: Promise<string>[] = []
  for (const text of [
    'this is not HTTP\r\n\r\n',
    'POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n',
    `POST /hook HTTP/1.1\r\nhost: x\r\nwebhook-id: ${'a'.repeat(20_000)}\r\n\r\n`,
    'POST /hook HTTP/1.1\r\nhost: x\r\nexpect: a miracle\r\ncontent-length: 0\r\n\r\n',
    'POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12345',
  ]) {
    const connection = open()
    connection.write(text)
    answers.push(connection.ended)
  }
  const statuses = (await Promise.all(answers)).map((answer) => answer.slice(9, 12))
  expect(statuses).toEqual(['400', '400', '431', '417', '408'])
  expect(refusals.toSorted()).toEqual([
    'expectation_failed',
    'malformed_request',
    'malformed_request',
    'request_timeout',
    'too_many_headers',
  ])
  // One that went away was not answered.
  const gone = open()
  gone.write('POST /hook HTTP/1.1\r\nhost: x\r\n')
  await eventually(server.connections, (count) => count === 1)
  gone.destroy()
  await allGone()
  expect(refusals).toHaveLength(5)
})

describe('a connection is not kept', () => {
  it('between requests for longer than the limit, however many there are', async () => {
    await start({ keepAliveTimeoutMs: 200 })
    const idle = await Promise.all(Array.from({ length: 200 }, served))
    await Promise.all(idle.map(({ ended }) => ended))
    await allGone()
    await served()
  })

  it('for a client that does not read its answer', async () => {
    await start({ stallTimeoutMs: 200 }, (_, response) => response.end(Buffer.alloc(32 * 1_048_576)))
    const deaf = open()
    deaf.stopReading()
    deaf.write(request)
    await eventually(server.connections, (count) => count === 1)
    await allGone()
  })

  it('after what is no HTTP, though the client leaves its half open', async () => {
    await start({})
    const garbage = open()
    garbage.write('hello\r\n\r\n')
    expect(codeOf(await garbage.ended)).toBe('malformed_request')
    await allGone()
  })

  it('after a header block over 16 KiB, which gets 431', async () => {
    await start({})
    const large = open()
    large.write(`POST /hook HTTP/1.1\r\nhost: x\r\nx-filler: ${'x'.repeat(16_384)}\r\n\r\n`)
    expect(await large.ended).toMatch(/^HTTP\/1\.1 431 /)
    await allGone()
    await served()
  })

  it('after trailers over 16 KiB', async () => {
    await start({})
    const large = open()
    large.write(
      `POST /hook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-filler: ${'x'.repeat(16_384)}\r\n\r\n`,
    )
    expect(await large.ended).toMatch(/^HTTP\/1\.1 431 /)
    await allGone()
  })
})

describe('above the limit of connections', () => {
  it('one more is closed without an answer, and served once another has gone', async () => {
    await start({ maxConnections: 3 })
    const busy = [open(), open(), open()]
    for (const connection of busy) connection.write(request.slice(0, -1))
    await eventually(server.connections, (count) => count === 3)
    const late = open()
    late.write(request)
    expect(await late.ended).toBe('')
    expect(refusals).toEqual(['overloaded'])
    for (const connection of busy) connection.write('}')
    for (const connection of busy) expect(await connection.answered()).toContain('taken')
    busy[0]?.destroy()
    await eventually(server.connections, (count) => count < 3)
    await served()
  })

  it('idle ones make room for those that come', async () => {
    await start({ maxConnections: 3 })
    const idle = [await served(), await served(), await served()]
    const refused = open()
    expect(await refused.ended).toBe('')
    await Promise.all(idle.map(({ ended }) => ended))
    await served()
  })

  it('one that is served is not closed to make room', async () => {
    await start({ maxConnections: 2 })
    await served()
    const busy = open()
    busy.write(request.slice(0, -1))
    await eventually(server.connections, (count) => count === 2)
    await open().ended
    busy.write('}')
    expect(await busy.answered()).toContain('taken')
  })
})
