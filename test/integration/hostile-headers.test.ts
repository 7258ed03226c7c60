/** Headers, timestamps and lists of signatures that are not what a trusted sender sends: see docs/hostile-input.md. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { bytesOf } from '../fuzz/draft.ts'
import { draftOf, now, type Signed } from '../fuzz/signed.ts'
import { signV1, signV1a } from '../fuzz/signing.ts'
import { startHostileRelay, type HostileRelay } from '../setup/hostile.ts'

let hostile: HostileRelay
/** Milliseconds since the epoch, for as long as the relay's clock stands still. */
let stoppedAt: number | undefined

beforeAll(async () => {
  const { now: running } = Date
  vi.spyOn(Date, 'now').mockImplementation(() => stoppedAt ?? running())
  hostile = await startHostileRelay()
})
afterAll(() => hostile.stop())
afterEach(() => {
  stoppedAt = undefined
})

const names = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const

/** Header lines as they are, whatever is in them. */
function raw(signed: Signed, change: (lines: string[]) => readonly string[]): Buffer {
  const { target, headers, body } = draftOf(signed)
  const lines = change(headers.map(([name, value]) => `${name}: ${value}`))
  const head = [`POST ${target} HTTP/1.1`, 'host: relay', `content-length: ${body.length}`, ...lines].join('\r\n')
  return Buffer.concat([Buffer.from(`${head}\r\n\r\n`, 'latin1'), body])
}

describe('a doubled header', () => {
  it.each(
    names.flatMap((name) => [
      [name, 'the same again', (value: string) => value, false] as const,
      [name, 'another one after it', () => '1', false] as const,
      [name, 'another one before it', () => '1', true] as const,
      [name, 'an empty one', () => '', false] as const,
    ]),
  )('%s with %s is refused', async (name, _, second, isFirst) => {
    const { headers, ...draft } = draftOf(hostile.signed())
    const value = headers.find(([each]) => each === name)?.[1] ?? ''
    // in another spelling of its name: header names have no case
    const again = [name.toUpperCase(), second(value)] as const
    await hostile.refuses({ ...draft, headers: isFirst ? [again, ...headers] : [...headers, again] }, 'malformed_header')
  })
})

describe('a missing header', () => {
  it.each(names)('%s is named', async (name) => {
    const { headers, ...draft } = draftOf(hostile.signed())
    await hostile.refuses({ ...draft, headers: headers.filter(([each]) => each !== name) }, 'missing_header')
    const emptied = headers.map(([each, value]) => [each, each === name ? ' \t ' : value] as const)
    await hostile.refuses({ ...draft, headers: emptied }, 'missing_header')
  })
})

describe('a huge header', () => {
  it('of 15 KB is refused for what it is', async () => {
    const signed = hostile.signed()
    await hostile.refuses({ ...signed, id: `${signed.id}${'x'.repeat(15_000)}` }, 'malformed_header')
    await hostile.refuses({ ...signed, timestamp: `${signed.timestamp}${'0'.repeat(15_000)}` }, 'malformed_header')
    await hostile.refuses({ ...signed, signature: `${'v1,AAAA '.repeat(1_800)}x` }, 'signature_mismatch')
  })

  it('of 60 KB ends the connection with 431', async () => {
    const signed = hostile.signed()
    const bytes = raw(signed, (lines) => [...lines, `x-filler: ${'x'.repeat(60_000)}`])
    expect(await hostile.send(bytes)).toEqual({ answers: ['431'], closed: true })
    expect(await hostile.stored(signed.id)).toBeUndefined()
  })
})

describe('a control byte', () => {
  const bytes = ['\0', '\x07', '\x0b', '\x0c', '\x1b', '\x7f', '\r', '\n']
  it.each(names.flatMap((name) => bytes.map((byte) => [name, byte] as const)))('in %s is no HTTP: %j', async (name, byte) => {
    const signed = hostile.signed()
    const sent = raw(signed, (lines) => lines.map((line) => (line.startsWith(name) ? `${line}${byte}x` : line)))
    expect(await hostile.send(sent)).toEqual({ answers: ['400 malformed_request'], closed: true })
    expect(await hostile.stored(signed.id)).toBeUndefined()
  })

  it.each(['webhook-id\0', 'webhook id', '(webhook-id)', 'webhook-id ', '', 'wébhook-id'])(
    'in the name %j neither',
    async (name) => {
      const signed = hostile.signed()
      const sent = raw(signed, (lines) => [...lines, `${name}: x`])
      expect(await hostile.send(sent)).toEqual({ answers: ['400 malformed_request'], closed: true })
    },
  )
})

describe('a folded header (obs-fold)', () => {
  it.each(names.flatMap((name) => ['\r\n ', '\r\n\t', 'x\r\n '].map((fold) => [name, fold] as const)))(
    'is no HTTP: %s with %j',
    async (name, fold) => {
      const signed = hostile.signed()
      const sent = raw(signed, (lines) => lines.map((line) => line.replace(`${name}: `, `${name}: ${fold}`)))
      expect(await hostile.send(sent)).toEqual({ answers: ['400 malformed_request'], closed: true })
      expect(await hostile.stored(signed.id)).toBeUndefined()
    },
  )
})

describe('an id', () => {
  it.each(['', 'a b', 'é', 'a\tb', '\u00a0', 'm'.repeat(257)])('%j is malformed or missing, though it is signed', async (id) => {
    await hostile.refuses(hostile.signed({ id }), id === '' ? 'missing_header' : 'malformed_header')
  })

  it('of names that mean something to JavaScript is an id', async () => {
    for (const id of [
      '__proto__',
      'constructor',
      'toString',
      "';drop/**/table/**/gemini_relay.events;--",
      '../../etc/passwd',
      '%00',
    ])
      expect((await hostile.takes(hostile.signed({ id }))).webhook_id).toBe(id)
  })
})

describe('a timestamp', () => {
  /** In the middle of a second, so that the offset is exact. */
  function stopClock(): number {
    const at = Math.floor(Date.now() / 1_000)
    stoppedAt = at * 1_000 + 500
    return at
  }

  it.each([-300, 300])('of exactly %i s difference passes', async (offset) => {
    const at = stopClock()
    await hostile.takes(hostile.signed({ timestamp: String(at + offset) }))
  })

  it.each([-301, 301, -86_400, 86_400])('of %i s difference is stale, though it is signed', async (offset) => {
    const at = stopClock()
    await hostile.refuses(hostile.signed({ timestamp: String(at + offset) }), 'stale_timestamp')
  })

  it('at the beginning and the end of time is stale', async () => {
    for (const timestamp of ['0', '1', '999999999999']) await hostile.refuses(hostile.signed({ timestamp }), 'stale_timestamp')
  })

  it.each<[string, (seconds: string) => string]>([
    ['negative', (seconds) => `-${seconds}`],
    ['with a sign', (seconds) => `+${seconds}`],
    ['a float', (seconds) => `${seconds}.0`],
    ['with an exponent', (seconds) => `${seconds}e0`],
    ['in hex', (seconds) => `0x${Number(seconds).toString(16)}`],
    ['in milliseconds', (seconds) => `${seconds}000`],
    ['with zeros before it', (seconds) => `000${seconds}`],
    ['over 64 bits', () => '18446744073709551616'],
    ['no number', () => 'NaN'],
    ['infinite', () => 'Infinity'],
    ['a date', () => new Date().toISOString()],
    ['with something after it', (seconds) => `${seconds};`],
    ['two', (seconds) => `${seconds}, ${seconds}`],
    ['in other digits', () => '\u00b9\u00b2\u00b3'],
  ])('that is %s is malformed, though it is signed as it is spelled', async (_, spell) => {
    await hostile.refuses(hostile.signed({ timestamp: spell(now(0)) }), 'malformed_header')
  })

  it('with a token for a signature is looked at as well', async () => {
    await hostile.refuses(hostile.signed({ scheme: 'jwt', timestamp: now(-310) }), 'stale_timestamp')
    await hostile.refuses(hostile.signed({ scheme: 'jwt', timestamp: '-1' }), 'malformed_header')
  })
})

describe.each(['hmac', 'ed25519'] as const)('a signature (%s)', (scheme) => {
  const version = scheme === 'hmac' ? 'v1' : 'v1a'
  /** Of a signature that has + and / and padding, so that other spellings of it differ. */
  function spellable(): Signed {
    for (;;) {
      const signed = hostile.signed({ scheme })
      if (/\+.*\/.*=$/.test(signed.signature)) return signed
    }
  }

  it('passes, to begin with', async () => {
    await hostile.takes(hostile.signed({ scheme }))
  })

  it.each<[string, (signature: string) => string]>([
    ['truncated by a character', (signature) => signature.slice(0, -1)],
    ['truncated by half', (signature) => signature.slice(0, signature.length / 2)],
    ['of no bytes', () => `${version},`],
    ['only a version', () => version],
    ['without a version', (signature) => signature.slice(version.length + 1)],
    ['of another version', (signature) => signature.replace(version, 'v2')],
    ['of the version in capitals', (signature) => signature.replace(version, version.toUpperCase())],
    ['of the other scheme', (signature) => signature.replace(`${version},`, scheme === 'hmac' ? 'v1a,' : 'v1,')],
    ['in url-safe base64', (signature) => signature.replaceAll('+', '-').replaceAll('/', '_')],
    ['without padding', (signature) => signature.replaceAll('=', '')],
    ['with more padding', (signature) => `${signature}=`],
    ['in hex', (signature) => `${version},${Buffer.from(signature.slice(version.length + 1), 'base64').toString('hex')}`],
    ['with white space in it', (signature) => `${signature.slice(0, 20)} ${signature.slice(20)}`],
    ['with a space after the comma', (signature) => signature.replace(',', ', ')],
    ['in quotes', (signature) => `"${signature}"`],
    ['with a comma after it', (signature) => `${signature},`],
    [
      'of zeros',
      (signature) =>
        `${version},${Buffer.alloc(Buffer.from(signature.slice(version.length + 1), 'base64').length).toString('base64')}`,
    ],
  ])('that is %s is refused', async (_, spell) => {
    const signed = spellable()
    await hostile.refuses({ ...signed, signature: spell(signed.signature) }, 'signature_mismatch')
  })

  it('that is empty, or white space, is missing', async () => {
    await hostile.refuses({ ...hostile.signed({ scheme }), signature: '' }, 'missing_header')
    await hostile.refuses({ ...hostile.signed({ scheme }), signature: ' \t ' }, 'missing_header')
  })

  it('is for its id, its timestamp and its body', async () => {
    const signed = hostile.signed({ scheme })
    await hostile.refuses({ ...signed, id: `${signed.id}x` }, 'signature_mismatch')
    await hostile.refuses({ ...signed, timestamp: String(Number(signed.timestamp) + 1) }, 'signature_mismatch')
    await hostile.refuses({ ...signed, body: Buffer.concat([signed.body, Buffer.from(' ')]) }, 'signature_mismatch')
    await hostile.refuses({ ...signed, body: Buffer.alloc(0) }, 'signature_mismatch')
  })

  it('is found among eight entries, and not after them', async () => {
    const signed = hostile.signed({ scheme })
    const late = `${`${version},AAAA `.repeat(8)}${signed.signature}`
    await hostile.refuses({ ...signed, signature: late }, 'signature_mismatch')
    await hostile.refuses({ ...signed, signature: `${'x '.repeat(2_000)}${signed.signature}` }, 'signature_mismatch')
    await hostile.takes({ ...signed, signature: late.slice(`${version},AAAA `.length) })
  })

  it('by a key that nobody trusts is refused', async () => {
    const { stranger } = hostile.keys
    const signed = hostile.signed({ scheme })
    const { id, timestamp, body } = signed
    const signature =
      scheme === 'hmac' ? signV1(stranger.secret, id, timestamp, body) : signV1a(stranger.ed25519.privateKey, id, timestamp, body)
    await hostile.refuses({ ...signed, signature }, 'signature_mismatch')
  })
})

it('an HMAC with an empty key, or with a published key for a secret, is refused', async () => {
  for (const secret of [Buffer.alloc(0), Buffer.alloc(32), ...hostile.keys.publicForms]) {
    const signed = hostile.signed()
    const signature = signV1(secret, signed.id, signed.timestamp, signed.body)
    await hostile.refuses({ ...signed, signature }, 'signature_mismatch')
  }
})

it('an HMAC for another source of the same relay is refused', async () => {
  await hostile.refuses({ ...hostile.signed({ source: 'accept' }), source: 'once' }, 'signature_mismatch')
})

it('an Ed25519 signature with the order of the group added to it is refused', async () => {
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const signed = hostile.signed({ scheme: 'ed25519' })
  const bytes = Buffer.from(signed.signature.slice('v1a,'.length), 'base64')
  const s = bytes.subarray(32).reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n) + order
  const other = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').toReversed()
  const signature = `v1a,${Buffer.concat([bytes.subarray(0, 32), other]).toString('base64')}`
  await hostile.refuses({ ...signed, signature }, 'signature_mismatch')
})

it('white space around a header is no part of it', async () => {
  const { headers, ...draft } = draftOf(hostile.signed())
  const spaced = headers.map(([name, value]) => [name, ` \t ${value}\t `] as const)
  expect((await hostile.send(bytesOf({ ...draft, headers: spaced }))).answers).toEqual(['200 received'])
})
