/** HTTP that is none, ends early, or says two things at once. After each of them the connection is over. */
import { bytesOf, type Draft } from '../draft.ts'
import { mutateBytes } from '../mutate.ts'
import { draftOf, eventOf, pathOf, signedRequest, type Draw, type Signed } from '../signed.ts'
import type { Shot, SignedEvent } from '../volley.ts'
import type { Kind } from './kind.ts'

export const framingKinds: readonly Kind[] = [
  flipped,
  flipped,
  flipped,
  cut,
  ambiguous,
  ambiguous,
  badLength,
  badChunks,
  badHead,
  badHeader,
  noHttp,
  oversized,
]

function broken(kind: string, bytes: Buffer, event?: SignedEvent): Shot {
  return { kind, bytes, method: 'POST', expected: 'broken', ...(event === undefined ? {} : { event }) }
}

/** An HMAC binds everything that is stored, so that whatever a changed byte makes of it, it is this event or none. */
function signed(draw: Draw): Signed {
  return signedRequest(draw, { scheme: 'hmac' })
}

/** Anywhere: request line, headers, blank line, body. */
function flipped(draw: Draw): Shot {
  const request = signed(draw)
  let bytes = bytesOf({ ...draftOf(request), ...(draw.random.chance(0.3) ? { chunks: [7, 20] } : {}) })
  for (let changes = draw.random.between(1, 3); changes > 0; changes--) bytes = mutateBytes(draw.random, bytes)
  return broken('framing.mutated', bytes, eventOf(request))
}

function cut(draw: Draw): Shot {
  const bytes = bytesOf(draftOf(signed(draw)))
  return broken('framing.cut off', bytes.subarray(0, draw.random.below(bytes.length)))
}

/**
 * Two lengths for one body: who takes the wrong one finds a second request in it, which is signed as it should be, and which
 * nobody has sent.
 */
function ambiguous(draw: Draw): Shot {
  const inner = bytesOf(draftOf(signed(draw)))
  const closed = Buffer.concat([Buffer.from('0\r\n\r\n'), inner])
  const length = String(closed.length)
  const headers = draw.random.pick<readonly string[]>([
    [`content-length: ${length}`, 'transfer-encoding: chunked'],
    ['transfer-encoding: chunked', `content-length: ${length}`],
    [`content-length: 5`, 'transfer-encoding: chunked'],
    [`content-length: ${length}`, 'transfer-encoding: xchunked'],
    [`content-length: ${length}`, 'transfer-encoding: chunked, identity'],
    [`content-length: ${length}`, 'transfer-encoding: identity, chunked'],
    [`content-length: ${length}`, 'transfer-encoding: identity', 'transfer-encoding: chunked'],
    [`content-length: ${length}`, 'transfer-encoding: "chunked"'],
    [`content-length: ${length}`, 'transfer-encoding:\x0bchunked'],
    [`content-length: ${length}`, 'transfer-encoding : chunked'],
    [`content-length: ${length}`, ' transfer-encoding: chunked'],
    [`content-length: ${length}`, 'x: y', '\ttransfer-encoding: chunked'],
    [`content-length: ${length}`, 'transfer-encoding:', ' chunked'],
    [`content-length: ${length}`, 'transfer\0-encoding: chunked'],
    [`content-length: ${length}`, 'x: y\rtransfer-encoding: chunked'],
    [`content-length: ${length}`, 'x: y\ntransfer-encoding: chunked'],
    ['content-length: 0', `content-length: ${length}`],
    [`content-length: ${length}`, 'content-length: 0'],
    [`content-length: ${length}, 0`],
    [`content-length: ${length} 0`],
    [`content-length: 0\x0b`],
    [`content-length: -1`],
    [`content-length: +0`],
    ['content-length: 0x0'],
    ['content-length : 0'],
    ['content-length: 0\n '],
    ['content-length: 18446744073709551616'],
    ['content-length: 0.0'],
    ['content-length: ०'],
  ])
  const lines = `POST ${pathOf('once')} HTTP/1.1\r\nhost: relay\r\n${headers.join('\r\n')}\r\n\r\n`
  return broken('framing.ambiguous length', Buffer.concat([Buffer.from(lines, 'latin1'), closed]))
}

/** Of the body that was signed, and which then is another one. */
function badLength(draw: Draw): Shot {
  const { random } = draw
  const { headers, ...draft } = draftOf(signed(draw))
  const actual = draft.body.length
  const length = random.pick([
    actual - 1,
    actual + 1,
    random.below(actual),
    actual * 2,
    actual + 100_000,
    -actual,
    `+${actual}`,
    `${actual}_0`,
    `0x${actual.toString(16)}`,
    '',
  ])
  return broken('framing.wrong length', head({ ...draft, headers: [...headers, ['content-length', String(length)]] }, draft.body))
}

function badChunks(draw: Draw): Shot {
  const { random } = draw
  const { headers, ...draft } = draftOf(signed(draw))
  const { body } = draft
  const size = body.length.toString(16)
  const chunks = random.pick([
    `${size}\r\n${body.toString('latin1')}\r\n1\r\nx\r\n0\r\n\r\n`, // one byte more than was signed
    `-${size}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    `+${size}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    `0x${size}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    ` ${size}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    `${size}\n${body.toString('latin1')}\n0\n\n`,
    `${size}\r\n${body.toString('latin1')}x\r\n0\r\n\r\n`,
    `${(body.length - 1).toString(16)}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    `ffffffffffffffffff\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    `${'f'.repeat(16)}\r\n${body.toString('latin1')}`,
    `${'0'.repeat(random.between(1, 5_000))}\r\n`,
    `${size};${'x'.repeat(random.between(17_000, 40_000))}\r\n${body.toString('latin1')}\r\n0\r\n\r\n`,
    `${size}\r\n${body.toString('latin1')}\r\n0\r\n${'x: y\r\n'.repeat(random.between(3_000, 6_000))}`,
    size,
    '\r\n',
    `zz\r\n`,
  ])
  return broken(
    'framing.chunks',
    head({ ...draft, headers: [...headers, ['transfer-encoding', 'chunked']] }, Buffer.from(chunks, 'latin1')),
  )
}

function badHead(draw: Draw): Shot {
  const { random } = draw
  const { headers, body, target: path } = draftOf(signed(draw))
  const hostless = `POST ${path} HTTP/1.1`
  const line = random.pick([
    hostless,
    `POST ${path}`,
    `POST ${path} HTTP/0.9`,
    `POST ${path} HTTP/2.0`,
    `POST ${path} HTTP/9.9`,
    `POST ${path} http/1.1`,
    `POST ${path} HTTP/1.1 x`,
    `POST\t${path}\tHTTP/1.1`,
    ` POST ${path} HTTP/1.1`,
    `post ${path} HTTP/1.1`,
    `P\0ST ${path} HTTP/1.1`,
    `POST ${path}\0 HTTP/1.1`,
    `POST ${path} x HTTP/1.1`,
    `POST é HTTP/1.1`,
    `BREW ${path} HTTP/1.1`,
    `POST http://relay:80${path}\\ HTTP/1.1`,
    ` HTTP/1.1`,
    'POST __proto__ HTTP/1.1',
    'POST javascript:/webhooks/once HTTP/1.1',
    'POST relay:80 HTTP/1.1',
    'POST \\webhooks\\once HTTP/1.1',
    `${'A'.repeat(random.between(10, 30_000))} / HTTP/1.1`,
    `POST /${'a'.repeat(30_000)} HTTP/1.1`,
  ])
  // signed as it should be: whoever takes such a line for one of HTTP/1.1 accepts it
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  const host = line === hostless ? '' : 'host: relay\r\n'
  const start = Buffer.from(`${line}\r\n${host}connection: close\r\n${lines}content-length: ${body.length}\r\n\r\n`, 'latin1')
  return broken('framing.request line', Buffer.concat([start, body]))
}

function badHeader(draw: Draw): Shot {
  const { random } = draw
  const request = signed(draw)
  const { headers, ...draft } = draftOf(request)
  const control = String.fromCharCode(random.pick([0, 1, 7, 8, 0x0b, 0x0c, 0x0d, 0x1b, 0x7f]))
  const odd = random.pick<readonly [string, string]>([
    ['webhook-id', `${request.id}${control}`],
    ['webhook-id', `${control}${request.id}`],
    ['webhook-id', `${request.id}\r\n x`],
    ['webhook-id', `${request.id}\r\n\tx`],
    ['webhook-timestamp', `${request.timestamp}\r\n 0`],
    ['webhook-signature', `v1,AAAA\n${request.signature}`],
    ['webhook-signature', `\r\n ${request.signature}x`],
    [`webhook-id${control}`, request.id],
    ['webhook id', request.id],
    ['webhook-id:', request.id],
    ['', request.id],
    ['(webhook-id)', request.id],
  ])
  // its body is not the signed one: whatever is made of the header, this is nobody's
  const body = Buffer.from('{"type":"batch.failed"}')
  return broken('framing.header', bytesOf({ ...draft, body, headers: [...headers.filter(([name]) => name !== odd[0]), odd] }))
}

function noHttp({ random }: Draw): Shot {
  const bytes = random.pick<() => Buffer>([
    () => random.bytes(random.between(1, 3_000)),
    () => Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    () => Buffer.concat([Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]), random.bytes(200)]), // TLS
    () => Buffer.from('\r\n'.repeat(random.between(1, 3_000))),
    () => Buffer.alloc(random.between(1, 20_000)),
    () => Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'),
    () => Buffer.from(`PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n`),
    () => Buffer.from('{"type":"batch.succeeded"}\n'),
    () => Buffer.alloc(0),
  ])()
  return broken('framing.no HTTP', bytes)
}

function oversized(draw: Draw): Shot {
  const { random } = draw
  const { headers, ...draft } = draftOf(signed(draw))
  const extra = random.pick<() => (readonly [string, string])[]>([
    () => [['x-filler', 'x'.repeat(random.between(17_000, 60_000))]],
    () => Array.from({ length: random.between(3_500, 6_000) }, (_, n) => [`x${n}`, 'y'] as const),
    () => [['x'.repeat(random.between(17_000, 60_000)), 'y']],
  ])()
  return broken('framing.oversized head', bytesOf({ ...draft, headers: [...headers, ...extra] }))
}

/** A head that frames for itself, and bytes. */
function head({ method, target, headers }: Draft, body: Buffer): Buffer {
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\nhost: relay\r\n${lines}\r\n`, 'latin1'), body])
}
