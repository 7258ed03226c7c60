/** What was captured on the way, sent again as something else: see docs/hostile-input.md. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { draftOf, tokenOf, type Signed } from '../fuzz/signed.ts'
import { audience } from '../fuzz/keys.ts'
import { startHostileRelay, type HostileRelay } from '../setup/hostile.ts'

let hostile: HostileRelay
beforeAll(async () => {
  hostile = await startHostileRelay()
})
afterAll(() => hostile.stop())

const otherBody = Buffer.from('{"type":"batch.failed","data":{"id":"another"}}')

async function duplicates(signed: Signed): Promise<void> {
  expect((await hostile.send(draftOf(signed))).answers).toEqual(['200 duplicate'])
}

describe('a captured token without an event in its claims', () => {
  it('works for the id it first came with, and for no other, with this body or another', async () => {
    const captured = hostile.signed({ scheme: 'jwt' })
    await hostile.takes(captured)
    await hostile.refuses({ ...captured, id: `${captured.id}-2` }, 'token_reused')
    await hostile.refuses({ ...captured, id: `${captured.id}-3`, body: otherBody }, 'token_reused')
    await hostile.refuses({ ...captured, id: `${captured.id}-4`, body: Buffer.alloc(0) }, 'token_reused')
  })

  it('with another body under the same id changes nothing of what is stored', async () => {
    const captured = hostile.signed({ scheme: 'jwt' })
    const { body } = await hostile.takes(captured)
    await duplicates({ ...captured, body: otherBody })
    expect((await hostile.stored(captured.id))?.body).toEqual(body)
  })

  it('is the same token with the second signature that ECDSA has, and with stray bits in its base64', async () => {
    const captured = hostile.signed({ scheme: 'jwt' })
    await hostile.takes(captured)
    const input = captured.signature.slice(0, captured.signature.lastIndexOf('.'))
    const bytes = Buffer.from(captured.signature.slice(input.length + 1), 'base64url')
    const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
    const s = order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
    const second = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
    const signature = `${input}.${second.toString('base64url')}`
    await duplicates({ ...captured, signature })
    await hostile.refuses({ ...captured, id: `${captured.id}-2`, signature }, 'token_reused')
    // the last character of 86 carries four bits that nobody reads
    const stray = `${captured.signature.slice(0, -1)}${nextLetter(captured.signature)}`
    await hostile.refuses({ ...captured, id: `${captured.id}-3`, signature: stray }, 'token_reused')
  })

  it('that comes twice at once, under two ids, brings in one of them', async () => {
    const captured = hostile.signed({ scheme: 'jwt' })
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, n) => hostile.send(draftOf({ ...captured, id: `${captured.id}-${n}` }))),
    )
    expect(answers.flatMap((answer) => answer.answers).toSorted()).toEqual([
      '200 received',
      ...Array.from({ length: 7 }, () => '400 token_reused'),
    ])
  })

  it('is refused altogether where the source says reject', async () => {
    await hostile.refuses({ ...hostile.signed({ scheme: 'jwt' }), source: 'reject' }, 'token_unbound')
  })
})

function nextLetter(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  return alphabet[alphabet.indexOf(text.at(-1) ?? 'A') + 1] ?? 'A'
}

describe('a captured token with the event in its claims', () => {
  function bound(): Signed {
    const signed = hostile.signed({ scheme: 'jwt' })
    const event = { type: 'batch.succeeded', version: 'v1', timestamp: '2026-01-22T12:00:00Z', data: { id: signed.id } }
    const signature = tokenOf(hostile.keys.es256, { aud: audience, jti: signed.id, ...event })
    return { ...signed, signature, body: Buffer.from(JSON.stringify(event)) }
  }

  it('does not pass with another body', async () => {
    const captured = bound()
    await hostile.refuses({ ...captured, body: otherBody }, 'body_mismatch')
    await hostile.refuses({ ...captured, body: Buffer.from(' ') }, 'body_mismatch')
    const twice = `${captured.body.toString().slice(0, -1)},"data":{"id":"another"}}`
    await hostile.refuses({ ...captured, body: Buffer.from(twice) }, 'body_mismatch')
  })

  it.each(['once', 'accept', 'reject'] as const)('works once, whatever the source says: %s', async (source) => {
    const captured = { ...bound(), source }
    await hostile.takes(captured)
    await hostile.refuses({ ...captured, id: `${captured.id}-2` }, 'token_reused')
    await hostile.refuses({ ...captured, id: `${captured.id}-3`, body: Buffer.alloc(0) }, 'token_reused')
  })
})

describe('a known id', () => {
  it.each(['hmac', 'ed25519', 'jwt'] as const)(
    'with another body, signed as it should be (%s), is a duplicate',
    async (scheme) => {
      const first = hostile.signed()
      const { body } = await hostile.takes(first)
      await duplicates(first)
      await duplicates(hostile.signed({ scheme, id: first.id, body: otherBody }))
      expect((await hostile.stored(first.id))?.body).toEqual(body)
    },
  )

  it('with another body that nobody signed is no duplicate but a forgery', async () => {
    const first = hostile.signed()
    await hostile.takes(first)
    await hostile.refuses({ ...first, body: otherBody }, 'signature_mismatch')
  })

  it('of one source is none of another', async () => {
    const first = hostile.signed()
    await hostile.takes(first)
    await hostile.refuses({ ...first, source: 'accept' }, 'signature_mismatch')
  })
})

describe.each(['hmac', 'ed25519'] as const)('a captured signature (%s)', (scheme) => {
  it('does not pass with the line between id, timestamp and body drawn elsewhere', async () => {
    const inner = String(Math.floor(Date.now() / 1_000))
    const captured = hostile.signed({ scheme, body: Buffer.from(`{"type":"batch.failed","data":{"note":"a.${inner}.b"}}`) })
    const [before, after = ''] = captured.body.toString().split(`.${inner}.`)
    const longer = { id: `${captured.id}.${captured.timestamp}.${before}`, timestamp: inner, body: Buffer.from(after) }
    await hostile.refuses({ ...captured, ...longer }, 'malformed_header')
    await hostile.takes(captured)
  })

  it('does not pass with a shorter id', async () => {
    const inner = String(Math.floor(Date.now() / 1_000))
    const captured = hostile.signed({ scheme, id: `m.${inner}.x-${scheme}` })
    await hostile.takes(captured)
    const body = Buffer.concat([Buffer.from(`x-${scheme}.${captured.timestamp}.`), captured.body])
    await hostile.refuses({ ...captured, id: 'm', timestamp: inner, body }, 'malformed_header')
  })
})
