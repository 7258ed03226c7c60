import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { generateSecret } from '../../src/emulator/keys.ts'
import { signHmac } from '../../src/emulator/sign.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { outcomeOf, requestOf, silent, type HeaderValues } from '../fixtures/verify.ts'

const now = new Date('2026-01-22T12:00:00.750Z')
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const body = '{"type":"batch.succeeded","version":"v1","timestamp":"2026-01-22T12:00:00Z","data":{"id":"b1"}}'

function verifierOf(secrets: readonly string[] = [secret], nowMs = now.getTime()) {
  return createVerifier({ source: { name: 'gemini', secrets }, clock: () => nowMs, log: silent })
}

function verify(headers: HeaderValues, payload: string | Buffer = body, verifier = verifierOf()) {
  return outcomeOf(() => verifier.verify(requestOf(headers, payload)))
}

/** Over the bytes themselves: the library behind signHmac reads them as text first. */
function signBytes(bytes: Buffer): HeaderValues {
  const timestamp = String(Math.floor(now.getTime() / 1_000))
  const content = Buffer.concat([Buffer.from(`m.${timestamp}.`), bytes])
  const own = createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64'))
    .update(content)
    .digest('base64')
  return { 'webhook-id': 'm', 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${own}` }
}

async function jsonOf(payload: string | Buffer): Promise<unknown> {
  return (await verifierOf().verify(requestOf(signBytes(Buffer.from(payload)), payload))).json
}

const signed = signHmac({ id: 'msg_1', timestamp: now, body, secret })
const signature = signed['webhook-signature']
const filler = (count: number) => Array.from({ length: count }, (_, n) => `v1,${Buffer.alloc(32, n).toString('base64')}`)

function withEntriesBefore(count: number): HeaderValues {
  return { ...signed, 'webhook-signature': [...filler(count), signature].join(' ') }
}

describe('the published vectors of Standard Webhooks', () => {
  const vectors = [
    {
      secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      timestamp: 1_614_265_330,
      body: '{"test": 2432232314}',
      signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    },
    {
      secret: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
      id: 'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk',
      timestamp: 1_649_367_553,
      body: '{"email":"test@example.com","username":"test_user"}',
      signature: 'v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=',
    },
  ]

  it.each(vectors)('verifies $id, and not with another byte in the body', async (vector) => {
    const verifier = verifierOf([vector.secret], vector.timestamp * 1_000)
    const headers = {
      'webhook-id': vector.id,
      'webhook-timestamp': String(vector.timestamp),
      'webhook-signature': vector.signature,
    }
    expect(await verify(headers, vector.body, verifier)).toBe('verified')
    expect(await verify(headers, `${vector.body} `, verifier)).toBe('signature_mismatch')
  })
})

describe('a request signed with a shared secret', () => {
  it('becomes a verified request at once, without a promise', () => {
    const request = requestOf(signed, body)
    expect(verifierOf().verify(request)).toEqual({
      source: 'gemini',
      webhookId: 'msg_1',
      scheme: 'hmac',
      receivedAt: request.receivedAt,
      body: request.body,
      json: JSON.parse(body),
    })
  })

  it('passes with any of several secrets of the source', async () => {
    const secrets = [generateSecret(), generateSecret(), generateSecret()]
    for (const each of secrets)
      expect(await verify(signHmac({ id: 'm', timestamp: now, body, secret: each }), body, verifierOf(secrets))).toBe('verified')
    expect(await verify(signHmac({ id: 'm', timestamp: now, body, secret: generateSecret() }), body, verifierOf(secrets))).toBe(
      'signature_mismatch',
    )
  })

  it('passes when one of the entries of a rotation is signed with a secret we have', async () => {
    expect(await verify(signHmac({ id: 'm', timestamp: now, body, secret: [generateSecret(), secret] }))).toBe('verified')
  })

  it('passes with a secret given without its prefix', async () => {
    expect(await verify(signed, body, verifierOf([secret.slice('whsec_'.length)]))).toBe('verified')
  })

  it('is the whole of it: no prefix, nothing appended, no other character at any place', async () => {
    const digits = signature.slice('v1,'.length)
    const places = Array.from(digits, (_, n) => n)
    const others = [
      ...places.map((n) => digits.slice(0, n)),
      ...places.map((n) => digits.slice(n + 1)),
      ...places.map((n) => digits.slice(0, n) + (digits[n] === 'A' ? 'B' : 'A') + digits.slice(n + 1)),
      ...['A', '=', '\u0000', digits].map((more) => digits + more),
      digits.toLowerCase(),
      digits.toUpperCase(),
    ]
    const passed: string[] = []
    for (const other of others) {
      const outcome = await verify({ ...signed, 'webhook-signature': `v1,${other}` })
      if (outcome !== 'signature_mismatch') passed.push(other)
    }
    expect(passed).toEqual([])
  })

  it('is looked at for eight entries and not for a ninth', async () => {
    expect(await verify(withEntriesBefore(7))).toBe('verified')
    expect(await verify(withEntriesBefore(8))).toBe('signature_mismatch')
  })

  it('counts malformed and unknown entries toward the eight', async () => {
    const entries = ['v1,x', 'v9,abc', '', 'v1a,AAAA', 'junk', 'v1', 'v1,', ',', signature]
    expect(await verify({ ...signed, 'webhook-signature': entries.slice(1).join(' ') })).toBe('verified')
    expect(await verify({ ...signed, 'webhook-signature': entries.join(' ') })).toBe('signature_mismatch')
  })

  it('is verified over its bytes, whatever they are', () => {
    const bytes = Buffer.from([0xff, 0x00, 0xfe, 0x7b])
    const verified = verifierOf().verify(requestOf(signBytes(bytes), bytes))
    expect(verified).toMatchObject({ body: bytes, json: undefined })
  })
})

function withAge(seconds: number): HeaderValues {
  return signHmac({ id: 'm', timestamp: new Date(now.getTime() - seconds * 1_000), body, secret })
}

describe('the freshness of a timestamp', () => {
  it.each([-300, -299, 0, 299, 300])('lets %i s of difference pass', async (offset) => {
    expect(await verify(withAge(offset))).toBe('verified')
  })
  it.each([-301, 301, -86_400, 86_400])('refuses %i s of difference', async (offset) => {
    expect(await verify(withAge(offset))).toBe('stale_timestamp')
  })
})

describe('the headers', () => {
  const cases: [string, HeaderValues, string][] = [
    ['no id', { ...signed, 'webhook-id': [] }, 'missing_header'],
    ['an empty id', { ...signed, 'webhook-id': '' }, 'missing_header'],
    ['no timestamp', { ...signed, 'webhook-timestamp': [] }, 'missing_header'],
    ['no signature', { ...signed, 'webhook-signature': [] }, 'missing_header'],
    ['an empty signature', { ...signed, 'webhook-signature': '' }, 'missing_header'],
    ['two ids', { ...signed, 'webhook-id': ['msg_1', 'msg_1'] }, 'malformed_header'],
    [
      'two timestamps',
      { ...signed, 'webhook-timestamp': Array.from({ length: 2 }, () => signed['webhook-timestamp']) },
      'malformed_header',
    ],
    ['two signatures', { ...signed, 'webhook-signature': [signature, signature] }, 'malformed_header'],
    ['a space in the id', { ...signed, 'webhook-id': 'msg 1' }, 'malformed_header'],
    ['an id beyond ASCII', { ...signed, 'webhook-id': 'msg_é' }, 'malformed_header'],
    ['a control character in the id', { ...signed, 'webhook-id': 'msg\u00071' }, 'malformed_header'],
    ['an id of 257 characters', { ...signed, 'webhook-id': 'm'.repeat(257) }, 'malformed_header'],
    ...[
      '1e9',
      '-1',
      '+1769083200',
      '1769083200.0',
      '1769083200abc',
      ' 1769083200',
      '0x1',
      '١٧٦٩٠٨٣٢٠٠',
      'now',
      '9'.repeat(13),
    ].map((timestamp): [string, HeaderValues, string] => [
      `the timestamp "${timestamp}"`,
      { ...signed, 'webhook-timestamp': timestamp },
      'malformed_header',
    ]),
    ['another id than was signed', { ...signed, 'webhook-id': 'msg_2' }, 'signature_mismatch'],
    [
      'another second than was signed',
      { ...signed, 'webhook-timestamp': String(Number(signed['webhook-timestamp']) + 1) },
      'signature_mismatch',
    ],
    ['a signature of another version', { ...signed, 'webhook-signature': signature.replace('v1,', 'v2,') }, 'signature_mismatch'],
    ['no version', { ...signed, 'webhook-signature': signature.slice(3) }, 'signature_mismatch'],
    ['no padding', { ...signed, 'webhook-signature': signature.replace('=', '') }, 'signature_mismatch'],
    ['something after the signature', { ...signed, 'webhook-signature': `${signature},x` }, 'signature_mismatch'],
    [
      'the HMAC as hex',
      { ...signed, 'webhook-signature': `v1,${Buffer.from(signature.slice(3), 'base64').toString('hex')}` },
      'signature_mismatch',
    ],
    [
      'only v1a on a source without a JWKS',
      { ...signed, 'webhook-signature': `v1a,${Buffer.alloc(64).toString('base64')}` },
      'signature_mismatch',
    ],
    ['a token on a source without a JWKS', { ...signed, 'webhook-signature': 'e30.e30.AAAA' }, 'signature_mismatch'],
  ]
  it.each(cases)('with %s are refused', async (_what, headers, code) => {
    expect(await verify(headers)).toBe(code)
  })

  it('may hold an id of 256 characters, each visible', async () => {
    const id = '!~.:/'.repeat(51) + 'x'
    expect(await verify(signHmac({ id, timestamp: now, body, secret }))).toBe('verified')
  })

  it('are refused with a sloppy spelling of the right signature', async () => {
    // the last character before the padding carries two bits that decoding drops
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
    const last = alphabet[alphabet.indexOf(signature.at(-2) ?? '') + 1]
    const sloppy = `${signature.slice(0, -2)}${last}=`
    expect(Buffer.from(sloppy.slice(3), 'base64')).toEqual(Buffer.from(signature.slice(3), 'base64'))
    expect(await verify({ ...signed, 'webhook-signature': sloppy })).toBe('signature_mismatch')
  })
})

describe('a captured request', () => {
  it('does not pass again with the line between id and body drawn elsewhere', async () => {
    const later = String(Number(signed['webhook-timestamp']) + 60)
    const inside = `{"note":"a.${later}.b"}`
    const original = signHmac({ id: 'm', timestamp: now, body: inside, secret })
    expect(await verify(original, inside)).toBe('verified')
    const longer = { ...original, 'webhook-id': `m.${original['webhook-timestamp']}.{"note":"a`, 'webhook-timestamp': later }
    expect(await verify(longer, 'b"}')).toBe('malformed_header')
  })

  it('does not pass again with a shorter id than it had', async () => {
    const original = signHmac({ id: `m.${signed['webhook-timestamp']}`, timestamp: now, body, secret })
    expect(await verify(original, body)).toBe('verified')
    expect(await verify({ ...original, 'webhook-id': 'm' }, `${signed['webhook-timestamp']}.${body}`)).toBe('malformed_header')
  })
})

describe('a body', () => {
  it.each([['plain text'], [''], ['{"a":'], ['\uFEFF{}']])('that is not JSON (%j) is verified all the same', async (payload) => {
    expect(await jsonOf(payload)).toBeUndefined()
  })
  it.each([
    ['null', null],
    ['[1]', [1]],
    ['"\\u0000"', '\0'],
  ])('may be any JSON: %s', async (payload, json) => {
    expect(await jsonOf(payload)).toEqual(json)
  })
  it('that is JSON but for a byte that is not UTF-8 is not read as JSON', async () => {
    expect(await jsonOf(Buffer.from('{"name":"\xff"}', 'latin1'))).toBeUndefined()
  })
  it('with a member named __proto__ changes no prototype', async () => {
    const json = await jsonOf('{"__proto__":{"type":"batch.succeeded"},"constructor":{"prototype":{"x":1}}}')
    expect(Object.getPrototypeOf(json)).toBe(Object.prototype)
    expect(json).not.toHaveProperty('type')
    expect({}).not.toHaveProperty('x')
  })
  it('of the largest allowed size in one nest of brackets is no trouble', async () => {
    expect(await outcomeOf(() => jsonOf('['.repeat(131_072) + ']'.repeat(131_072)))).toBe('verified')
  })
})

describe('a source without keys', () => {
  it('answers that keys are missing and is not ready', async () => {
    const verifier = verifierOf([])
    expect(await verify(signed, body, verifier)).toBe('keys_unavailable')
    expect(verifier.readiness()).toEqual({ ready: false, reason: 'no signing secret is configured' })
    expect(verifierOf().readiness()).toEqual({ ready: true })
  })
})

describe('a captured request that is split elsewhere', () => {
  const seconds = String(Math.floor(now.getTime() / 1_000))
  const send = (id: string, payload: string, mac: string) =>
    verify({ 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': mac }, payload)
  const macOf = (id: string, payload: string) => signHmac({ id, timestamp: now, body: payload, secret })['webhook-signature']

  it('with a shorter id does not get in under it', async () => {
    const id = `evt.${seconds}.abc`
    expect(await send(id, body, macOf(id, body))).toBe('verified')
    expect(await send('evt', `abc.${seconds}.${body}`, macOf(id, body))).toBe('malformed_header')
  })

  it('with a longer id does not get in under it', async () => {
    const holding = `{"type":"x","note":"a.${seconds}.b"}`
    expect(await send('evt', holding, macOf('evt', holding))).toBe('verified')
    expect(await send(`evt.${seconds}.{"type":"x","note":"a`, 'b"}', macOf('evt', holding))).toBe('malformed_header')
  })

  it.each(['1234567890.5', '"1234567890.x"', '[1234567890.5]'])('is not what JSON such as %s is', async (json) => {
    expect(await send('evt', json, macOf('evt', json))).toBe('verified')
  })
})
