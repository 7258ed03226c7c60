import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readEvent, type ReceivedBytes } from '../../src/route/event.ts'
import { parseJson } from '../../src/verify/json.ts'

const receivedAt = new Date('2026-11-20T10:00:01Z')

function read(json: unknown, odd: Partial<ReceivedBytes> = {}) {
  return readEvent({ source: 'gemini', webhookId: 'msg_1', scheme: 'hmac', receivedAt, json, ...odd })
}

test('an envelope becomes an event', () => {
  const json = {
    type: 'batch.failed',
    version: 'v1',
    timestamp: '2026-11-20T10:00:00Z',
    data: { id: 'batches/b1', error_code: 3 },
  }
  expect(read(json)).toEqual({
    event: {
      type: 'batch.failed',
      version: 'v1',
      timestamp: '2026-11-20T10:00:00Z',
      data: { id: 'batches/b1', error_code: 3 },
      subject: 'batches/b1',
      source: 'gemini',
      webhook_id: 'msg_1',
      scheme: 'hmac',
      user_metadata: {},
      received_at: '2026-11-20T10:00:01.000Z',
    },
    time: new Date('2026-11-20T10:00:00Z'),
  })
})

test.each([undefined, null, 'text', 3, [], {}, { type: '' }, { type: 3 }, { type: null }, { type: '\0' }])(
  'what is no envelope, as %j, is relay.unrecognized with the webhook-id as its subject',
  (json) => {
    expect(read(json).event).toMatchObject({
      type: 'relay.unrecognized',
      subject: 'msg_1',
      data: null,
      user_metadata: {},
      version: null,
    })
  },
)

test('an envelope without a type keeps its data', () => {
  expect(read({ data: { id: 'x' } }).event).toMatchObject({ type: 'relay.unrecognized', subject: 'x', data: { id: 'x' } })
})

test('the receipt is of each event', () => {
  const times = ['2026-11-20T10:00:01.000Z', '2026-11-20T10:00:01.001Z', '2026-11-20T10:00:01.001Z', '2026-11-20T10:00:01.000Z']
  expect(times.map((time) => read({}, { receivedAt: new Date(time) }).event.received_at)).toEqual(times)
})

describe('the subject', () => {
  test.each([
    [{ id: 'a', file_id: 'b' }, 'a'],
    [{ file_id: 'b' }, 'b'],
    [{ id: '', file_id: 'b' }, 'b'],
    [{ id: null, file_id: 'b' }, 'b'],
    [{ id: 42 }, '42'],
    [{ id: { deep: 1 } }, 'msg_1'],
    [['id'], 'msg_1'],
    [null, 'msg_1'],
  ])('of %j is %s', (data, subject) => {
    expect(read({ type: 'x', data }).event.subject).toBe(subject)
  })

  test.each([
    ['a'.repeat(600), 'a'.repeat(512)],
    [`${'a'.repeat(511)}é`, 'a'.repeat(511)],
    [`${'a'.repeat(510)}é`, `${'a'.repeat(510)}é`],
    ['😀'.repeat(200), '😀'.repeat(128)],
    ['a\0b', 'ab'],
    ['a\ud800b', 'a\ufffdb'],
  ])('is cut to 512 bytes of UTF-8 that a column takes (case %#)', (id, subject) => {
    const { event } = read({ type: id, data: { id } })
    expect(event.subject).toBe(subject)
    expect(event.type).toBe(subject)
    expect(Buffer.byteLength(event.subject)).toBeLessThanOrEqual(512)
  })

  test('holds as many of the characters as fit', () => {
    const unit = fc.constantFrom('a', '\0', '\x7f', 'é', '€', '😀', '\ud800', '\udc00')
    const text = fc.array(fc.tuple(unit, fc.constantFrom(1, 1, 170, 511, 512, 513)), { maxLength: 4 })
    fc.assert(
      fc.property(text, (parts) => {
        const id = parts.map(([piece, times]) => piece.repeat(times)).join('')
        let fits = ''
        for (const character of id.replaceAll('\0', '').replace(/[\ud800-\udfff]/gu, '\ufffd')) {
          if (Buffer.byteLength(fits + character) > 512) break
          fits += character
        }
        expect(read({ type: id, data: { id } }).event).toMatchObject({
          type: fits === '' ? 'relay.unrecognized' : fits,
          subject: fits === '' ? 'msg_1' : fits,
        })
      }),
    )
  })
})

describe('user_metadata', () => {
  const claimsMetadata = { from: 'claims' }
  test.each([
    [{ data: { user_metadata: { from: 'data' } }, user_metadata: { from: 'top' } }, { from: 'data' }],
    [{ data: {}, user_metadata: { from: 'top' } }, { from: 'top' }],
    [{ data: { user_metadata: 'text' }, user_metadata: ['list'] }, { from: 'claims' }],
    [{}, { from: 'claims' }],
  ])('of %j is %j', (json, expected) => {
    expect(read(json, { claimsMetadata }).event.user_metadata).toEqual(expected)
  })
})

describe('the time', () => {
  test.each([
    ['2026-11-20T10:00:00Z', '2026-11-20T10:00:00.000Z'],
    ['2026-11-20T10:00:00.123456789Z', '2026-11-20T10:00:00.123Z'],
    ['2026-11-20T10:00:00+02:00', '2026-11-20T08:00:00.000Z'],
    ['2026-11-20t10:00:00+0200', '2026-11-20T08:00:00.000Z'],
    ['2026-11-20 10:00', '2026-11-20T10:00:00.000Z'],
    ['2026-11-20', '2026-11-20T00:00:00.000Z'],
    ['2024-02-29T00:00:00Z', '2024-02-29T00:00:00.000Z'],
    ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('of %s is %s', (timestamp, time) => {
    expect(read({ type: 'x', timestamp })).toMatchObject({ event: { timestamp }, time: new Date(time) })
  })

  test.each([
    'yesterday',
    '',
    '2026',
    '2026-13-01T00:00:00Z',
    '2026-02-30T00:00:00Z',
    '2023-02-29',
    '2026-11-20T25:00:00Z',
    '0000-12-31T00:00:00Z',
    '0001-01-01T00:00:00+10:00',
    '9999-12-31T23:59:59-10:00',
    '10000-01-01T00:00:00Z',
    'Fri, 20 Nov 2026 10:00:00 GMT',
    '+002026-11-20T10:00:00Z',
  ])('of %s is unknown', (timestamp) => {
    expect(read({ type: 'x', timestamp })).toMatchObject({ event: { timestamp }, time: null })
  })

  test('is the same in the usual spelling and in another', () => {
    const digits = (count: number, max: number) => fc.integer({ min: 0, max }).map((n) => String(n).padStart(count, '0'))
    const date = fc.tuple(digits(4, 9_999), digits(2, 13), digits(2, 32)).map((parts) => parts.join('-'))
    const time = fc.tuple(digits(2, 25), digits(2, 60), digits(2, 61)).map((parts) => parts.join(':'))
    const fraction = fc.oneof(
      fc.constant(''),
      fc.stringMatching(/^\d{1,10}$/).map((text) => `.${text}`),
    )
    fc.assert(
      fc.property(date, time, fraction, (day, hour, part) => {
        const usual = read({ timestamp: `${day}T${hour}${part}Z` }).time
        expect(read({ timestamp: `${day}t${hour}${part}+0000` }).time).toEqual(usual)
      }),
      { numRuns: 3_000 },
    )
  })

  test('of a number is unknown', () => {
    expect(read({ type: 'x', timestamp: 1_700_000_000 })).toMatchObject({ event: { timestamp: null }, time: null })
  })
})

describe('a body', () => {
  test('is read as JSON', () => {
    expect(parseJson(Buffer.from('{"a":"é"}'))).toEqual({ a: 'é' })
    expect(parseJson(Buffer.from('null'))).toBeNull()
  })

  test.each([Buffer.from(''), Buffer.from('{'), Buffer.from('{"a":"\xff"}', 'latin1'), Buffer.from('\ufeff{}')])(
    'that is not UTF-8 or not JSON is undefined (case %#)',
    (body) => {
      expect(parseJson(body)).toBeUndefined()
    },
  )

  test('nested a hundred thousand deep is read, and is an event', () => {
    const json = parseJson(Buffer.from(`{"type":"x","data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`))
    expect(read(json).event).toMatchObject({ type: 'x', subject: 'msg_1' })
  })

  test('with a key __proto__ changes nothing else', () => {
    const { event } = read(parseJson(Buffer.from('{"__proto__":{"type":"x","user_metadata":{"a":1}}}')))
    expect(event).toMatchObject({ type: 'relay.unrecognized', user_metadata: {} })
  })
})
