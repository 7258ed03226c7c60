import { CloudEvent, Kafka } from 'cloudevents'
import { describe, expect, test } from 'vitest'
import { buildRecord, recordKey } from '../../src/sinks/kafka-record.ts'
import { storedEvent } from '../fixtures/deliveries.ts'

type Odd = NonNullable<Parameters<typeof storedEvent>[0]>

const loneSurrogate = 'a\ud800b'
const at = { source: 'gemini', webhook_id: 'msg_a', received_at: '2026-11-20T10:00:01.000Z' }

function jsonText(odd: Odd): string {
  return buildRecord('json', storedEvent({ ...odd, event: { ...at, ...odd.event } }), null).value.toString()
}

describe('a json record', () => {
  test('is the envelope with source, webhook_id and received_at', () => {
    const body = '{"type":"batch.failed","data":{"id":"b"}}'
    expect(JSON.parse(jsonText({ body }))).toEqual({ type: 'batch.failed', data: { id: 'b' }, ...at })
  })

  test('carries the ids and its content type as headers', () => {
    const { headers, key } = buildRecord('json', storedEvent({ event: at }), 'k')
    expect({ headers, key }).toEqual({
      headers: { 'webhook-id': 'msg_a', 'webhook-source': 'gemini', 'content-type': 'application/json' },
      key: 'k',
    })
  })

  test.each([
    ['integers beyond 2^53', '{"type":"t","data":{"n":12345678901234567890123}}'],
    ['numbers beyond a double', '{"type":"t","data":{"n":1e400000}}'],
    ['deep nesting', `{"type":"t","data":${'['.repeat(50_000)}${']'.repeat(50_000)}}`],
    ['escapes as they were written', '{"type":"t","data":"\\u0041\\/\\ud800\\u0000"}'],
    ['braces in strings', '{"type":"t","data":"}{}"}'],
  ])('keeps %s byte for byte', (_what, body) => {
    expect(jsonText({ body, event: { type: 't' } })).toBe(
      `${body.slice(0, -1)},"source":"gemini","webhook_id":"msg_a","received_at":"2026-11-20T10:00:01.000Z"}`,
    )
  })

  test('is read past white space around the envelope', () => {
    const body = ' \r\n{ "type" : "t" \t}\n '
    expect(JSON.parse(jsonText({ body, event: { type: 't' } }))).toEqual({ type: 't', ...at })
  })

  test('lets our members win over those of the envelope', () => {
    const body = '{"type":"t","source":"elsewhere","webhook_id":"x","received_at":0}'
    expect(JSON.parse(jsonText({ body, event: { type: 't' } }))).toEqual({ type: 't', ...at })
  })

  test.each(['{}', ' { } '])('of the empty object %j says that it is unrecognized', (body) => {
    expect(JSON.parse(jsonText({ body, event: { type: 'relay.unrecognized' } }))).toEqual({ type: 'relay.unrecognized', ...at })
  })

  test.each([
    ['no JSON', 'hello'],
    ['an array', '[1]'],
    ['a string', '"{}"'],
    ['null', 'null'],
    ['empty', ''],
    ['a broken object', '{"type":'],
    ['no UTF-8', Buffer.from([0xff, 0x00, 0xfe])],
  ])('of a body that is %s holds it as base64', (_what, body) => {
    expect(JSON.parse(jsonText({ body, event: { type: 'relay.unrecognized' } }))).toEqual({
      type: 'relay.unrecognized',
      ...at,
      body_base64: Buffer.from(body).toString('base64'),
    })
  })

  test('has U+FFFD where the envelope is not UTF-8, as it was read', () => {
    const body = Buffer.concat([Buffer.from('{"type":"t","data":"'), Buffer.from([0xff]), Buffer.from('"}')])
    expect(JSON.parse(jsonText({ body, event: { type: 't' } }))).toMatchObject({ data: '\ufffd' })
  })

  test('is JSON also for a source or an id with a lone surrogate or NUL', () => {
    const event = { source: loneSurrogate, webhook_id: 'a\u0000"b' }
    expect(JSON.parse(jsonText({ event }))).toMatchObject(event)
  })
})

describe('a cloudevents record', () => {
  const subject = 'batches/b1'
  const event = { ...at, subject, timestamp: '2026-11-20T10:00:00.123456789Z' }

  test('carries the attributes in headers and the body as received', () => {
    const body = Buffer.from(' {"type":"batch.failed","data":{"n":1e400000}} ')
    const record = buildRecord('cloudevents', storedEvent({ event, body }), 'k')
    expect(record.value).toEqual(body)
    expect(record.key).toBe('k')
    expect(record.headers).toEqual({
      'webhook-id': 'msg_a',
      'webhook-source': 'gemini',
      'content-type': 'application/json',
      ce_specversion: '1.0',
      ce_id: 'msg_a',
      ce_type: 'batch.failed',
      ce_source: 'gemini',
      ce_subject: subject,
      ce_time: '2026-11-20T10:00:00.123456789Z',
    })
  })

  test('is read by the CloudEvents package as a valid event', () => {
    const record = buildRecord('cloudevents', storedEvent({ event }), 'k')
    const message = { ...record, body: record.value }
    const read = Kafka.toEvent(message)
    if (!(read instanceof CloudEvent)) throw new Error('expected one event')
    expect(read.validate()).toBe(true)
    expect(read).toMatchObject({ id: 'msg_a', type: 'batch.failed', source: 'gemini', subject, specversion: '1.0' })
  })

  test.each([null, 'yesterday', '2026-11-20', '2026-13-45T10:00:00Z'])(
    'with the timestamp %j says the time of the event',
    (timestamp) => {
      const stored = storedEvent({ event: { ...at, timestamp }, time: new Date('2026-11-20T10:00:01Z') })
      expect(buildRecord('cloudevents', stored, null).headers['ce_time']).toBe('2026-11-20T10:00:01.000Z')
    },
  )

  test('says octet-stream where the body is not JSON', () => {
    const stored = storedEvent({ event: { ...at, type: 'relay.unrecognized' }, body: 'hello' })
    expect(buildRecord('cloudevents', stored, null).headers).toMatchObject({
      'content-type': 'application/octet-stream',
      ce_type: 'relay.unrecognized',
    })
  })

  test('says json where the body is JSON without a type', () => {
    const stored = storedEvent({ event: { ...at, type: 'relay.unrecognized' }, body: '[1]' })
    expect(buildRecord('cloudevents', stored, null).headers['content-type']).toBe('application/json')
  })

  test('is made also of a type and a subject with a lone surrogate, NUL or nothing', () => {
    const stored = storedEvent({ event: { ...at, type: loneSurrogate, subject: '' } })
    const { headers } = buildRecord('cloudevents', stored, null)
    expect(headers['ce_type']).toBe(loneSurrogate)
    expect(headers).not.toHaveProperty('ce_subject')
  })
})

test.each([
  ['batches/b1', 'batches/b1'],
  ['', ''],
  [7, '7'],
  [1.5, '1.5'],
  [true, 'true'],
  [null, null],
  [undefined, null],
  [['a', 1], '["a",1]'],
  [{ a: null }, '{"a":null}'],
])('the key %j is the text %j', (value, text) => {
  expect(recordKey(value)).toBe(text)
})
