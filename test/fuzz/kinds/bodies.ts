/** Bodies that are not what was signed, or not what is read. */
import { gzipSync } from 'node:zlib'
import { mutateBytes } from '../mutate.ts'
import { boundRequest, draftOf, forged, shotOf, signedRequest, type Draw } from '../signed.ts'
import type { Kind } from './kind.ts'

/** Of the relay under test, in bytes: small, so that going over it is cheap. */
export const bodyLimit = 16_384

const binding = ['hmac', 'ed25519'] as const

export const bodyKinds: readonly Kind[] = [
  mutated,
  mutated,
  mutated,
  respelled,
  otherThanClaims,
  encoded,
  overLimit,
  splitElsewhere,
]

function mutated(draw: Draw) {
  const signed = signedRequest(draw, { scheme: draw.random.pick(binding) })
  return forged('body.mutated', signed, { body: mutateBytes(draw.random, signed.body) })
}

/** The same JSON in other bytes. */
function respelled(draw: Draw) {
  const signed = signedRequest(draw, { scheme: draw.random.pick(binding) })
  const text = signed.body.toString()
  const body = draw.random.pick([
    ` ${text}`,
    `${text}\n`,
    `\uFEFF${text}`,
    text.replace('"type"', '"\\u0074ype"'),
    JSON.stringify(JSON.parse(text), null, 1),
    text.replace('{', '{"__proto__":null,'),
    Buffer.from(text, 'utf16le'),
    '',
  ])
  return forged('body.respelled', signed, { body: Buffer.from(body) })
}

function otherThanClaims(draw: Draw) {
  const signed = boundRequest(draw)
  const { envelope } = signed
  const body = draw.random.pick([
    JSON.stringify({ ...envelope, type: 'batch.failed' }),
    JSON.stringify({ ...envelope, data: { id: 'another' } }),
    JSON.stringify({ ...envelope, data: [envelope['data']] }),
    JSON.stringify({ ...envelope, timestamp: '2026-01-22T12:00:01Z' }),
    `${JSON.stringify(envelope).slice(0, -1)},"data":{"id":"another"}}`,
    `{"__proto__":${JSON.stringify(envelope)}}`,
    JSON.stringify([envelope]),
    ' ',
    'null',
  ])
  return forged('body.not the claims', signed, { body: Buffer.from(body) })
}

function encoded(draw: Draw) {
  const { random } = draw
  const coding = random.pick([
    'gzip',
    'deflate',
    'br',
    'compress',
    'x-gzip',
    'identity, gzip',
    'gzip, identity',
    'GZIP',
    'zstd',
    '',
  ])
  const signed = signedRequest(draw)
  const sent = random.chance(0.5) ? signed : { ...signed, body: gzipSync(signed.body) }
  const draft = draftOf(sent)
  return shotOf('body.encoded', { ...draft, headers: [...draft.headers, ['content-encoding', coding]] }, 'refused')
}

function overLimit(draw: Draw) {
  const signed = signedRequest(draw, { scheme: 'hmac', body: Buffer.alloc(bodyLimit + draw.random.between(1, 9_000), ' ') })
  const sizes = Array.from({ length: 40 }, () => draw.random.between(1, 2_000))
  const draft = { ...draftOf(signed), ...(draw.random.chance(0.5) ? { chunks: sizes } : {}) }
  return { ...shotOf('body.over the limit', draft, 'refused'), closing: true as const }
}

/** One signature fits every split of `id.timestamp.body` at a full stop. */
function splitElsewhere(draw: Draw) {
  const inner = String(Math.floor(Date.now() / 1_000))
  const body = Buffer.from(`{"type":"batch.failed","data":{"note":"a.${inner}.b"}}`)
  const signed = signedRequest(draw, { scheme: draw.random.pick(binding), body })
  const [before = '', after = ''] = body.toString().split(`.${inner}.`)
  const longer = { id: `${signed.id}.${signed.timestamp}.${before}`, timestamp: inner, body: Buffer.from(after) }
  return forged('body.split elsewhere', signed, longer)
}
