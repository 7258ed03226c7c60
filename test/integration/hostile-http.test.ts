/** HTTP that is none, that says two things at once, or that comes in pieces: see docs/hostile-input.md. */
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bytesOf } from '../fuzz/draft.ts'
import { draftOf, now } from '../fuzz/signed.ts'
import { startHostileRelay, type HostileRelay } from '../setup/hostile.ts'

let hostile: HostileRelay
beforeAll(async () => {
  hostile = await startHostileRelay()
})
afterAll(() => hostile.stop())

const path = '/webhooks/once'

function head(lines: readonly string[], requestLine = `POST ${path} HTTP/1.1`): string {
  return `${[requestLine, 'host: relay', ...lines].join('\r\n')}\r\n\r\n`
}

/** A signed request inside the body of another: whoever takes the wrong length finds it. */
function smuggling(lines: (length: number) => readonly string[]): { bytes: Buffer; id: string } {
  const inner = hostile.signed()
  const rest = Buffer.concat([Buffer.from('0\r\n\r\n'), bytesOf(draftOf(inner))])
  return { id: inner.id, bytes: Buffer.concat([Buffer.from(head(lines(rest.length)), 'latin1'), rest]) }
}

describe('a request with two lengths (request smuggling)', () => {
  it.each<[string, (length: number) => readonly string[]]>([
    ['Content-Length before Transfer-Encoding', (n) => [`content-length: ${n}`, 'transfer-encoding: chunked']],
    ['Transfer-Encoding before Content-Length', (n) => ['transfer-encoding: chunked', `content-length: ${n}`]],
    ['a short Content-Length with Transfer-Encoding', () => ['content-length: 5', 'transfer-encoding: chunked']],
    ['Transfer-Encoding twice', (n) => [`content-length: ${n}`, 'transfer-encoding: identity', 'transfer-encoding: chunked']],
    ['Transfer-Encoding: xchunked', (n) => [`content-length: ${n}`, 'transfer-encoding: xchunked']],
    ['Transfer-Encoding: chunked, identity', () => ['transfer-encoding: chunked, identity']],
    ['Transfer-Encoding: "chunked"', (n) => [`content-length: ${n}`, 'transfer-encoding: "chunked"']],
    ['a vertical tab before chunked', (n) => [`content-length: ${n}`, 'transfer-encoding:\x0bchunked']],
    ['a space before the colon', (n) => [`content-length: ${n}`, 'transfer-encoding : chunked']],
    ['a folded Transfer-Encoding', (n) => [`content-length: ${n}`, 'transfer-encoding:', ' chunked']],
    ['a Transfer-Encoding after a bare LF', (n) => [`content-length: ${n}`, 'x: y\ntransfer-encoding: chunked']],
    ['a Transfer-Encoding after a bare CR', (n) => [`content-length: ${n}`, 'x: y\rtransfer-encoding: chunked']],
    ['a NUL in the name', (n) => [`content-length: ${n}`, 'transfer\0-encoding: chunked']],
    ['Content-Length twice, 0 first', (n) => ['content-length: 0', `content-length: ${n}`]],
    ['Content-Length twice, 0 last', (n) => [`content-length: ${n}`, 'content-length: 0']],
    ['Content-Length twice, the same', () => ['content-length: 0', 'content-length: 0']],
    ['a list of lengths', () => ['content-length: 0, 0']],
    ['a negative length', () => ['content-length: -1']],
    ['a length with a plus sign', () => ['content-length: +0']],
    ['a length with a space in it', () => ['content-length: 0 0']],
    ['a length in hex', () => ['content-length: 0x0']],
    ['a length with a fraction', () => ['content-length: 0.0']],
    ['an empty length', () => ['content-length:']],
    ['a length over 64 bits', () => ['content-length: 18446744073709551616']],
    ['a space before the colon of the length', () => ['content-length : 0']],
  ])('is refused, and nothing is found in its body: %s', async (_, lines) => {
    const { id, bytes } = smuggling(lines)
    expect(await hostile.send(bytes)).toEqual({ answers: ['400 malformed_request'], closed: true })
    expect(await hostile.stored(id)).toBeUndefined()
  })
})

describe('a chunked body', () => {
  it.each<[string, (size: string, body: string) => string]>([
    ['a sign', (size, body) => `+${size}\r\n${body}\r\n0\r\n\r\n`],
    ['a prefix of hex', (size, body) => `0x${size}\r\n${body}\r\n0\r\n\r\n`],
    ['bare LF', (size, body) => `${size}\n${body}\n0\n\n`],
    ['more than it says', (size, body) => `${size}\r\n${body}x\r\n0\r\n\r\n`],
    ['less than it says', (size, body) => `${size}1\r\n${body}\r\n0\r\n\r\n`.slice(0, body.length)],
    ['a size over 64 bits', (_, body) => `ffffffffffffffffff\r\n${body}\r\n0\r\n\r\n`],
    ['no size', () => '\r\n'],
  ])('whose chunks have %s is refused, though it is signed', async (_, chunks) => {
    const signed = hostile.signed()
    const body = signed.body.toString('latin1')
    const lines = draftOf(signed).headers.map(([name, value]) => `${name}: ${value}`)
    const sent = head([...lines, 'transfer-encoding: chunked']) + chunks(body.length.toString(16), body)
    expect(await endedBySender(sent)).toMatch(/^HTTP\/1\.1 400 .*"code":"malformed_request"\}$/s)
    expect(await hostile.stored(signed.id)).toBeUndefined()
  })

  it('may have chunk extensions and trailers, which are no headers', async () => {
    const signed = hostile.signed()
    const body = signed.body.toString('latin1')
    const lines = draftOf(signed).headers.map(([name, value]) => `${name}: ${value}`)
    const chunks = `${body.length.toString(16)};a=b;c="d"\r\n${body}\r\n0\r\nwebhook-id: another\r\n\r\n`
    expect((await hostile.send(Buffer.from(head([...lines, 'transfer-encoding: chunked']) + chunks, 'latin1'))).answers).toEqual([
      '200 received',
    ])
    expect(await hostile.stored('another')).toBeUndefined()
  })

  it('is refused when its extensions go on and on', async () => {
    const sent = `${head(['transfer-encoding: chunked'])}1;${'x'.repeat(40_000)}`
    expect(await endedBySender(sent)).toMatch(/^HTTP\/1\.1 (4\d\d) /)
  })
})

describe('a Content-Length that lies', () => {
  it('by less: what was signed is not what is read, and the rest is no request', async () => {
    const { headers, ...draft } = draftOf(hostile.signed())
    const lines = headers.map(([name, value]) => `${name}: ${value}`)
    const bytes = Buffer.concat([Buffer.from(head([...lines, `content-length: ${draft.body.length - 1}`])), draft.body])
    expect(await hostile.send(bytes, Buffer.alloc(0))).toEqual({
      answers: ['400 signature_mismatch', '400 malformed_request'],
      closed: true,
    })
  })

  it('by more: it is waited for, and refused when it does not come', async () => {
    const { headers, ...draft } = draftOf(hostile.signed())
    const lines = headers.map(([name, value]) => `${name}: ${value}`)
    const sent = head([...lines, `content-length: ${draft.body.length + 1}`]) + draft.body.toString('latin1')
    expect(await endedBySender(sent)).toContain('"code":"malformed_request"')
  })

  it('by gigabytes: it is refused before anything of it is read', async () => {
    expect((await hostile.send(Buffer.from(head(['content-length: 9007199254740991'])))).answers).toEqual(['413 body_too_large'])
  })
})

describe('a request line', () => {
  it.each([
    ['with a space in the target', `POST ${path} x HTTP/1.1`],
    ['with a NUL in the target', `POST ${path}\0 HTTP/1.1`],
    ['in small letters', `post ${path} HTTP/1.1`],
    ['with an unknown method', `BREW ${path} HTTP/1.1`],
    ['with an authority for a target', 'POST relay:80 HTTP/1.1'],
    ['with a path that is none', 'POST __proto__ HTTP/1.1'],
  ])('%s is refused with a code', async (_, line) => {
    const answer = await hostile.send(Buffer.from(head(['content-length: 0'], line), 'latin1'))
    expect(answer).toEqual({ answers: ['400 malformed_request'], closed: true })
  })

  it.each(['', ' HTTP/0.9', ' HTTP/2.0'])(
    'that ends with %j is refused with a code, also when all is signed',
    async (version) => {
      const signed = hostile.signed()
      const { headers, body } = draftOf(signed)
      const lines = [...headers.map(([name, value]) => `${name}: ${value}`), `content-length: ${body.length}`]
      const bytes = Buffer.concat([Buffer.from(head(lines, `POST ${path}${version}`)), body])
      expect((await hostile.send(bytes)).answers).toEqual(['400 malformed_request'])
      expect(await hostile.stored(signed.id)).toBeUndefined()
    },
  )

  it('that asks for HTTP/2 by its preface is refused', async () => {
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
    expect(await hostile.send(preface)).toEqual({ answers: ['400 malformed_request'], closed: true })
  })

  it.each(['/webhooks/../webhooks/once', '/x/../webhooks/once', '//webhooks/once', '/webhooks/once;x', '/webhooks/%6fnce', '*'])(
    'with the target %s leads nowhere',
    async (target) => {
      await hostile.refuses({ ...draftOf(hostile.signed()), target }, 'not_found')
    },
  )

  it('with an absolute URL is taken for its path, whatever host it names', async () => {
    const signed = hostile.signed()
    expect((await hostile.send({ ...draftOf(signed), target: `http://elsewhere:1${path}` })).answers).toEqual(['200 received'])
  })

  it('with CONNECT ends the connection', async () => {
    expect(await hostile.send(Buffer.from(head([], 'CONNECT relay:80 HTTP/1.1')))).toEqual({ answers: [], closed: true })
  })

  it('without a Host header is refused with a code, and with one of HTTP/1.0 taken', async () => {
    const answer = await hostile.send(Buffer.from(`POST ${path} HTTP/1.1\r\ncontent-length: 0\r\n\r\n`))
    expect(answer.answers).toEqual(['400 malformed_request'])
    const { headers, body } = draftOf(hostile.signed())
    const lines = [...headers.map(([name, value]) => `${name}: ${value}`), `content-length: ${body.length}`]
    const old = Buffer.from(`POST ${path} HTTP/1.0\r\n${lines.join('\r\n')}\r\n\r\n${body.toString('latin1')}`, 'latin1')
    expect(await hostile.send(old)).toEqual({ answers: ['200 received'], closed: true })
  })
})

describe('Expect', () => {
  it('of 100-continue is answered, and then the request', async () => {
    const signed = hostile.signed()
    const { headers, ...draft } = draftOf(signed)
    expect((await hostile.send({ ...draft, headers: [...headers, ['expect', '100-continue']] })).answers).toEqual([
      '200 received',
    ])
  })

  it('of anything else is refused, and the connection with it', async () => {
    const { headers, ...draft } = draftOf(hostile.signed())
    const answer = await hostile.send({ ...draft, headers: [...headers, ['expect', '200-ok']] })
    expect(answer).toEqual({ answers: ['417 expectation_failed'], closed: true })
  })
})

describe('pipelined requests', () => {
  it('are answered in order, each for itself, though some take longer than others', async () => {
    const slow = hostile.signed({ scheme: 'jwt' })
    const first = hostile.signed()
    const answers = await hostile.send(
      draftOf(slow),
      { ...draftOf(first), method: 'GET' },
      draftOf(first),
      draftOf({ ...first, id: 'another' }),
      { ...draftOf(first), target: '/nowhere' },
      draftOf(hostile.signed({ scheme: 'ed25519' })),
      draftOf(first),
    )
    expect(answers.answers).toEqual([
      '200 received',
      '405 method_not_allowed',
      '200 received',
      '400 signature_mismatch',
      '404 not_found',
      '200 received',
      '200 duplicate',
    ])
  })

  it('keep their own answers when something broken follows them', async () => {
    const first = hostile.signed()
    const second = hostile.signed({ scheme: 'jwt' })
    const answer = await hostile.send(draftOf(first), draftOf(second), Buffer.from('garbage\r\n\r\n'))
    expect(answer).toEqual({ answers: ['200 received', '200 received', '400 malformed_request'], closed: true })
  })

  it('keep their own answers when the body of the next one breaks', async () => {
    const first = hostile.signed()
    const answer = await hostile.send(draftOf(first), Buffer.from(`${head(['transfer-encoding: chunked'])}zz\r\n`))
    expect(answer).toEqual({ answers: ['200 received', '400 malformed_request'], closed: true })
  })
})

it('a CONNECT keeps nothing open, though its sender neither reads nor ends: the relay can stop', async () => {
  const another = await startHostileRelay()
  const port = Number(new URL(another.relay.url).port)
  const tunnel = Buffer.from(head([], 'CONNECT relay:80 HTTP/1.1'))
  const sockets = [Buffer.alloc(0), Buffer.alloc(5_000), bytesOf(draftOf(another.signed()))].map((after) => {
    const before = bytesOf(draftOf(another.signed({ scheme: 'jwt' })))
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true }, () =>
      socket.write(Buffer.concat([before, tunnel, after])),
    )
    return socket.on('error', () => {})
  })
  await expect.poll(() => another.count()).toBe(sockets.length)
  // fails by its time: the relay waits for connections that are open
  await another.stop()
  for (const socket of sockets) socket.destroy()
})

describe('a slow drip', () => {
  it('of single bytes is a request like any other', async () => {
    const signed = hostile.signed({ timestamp: now(0), body: Buffer.from('{"type":"batch.failed","data":{}}') })
    const socket = connect({ port: portOf(), host: '127.0.0.1', noDelay: true })
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    for (const byte of bytesOf({ ...draftOf(signed), chunks: [1, 2, 3] })) {
      socket.write(Buffer.from([byte]))
      await sleep(1)
    }
    await expect.poll(() => answer, { timeout: 5_000 }).toContain('"status":"received"')
    socket.destroy()
  })

  it('of a body is given up after 15 s with a code', async () => {
    const { headers, body } = draftOf(hostile.signed())
    const lines = [...headers.map(([name, value]) => `${name}: ${value}`), `content-length: ${body.length}`]
    const socket = connect(portOf(), '127.0.0.1', () => socket.write(head(lines)))
    const dripping = setInterval(() => socket.write('x'), 1_000)
    let answer = ''
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    await new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    clearInterval(dripping)
    expect(answer).toMatch(/^HTTP\/1\.1 408 .*"code":"request_timeout"\}$/s)
  }, 30_000)
})

function portOf(): number {
  return Number(new URL(hostile.relay.url).port)
}

/** Writes, ends its own half, and reads until the relay has ended the other. */
function endedBySender(sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect({ port: portOf(), host: '127.0.0.1' }, () => socket.end(Buffer.from(sent, 'latin1')))
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}
