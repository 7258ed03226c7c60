/** Bodies that are hard to read, signed as they should be: each is an event like any other. See docs/hostile-input.md. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bytesOf } from '../fuzz/draft.ts'
import { draftOf } from '../fuzz/signed.ts'
import { bodyLimit, startHostileRelay, type HostileRelay, type StoredEvent } from '../setup/hostile.ts'

let hostile: HostileRelay
beforeAll(async () => {
  hostile = await startHostileRelay()
})
afterAll(() => hostile.stop())

/** What becomes of it: its bytes as they were, and nothing but them. */
async function taken(body: string | Buffer): Promise<Pick<StoredEvent, 'type' | 'subject' | 'rules'>> {
  const signed = hostile.signed({ body: Buffer.from(body) })
  const event = await hostile.takes(signed)
  expect(event.body).toEqual(Buffer.from(body))
  return { type: event.type, subject: event.subject === signed.id ? 'its id' : event.subject, rules: event.rules }
}

const unrecognized = { type: 'relay.unrecognized', subject: 'its id', rules: ['everything'] }

describe('a body that nests deeply', () => {
  const half = bodyLimit / 2
  it.each([
    ['lists', '['.repeat(half) + ']'.repeat(half)],
    ['lists without an end', '['.repeat(bodyLimit)],
    ['objects', '{"a":'.repeat(10_000) + '1' + '}'.repeat(10_000)],
  ])('is stored as it is: %s', async (_, body) => {
    expect(await taken(body)).toEqual(unrecognized)
  })

  it('under data is an event, and rules look into it', async () => {
    const body = `{"type":"batch.failed","data":{"id":"deep","admin":true,"x":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`
    expect(await taken(body)).toEqual({ type: 'batch.failed', subject: 'deep', rules: ['condition', 'everything'] })
  })
})

describe('a member that is named like something of JavaScript', () => {
  it.each([
    '{"__proto__":{"type":"batch.failed","data":{"id":"polluted"}}}',
    '{"constructor":{"prototype":{"type":"batch.failed"}}}',
    '{"type":{"toString":"batch.failed"}}',
  ])('makes no event of what is none: %s', async (body) => {
    expect(await taken(body)).toEqual(unrecognized)
  })

  it.each([
    '{"id":"a","__proto__":{"admin":true}}',
    '{"id":"a","constructor":{"prototype":{"admin":true}}}',
    '{"id":"a","__proto__":{"user_metadata":{"priority":"high"}}}',
    '{"id":"a","user_metadata":{"__proto__":{"priority":"high"}}}',
    '{"id":"a","user_metadata":[["priority","high"]]}',
  ])('matches no rule by its prototype: %s', async (data) => {
    expect(await taken(`{"type":"batch.failed","data":${data}}`)).toEqual({
      type: 'batch.failed',
      subject: 'a',
      rules: ['everything'],
    })
  })

  it('does not keep a condition from looking at the others', async () => {
    for (const name of ['__proto__', 'constructor', 'hasOwnProperty', 'toString'])
      expect((await taken(`{"type":"batch.failed","data":{"id":"a","${name}":{"name":"Map"},"admin":true}}`)).rules).toEqual([
        'condition',
        'everything',
      ])
  })

  it('changes no prototype of the process', async () => {
    for (const name of ['__proto__', 'constructor', 'prototype'])
      await taken(
        `{"type":"batch.failed","${name}":{"polluted":true,"prototype":{"polluted":true}},"data":{"${name}":{"polluted":true}}}`,
      )
    for (const made of [{}, [], '', () => {}]) expect(made).not.toHaveProperty('polluted')
    // An event that follows is not touched by it: no rule finds what it does not say itself.
    expect((await taken('{"type":"batch.failed","data":{"id":"after"}}')).rules).toEqual(['everything'])
  })

  it('may be the type or the subject', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
      expect(await taken(`{"type":"${name}","data":{"id":"${name}"}}`)).toEqual({
        type: name,
        subject: name,
        rules: ['everything'],
      })
  })
})

describe('a body that is not UTF-8', () => {
  it.each<[string, Buffer]>([
    ['a stray byte', Buffer.from('{"type":"batch.failed\xff"}', 'latin1')],
    ['an overlong slash', Buffer.from('{"type":"a\xc0\xaf"}', 'latin1')],
    ['an encoded surrogate', Buffer.from('{"type":"a\xed\xa0\x80"}', 'latin1')],
    ['a cut character', Buffer.from('{"type":"a\xe2\x82"}', 'latin1')],
    ['UTF-16', Buffer.from('{"type":"batch.failed"}', 'utf16le')],
    ['UTF-16 with its mark', Buffer.from('\uFEFF{"type":"batch.failed"}', 'utf16le')],
    ['a byte order mark', Buffer.from('\uFEFF{"type":"batch.failed"}')],
    ['a NUL before it', Buffer.from('\0{"type":"batch.failed"}')],
    ['a NUL after it', Buffer.from('{"type":"batch.failed"}\0')],
  ])('or not JSON is stored as it is, and read as nothing: %s', async (_, body) => {
    expect(await taken(body)).toEqual(unrecognized)
  })
})

describe('a number', () => {
  it.each([
    ['1e400000', 'its id'],
    ['-1e400000', 'its id'],
    ['9'.repeat(1_000), 'its id'],
    ['1e-400', '0'],
    ['-0', '0'],
    ['123456789012345678901', '123456789012345680000'],
    ['1.5', '1.5'],
  ])('of any size is a number: %s', async (number, subject) => {
    expect(await taken(`{"type":"batch.failed","data":{"id":${number},"count":${number}}}`)).toEqual({
      type: 'batch.failed',
      subject,
      rules: ['everything'],
    })
  })
})

it('of doubled keys the last one counts', async () => {
  const body = '{"type":"batch.succeeded","type":"batch.failed","data":{"admin":true},"data":{"id":"a","id":"b"}}'
  expect(await taken(body)).toEqual({ type: 'batch.failed', subject: 'b', rules: ['everything'] })
})

describe('a text', () => {
  it.each([
    ['with a NUL', 'a\\u0000b', 'ab'],
    ['with a lone surrogate', 'a\\ud800b', 'a\ufffdb'],
    ['with surrogates the wrong way round', '\\udc00\\ud800', '\ufffd\ufffd'],
    ['of 60 KB', 'x'.repeat(60_000), 'x'.repeat(512)],
    ['of control characters', '\\u0001\\u001b[31m', '\u0001\u001b[31m'],
    ['that is a template', '{{ event.type }}{% include "x" %}', '{{ event.type }}{% include "x" %}'],
  ])('%s is stored as far as a column can hold it, and its body whole', async (_, text, subject) => {
    const escaped = text.replaceAll('"', '\\"')
    expect(await taken(`{"type":"batch.failed","data":{"id":"${escaped}"}}`)).toEqual({
      type: 'batch.failed',
      subject,
      rules: ['everything'],
    })
  })
})

describe('a compressed body', () => {
  const plain = Buffer.from('{"type":"batch.failed"}')
  it.each<[string, Buffer]>([
    ['gzip', gzipSync(plain)],
    ['gzip', gzipSync(Buffer.alloc(10_000_000))],
    ['deflate', deflateSync(plain)],
    ['br', brotliCompressSync(plain)],
    ['zstd', plain],
    ['GZIP', plain],
    ['x-gzip', plain],
    ['identity, gzip', plain],
    ['gzip, identity', plain],
    ['*', plain],
    ['', plain],
  ])('with the coding %j is refused, though it is signed', async (coding, body) => {
    const { headers, ...draft } = draftOf(hostile.signed({ body }))
    await hostile.refuses({ ...draft, headers: [...headers, ['content-encoding', coding]] }, 'unsupported_encoding')
  })

  it('with two codings in two headers is refused', async () => {
    const { headers, ...draft } = draftOf(hostile.signed({ body: plain }))
    const two = [['content-encoding', 'identity'] as const, ['content-encoding', 'gzip'] as const]
    await hostile.refuses({ ...draft, headers: [...headers, ...two] }, 'unsupported_encoding')
  })

  it('without saying so is bytes', async () => {
    expect(await taken(gzipSync(plain))).toEqual(unrecognized)
  })
})

describe('an oversized body', () => {
  it.each([1, 100_000, 3_000_000])('of %i bytes over the limit is refused, and the connection ended', async (over) => {
    const draft = draftOf(hostile.signed({ body: Buffer.alloc(bodyLimit + over, ' ') }))
    expect(await hostile.send(draft)).toEqual({ answers: ['413 body_too_large'], closed: true })
  })

  it('in chunks is counted while it comes in', async () => {
    const draft = draftOf(hostile.signed({ body: Buffer.alloc(bodyLimit + 1, ' ') }))
    expect(await hostile.send({ ...draft, chunks: [1, 10, bodyLimit - 11] })).toEqual({
      answers: ['413 body_too_large'],
      closed: true,
    })
    // exactly the limit, by the byte
    const just = hostile.signed({ body: Buffer.alloc(bodyLimit, ' ') })
    expect((await hostile.send(bytesOf({ ...draftOf(just), chunks: Array.from({ length: 500 }, () => 1) }))).answers).toEqual([
      '200 received',
    ])
  })
})
