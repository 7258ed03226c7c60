/**
 * Our verifier of v1 against npm `standardwebhooks`, which is the reference implementation: thousands of generated requests, on
 * which the two may differ only in the ways listed here, each of which must be seen.
 */
import { createHmac } from 'node:crypto'
import { isUtf8 } from 'node:buffer'
import * as fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Refusal } from '../../src/errors.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { requestOf, silent } from '../fixtures/verify.ts'

/** Fixed, so that a run is the same everywhere; each difference below then has to show up in it. */
const seed = 20_260_122
const runs = 8_000
const nowSeconds = 1_769_083_200

interface Case {
  secrets: string[]
  id: string
  timestamp: string
  body: Buffer
  signature: string
}

/** The reference reads its clock from Date. */
beforeAll(() => void vi.useFakeTimers({ toFake: ['Date'], now: nowSeconds * 1_000 }))
afterAll(() => void vi.useRealTimers())

function ours({ secrets, id, timestamp, body, signature }: Case): boolean {
  const verifier = createVerifier({ source: { name: 'gemini', secrets }, log: silent })
  try {
    void verifier.verify(requestOf({ 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }, body))
    return true
  } catch (error) {
    if (error instanceof Refusal) return false
    throw error
  }
}

function reference({ secrets, id, timestamp, body, signature }: Case): boolean {
  const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
  return secrets.some((secret) => {
    try {
      new Webhook(secret).verify(body, headers, { jsonParse: false })
      return true
    } catch {
      return false
    }
  })
}

/** An entry's base64 for exactly these header texts and bytes. */
function hmac(secret: string, id: string, timestamp: string, body: Buffer): string {
  return createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64'))
    .update(`${id}.${timestamp}.`)
    .update(body)
    .digest('base64')
}

interface Difference {
  name: string
  /** Which of the two says yes. */
  accepts: 'ours' | 'reference'
  explains: (request: Case) => boolean
}

const differences: Difference[] = [
  {
    name: 'the reference reads the timestamp with parseInt, so that digits with something around them pass',
    accepts: 'reference',
    explains: ({ timestamp }) => !/^\d+$/.test(timestamp),
  },
  {
    name: 'the reference signs the number it read, so that leading zeros go unseen',
    accepts: 'reference',
    explains: ({ timestamp }) => /^0+[1-9]/.test(timestamp),
  },
  {
    name: 'we sign the digits as they came, leading zeros included',
    accepts: 'ours',
    explains: ({ timestamp }) => /^0+[1-9]/.test(timestamp),
  },
  {
    name: 'the reference looks at any number of entries, we at eight',
    accepts: 'reference',
    explains: ({ signature }) => signature.split(' ').length > 8,
  },
  {
    name: 'the reference ignores what follows a second comma of an entry',
    accepts: 'reference',
    explains: ({ signature }) => signature.split(' ').some((entry) => entry.split(',').length > 2),
  },
  {
    name: 'the reference takes any id, we 1 to 256 visible ASCII characters',
    accepts: 'reference',
    explains: ({ id }) => id.length > 256 || /[^!-~]/.test(id),
  },
  {
    name: 'the reference verifies a body that is not UTF-8 after replacing what it cannot read',
    accepts: 'reference',
    explains: ({ body }) => !isUtf8(body),
  },
  {
    name: 'we verify a body that is not UTF-8 as the bytes that came',
    accepts: 'ours',
    explains: ({ body }) => !isUtf8(body),
  },
  {
    name: 'we refuse an id and a body that could be one signed request cut in two ways',
    accepts: 'reference',
    explains: ({ id, body }) =>
      id
        .split('.')
        .slice(1)
        .some((part) => /^\d{10,12}$/.test(part)) || /^\d{10,12}\./.test(body.toString('latin1')),
  },
]

const secret = fc.uint8Array({ minLength: 24, maxLength: 64 }).map((bytes) => `whsec_${Buffer.from(bytes).toString('base64')}`)

const id = fc.oneof(
  { weight: 12, arbitrary: fc.stringMatching(/^msg_[A-Za-z0-9]{1,27}$/) },
  { weight: 2, arbitrary: fc.stringMatching(/^[!-~]{1,256}$/) },
  { weight: 2, arbitrary: fc.constantFrom('', 'with space', 'é', 'm'.repeat(256), 'm'.repeat(257), 'a,b', 'v1,x') },
  { weight: 1, arbitrary: fc.constantFrom('m.1769083200', 'm.1.2', `m.${nowSeconds - 60}.{"a":"b`) },
)

const timestamp = fc
  .tuple(
    fc.oneof(
      { weight: 8, arbitrary: fc.integer({ min: -300, max: 300 }) },
      { weight: 1, arbitrary: fc.constantFrom(-302, -301, -300, 300, 301, 302, 90_000) },
    ),
    fc.oneof(
      { weight: 12, arbitrary: fc.constant('#') },
      { weight: 4, arbitrary: fc.constantFrom('#abc', ' #', '+#', '#.5', '00#', '#e1', '-#', 'x#', '') },
    ),
  )
  .map(([offset, spelling]) => spelling.replace('#', String(nowSeconds + offset)))

const body = fc.oneof(
  { weight: 6, arbitrary: fc.json().map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)) },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.constantFrom('', '1769083200.{}', '17.5', '1769083200').map((text) => Buffer.from(text)) },
)

/** How one entry of the header is made from a right signature. */
const entryKinds = {
  right: (right: string) => `v1,${right}`,
  unpadded: (right: string) => `v1,${right.replace('=', '')}`,
  url: (right: string) => `v1,${right.replaceAll('+', '-').replaceAll('/', '_')}`,
  longer: (right: string) => `v1,${right}AAAA`,
  comma: (right: string) => `v1,${right},`,
  otherVersion: (right: string) => `v2,${right}`,
  upperCase: (right: string) => `V1,${right}`,
  asymmetric: (right: string) => `v1a,${right}`,
  bare: (right: string) => right,
  flipped: (right: string) => `v1,${right.startsWith('A') ? 'B' : 'A'}${right.slice(1)}`,
  versionOnly: () => 'v1',
  noSignature: () => 'v1,',
  nothing: () => '',
}
const entryNames = [
  'right',
  'unpadded',
  'url',
  'longer',
  'comma',
  'otherVersion',
  'upperCase',
  'asymmetric',
  'bare',
  'flipped',
  'versionOnly',
  'noSignature',
  'nothing',
] as const

const entry = fc.record({
  kind: fc.oneof(
    { weight: 3, arbitrary: fc.constant('right' as const) },
    { weight: 5, arbitrary: fc.constantFrom(...entryNames) },
  ),
  /** The secret it is signed with, by index; beyond the source's secrets it is a stranger's. */
  signer: fc.integer({ min: 0, max: 3 }),
  signs: fc.oneof(
    { weight: 6, arbitrary: fc.constant('as sent' as const) },
    { weight: 3, arbitrary: fc.constant('as the reference reads it' as const) },
    { weight: 1, arbitrary: fc.constantFrom('another body' as const, 'another id' as const, 'another time' as const) },
  ),
})

const request = fc
  .record({
    secrets: fc.array(secret, { minLength: 1, maxLength: 3 }),
    stranger: secret,
    id,
    timestamp,
    body,
    entries: fc.oneof(
      { weight: 5, arbitrary: fc.array(entry, { minLength: 1, maxLength: 3 }) },
      { weight: 1, arbitrary: fc.array(entry, { minLength: 7, maxLength: 12 }) },
    ),
  })
  .map(({ secrets, stranger, entries, ...rest }): Case => {
    const parts = entries.map(({ kind, signer, signs }) => entryKinds[kind](sign(secrets[signer] ?? stranger, rest, signs)))
    return { id: rest.id, timestamp: rest.timestamp, body: rest.body, secrets, signature: parts.join(' ') }
  })

function sign(key: string, sent: Pick<Case, 'id' | 'timestamp' | 'body'>, signs: string): string {
  switch (signs) {
    case 'as the reference reads it':
      return hmac(key, sent.id, String(Number.parseInt(sent.timestamp, 10)), Buffer.from(sent.body.toString('utf8')))
    case 'another body':
      return hmac(key, sent.id, sent.timestamp, Buffer.concat([sent.body, Buffer.from(' ')]))
    case 'another id':
      return hmac(key, `${sent.id}x`, sent.timestamp, sent.body)
    case 'another time':
      return hmac(key, sent.id, `${sent.timestamp}0`, sent.body)
    default:
      return hmac(key, sent.id, sent.timestamp, sent.body)
  }
}

describe('our verifier and the reference implementation', () => {
  it(`agree on ${runs} generated requests, but for the listed differences, each of which is seen`, () => {
    const seen = new Map(differences.map(({ name }) => [name, 0]))
    const agreed = { accepted: 0, refused: 0 }
    fc.assert(
      fc.property(request, (generated) => {
        const [we, they] = [ours(generated), reference(generated)]
        if (we === they) {
          agreed[we ? 'accepted' : 'refused'] += 1
          return
        }
        const reasons = differences.filter(
          ({ accepts, explains }) => accepts === (we ? 'ours' : 'reference') && explains(generated),
        )
        expect(reasons, `only ${we ? 'ours' : 'the reference'} accepts`).not.toHaveLength(0)
        // a request that several differences explain proves none of them
        const [only, another] = reasons
        if (only !== undefined && another === undefined) seen.set(only.name, (seen.get(only.name) ?? 0) + 1)
      }),
      { seed, numRuns: runs },
    )
    expect([...seen].filter(([, count]) => count === 0)).toEqual([])
    expect(agreed.accepted).toBeGreaterThan(runs / 10)
    expect(agreed.refused).toBeGreaterThan(runs / 10)
  })

  it('differ in what a secret may be: the reference takes any base64, we 24 to 64 bytes of it', () => {
    const short = `whsec_${Buffer.alloc(8, 1).toString('base64')}`
    const signature = `v1,${hmac(short, 'm', String(nowSeconds), Buffer.from('{}'))}`
    const generated = { secrets: [short], id: 'm', timestamp: String(nowSeconds), body: Buffer.from('{}'), signature }
    expect(reference(generated)).toBe(true)
    expect(() => ours(generated)).toThrow('signing secret 1 holds 8 bytes')
    expect(() => new Webhook('whsec_')).toThrow("Secret can't be empty")
  })

  it('differ in when JSON is read: the reference throws on a verified body that is none, we keep it', () => {
    const key = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
    const headers = {
      'webhook-id': 'm',
      'webhook-timestamp': String(nowSeconds),
      'webhook-signature': `v1,${hmac(key, 'm', String(nowSeconds), Buffer.from('hello'))}`,
    }
    expect(() => new Webhook(key).verify('hello', headers)).toThrow(SyntaxError)
    const verifier = createVerifier({ source: { name: 'gemini', secrets: [key] }, log: silent })
    expect(verifier.verify(requestOf(headers, 'hello'))).toMatchObject({ json: undefined, body: Buffer.from('hello') })
  })
})
