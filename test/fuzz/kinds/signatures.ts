/** The list of signatures: v1 and v1a. */
import { mutateText, trimmed } from '../mutate.ts'
import { draftOf, eventOf, forged, shotOf, signedRequest, type Draw } from '../signed.ts'
import { signV1, signV1a } from '../signing.ts'
import type { Shot } from '../volley.ts'
import type { Kind } from './kind.ts'

const entries = ['hmac', 'ed25519'] as const

export const signatureKinds: readonly Kind[] = [mutated, mutated, mutated, odd, odd, strange, late, crossed, malleable]

/** However it is changed: while the right entry still is among the first eight, it is signed. */
function mutated(draw: Draw): Shot {
  const signed = signedRequest(draw, { scheme: draw.random.pick(entries) })
  const header = mutateText(draw.random, signed.signature)
  const stillThere = trimmed(header).split(' ').slice(0, 8).includes(signed.signature)
  if (!stillThere) return forged('signature.mutated', signed, { signature: header })
  return shotOf('signature.mutated beside', draftOf({ ...signed, signature: header }), 'either', eventOf(signed))
}

function odd(draw: Draw): Shot {
  const { random } = draw
  const signed = signedRequest(draw, { scheme: random.pick(entries) })
  const { signature } = signed
  const [version = '', text = ''] = signature.split(',')
  const bytes = Buffer.from(text, 'base64')
  const signatures = [
    '',
    ' ',
    `${version},`,
    version,
    text,
    `,${text}`,
    `${version} ${text}`,
    `${version}=${text}`,
    `${version},${bytes.toString('base64url')}`,
    `${version},${bytes.toString('hex')}`,
    `${version},${legal(bytes)}`,
    `${version},${text.replaceAll('=', '')}`,
    `${version},${text}=`,
    `${version},${sloppy(text)}`,
    `${version},${bytes.subarray(0, random.below(bytes.length)).toString('base64')}`,
    `${version},${Buffer.concat([bytes, random.bytes(1)]).toString('base64')}`,
    `${version},${Buffer.alloc(bytes.length).toString('base64')}`,
    `${version.toUpperCase()},${text}`,
    `v2,${text}`,
    `v01,${text}`,
    version === 'v1' ? `v1a,${text}` : `v1,${text}`,
    `${version},${text},x`,
    `"${signature}"`,
    `${signature};`,
    signature.replace(',', ', '),
    `${signature}\u00a0x`,
    legal(random.bytes(20)),
  ]
  const left = signatures.filter((header) => !trimmed(header).split(' ').includes(signature))
  return forged('signature.odd', signed, { signature: random.pick(left) })
}

/** What of these bytes may stand in a header. */
function legal(bytes: Buffer): string {
  return bytes.toString('latin1').replaceAll(/[^\t -~\u0080-\u00ff]/g, '')
}

/** The same bytes with other stray bits before the padding. */
function sloppy(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  const at = text.indexOf('=') - 1
  return `${text.slice(0, at)}${alphabet[alphabet.indexOf(text[at] ?? 'A') + 1] ?? '/'}${text.slice(at + 1)}`
}

/** In good order, by a key that nobody trusts, or by another source's, or by what everybody knows. */
function strange(draw: Draw): Shot {
  const { random, keys } = draw
  const signed = signedRequest(draw, { scheme: random.pick(entries) })
  const { id, timestamp, body, source } = signed
  const secret = random.pick([
    keys.stranger.secret,
    Buffer.alloc(0),
    Buffer.alloc(32),
    Buffer.from(keys.secrets[source][0].toString('base64')),
    Buffer.from(`whsec_${keys.secrets[source][0].toString('base64')}`),
    ...keys.publicForms,
  ])
  const signature = random.pick([
    signV1(secret, id, timestamp, body),
    signV1a(keys.stranger.ed25519.privateKey, id, timestamp, body),
    // the right key for something else
    signV1(keys.secrets[source][0], `${id}.`, timestamp, body),
    signV1(keys.secrets[source][0], timestamp, id, body),
    signV1(keys.secrets[source][0], id, `${timestamp}.`, body),
  ])
  return forged('signature.strange key', signed, { signature })
}

/** After eight others nobody looks. */
function late(draw: Draw): Shot {
  const signed = signedRequest(draw, { scheme: draw.random.pick(entries) })
  const filler = draw.random.pick([
    'v1,',
    'x',
    signed.signature.replace(',', ';'),
    `v1,${'A'.repeat(43)}=`,
    `v1a,${'A'.repeat(86)}==`,
  ])
  const count = draw.random.between(8, 40)
  return forged('signature.after eight', signed, { signature: `${`${filler} `.repeat(count)}${signed.signature}` })
}

/** Every source has secrets of its own. */
function crossed(draw: Draw): Shot {
  const { random } = draw
  const signed = signedRequest(draw, { scheme: 'hmac' })
  const source = random.pick((['once', 'accept', 'reject'] as const).filter((each) => each !== signed.source))
  return forged('signature.of another source', signed, { source })
}

const ed25519Order = 2n ** 252n + 27742317777372353535851937790883648493n

/** The group's order added to S, which gives a second signature where nobody checks. */
function malleable(draw: Draw): Shot {
  const signed = signedRequest(draw, { scheme: 'ed25519' })
  const bytes = Buffer.from(signed.signature.slice('v1a,'.length), 'base64')
  const s = littleEndian(bytes.subarray(32)) + ed25519Order
  const other = Buffer.from(s.toString(16).padStart(64, '0'), 'hex').toReversed()
  const signature = `v1a,${Buffer.concat([bytes.subarray(0, 32), other]).toString('base64')}`
  return forged('signature.malleable', signed, { signature })
}

function littleEndian(bytes: Buffer): bigint {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n)
}
