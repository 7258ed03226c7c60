/** JWTs that no trusted key has signed, or not for this. */
import { createHmac, sign } from 'node:crypto'
import type { SigningKey } from '../../../src/emulator/keys.ts'
import { audience } from '../keys.ts'
import { mutateText, trimmed } from '../mutate.ts'
import { claimsOf, draftOf, eventOf, forged, shotOf, signedRequest, signingInputOf, tokenOf, type Draw } from '../signed.ts'
import { rawSignature, signingInput } from '../signing.ts'
import type { Shot } from '../volley.ts'
import type { Kind } from './kind.ts'

export const tokenKinds: readonly Kind[] = [
  mutated,
  mutated,
  mutated,
  mutated,
  (draw) => attack(draw, 'token.alg none', unsecured(draw)),
  (draw) => attack(draw, 'token.public key as secret', confused(draw)),
  (draw) => attack(draw, 'token.public key as secret', confused(draw)),
  (draw) => attack(draw, 'token.kid', strangeKid(draw)),
  (draw) => attack(draw, 'token.brings its key', bringsKey(draw)),
  (draw) => attack(draw, 'token.crit', extension(draw)),
  (draw) => attack(draw, 'token.signature', strangeSignature(draw)),
  (draw) => attack(draw, 'token.signature', strangeSignature(draw)),
  (draw) => attack(draw, 'token.header', strangeHeader(draw)),
  (draw) => attack(draw, 'token.claims', strangeClaims(draw)),
  (draw) => attack(draw, 'token.shape', strangeShape(draw)),
  unbound,
]

function attack(draw: Draw, kind: string, token: string): Shot {
  const source = draw.random.pick(['once', 'accept'] as const)
  return forged(kind, signedRequest(draw, { scheme: 'hmac', source }), { signature: token })
}

/** A signature has spellings that decode to the same bytes. Anything else that changes is signed by nobody. */
function mutated(draw: Draw): Shot {
  const { random, keys } = draw
  const prepared = random.chance(0.5)
  const made = signedRequest(draw, { scheme: 'jwt' })
  const signed = prepared ? { ...made, signature: random.pick(keys.rs256Tokens) } : made
  const token = mutateText(random, signed.signature, random.chance(0.8) ? base64url : undefined)
  const respelled = trimmed(token)
  const [input, signature] = [signingInputOf(respelled), respelled.slice(respelled.lastIndexOf('.') + 1)]
  const original = signed.signature.slice(signed.signature.lastIndexOf('.') + 1)
  const isSame = input === signingInputOf(signed.signature) && decoded(signature) === decoded(original)
  if (!isSame) return forged('token.mutated', signed, { signature: token })
  return shotOf(
    'token.respelled',
    draftOf({ ...signed, signature: token }),
    'either',
    eventOf({ ...signed, signature: respelled }),
  )
}

const base64url = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.'

function decoded(text: string): string {
  return Buffer.from(text, 'base64url').toString('hex')
}

function unsecured(draw: Draw): string {
  const { random, keys } = draw
  const alg = random.pick<unknown>([
    'none',
    'None',
    'NONE',
    'nOnE',
    'none ',
    ' none',
    '',
    null,
    0,
    false,
    [],
    ['none'],
    {},
    'nοne',
  ])
  const input = signingInput(
    { ...(random.chance(0.9) ? { alg } : {}), ...(random.chance(0.5) ? { kid: random.pick([keys.rs256, keys.es256]).kid } : {}) },
    claimsOf(draw),
  )
  const signature = random.pick([
    '',
    random.bytes(64).toString('base64url'),
    rawSignature(keys.stranger.es256, input).toString('base64url'),
  ])
  return `${input}.${signature}`
}

/** HS256 with what everybody can read as the secret. */
function confused(draw: Draw): string {
  const { random, keys } = draw
  const alg = random.pick(['HS256', 'HS384', 'HS512', 'hs256', 'RS256', 'ES256'])
  const hash = { HS256: 'sha256', HS384: 'sha384', HS512: 'sha512' }[alg.toUpperCase()] ?? 'sha256'
  const named = random.pick([{}, ...[keys.rs256, keys.es256, keys.ed25519[0]].map(({ kid }) => ({ kid }))])
  const input = signingInput({ alg, ...named, typ: 'JWT' }, claimsOf(draw))
  return `${input}.${createHmac(hash, random.pick(keys.publicForms)).update(input).digest('base64url')}`
}

function strangeKid(draw: Draw): string {
  const { random, keys } = draw
  const kid: unknown = random.pick([
    '../../../../../../dev/null',
    '/proc/sys/kernel/randomize_va_space',
    "x' union select 'AAAA' --",
    "'; drop table gemini_relay.events; --",
    'x"; $(sleep 1)',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '0',
    'length',
    '',
    '\0',
    '*',
    `${keys.rs256.kid}\0`,
    keys.rs256.kid.toUpperCase(),
    ` ${keys.rs256.kid}`,
    [keys.rs256.kid],
    { toString: keys.rs256.kid },
    null,
    true,
    7,
    'k'.repeat(random.between(1_000, 9_000)),
    keys.trapUri,
    keys.ed25519[0].kid,
  ])
  return tokenOf(random.pick([keys.stranger.rs256, keys.stranger.es256]), claimsOf(draw), { kid })
}

function bringsKey(draw: Draw): string {
  const { random, keys } = draw
  const key = random.pick([keys.stranger.rs256, keys.stranger.es256])
  const extra = random.pick([
    { jwk: key.publicJwk },
    { jku: keys.trapUri },
    { x5u: keys.trapUri },
    { x5c: [key.privateKey.export({ format: 'der', type: 'pkcs8' }).toString('base64')] },
    { jwk: key.publicJwk, jku: keys.trapUri, x5u: keys.trapUri, x5t: 'AAAA' },
    { jwks_uri: keys.trapUri, iss: keys.trapUri },
  ])
  return tokenOf(key, { ...claimsOf(draw), iss: keys.trapUri }, random.chance(0.5) ? extra : { ...extra, kid: undefined })
}

/** Signed by a trusted key, and asking for more than is understood. */
function extension(draw: Draw): string {
  const odd = draw.random.pick<Record<string, unknown>>([
    { crit: ['exp'], exp: 1 },
    { crit: ['b64'], b64: false },
    { crit: ['b64'], b64: true },
    { crit: [] },
    { crit: ['x'], x: 1 },
    { crit: 'b64' },
    { crit: null },
    { crit: ['__proto__'] },
  ])
  return tokenOf(draw.keys.es256, claimsOf(draw), odd)
}

function strangeSignature(draw: Draw): string {
  const { random, keys } = draw
  const key = random.pick([keys.es256, keys.rs256])
  const input = signingInput({ alg: key.alg, kid: key.kid, typ: 'JWT' }, claimsOf(draw))
  const signature = random.pick<() => Buffer>([
    () => Buffer.alloc(64), // r = s = 0
    () => Buffer.alloc(256),
    () => Buffer.alloc(0),
    () => Buffer.alloc(64, 0xff),
    () => Buffer.concat([p256Order, p256Order]),
    () => Buffer.concat([Buffer.alloc(31), Buffer.from([1]), Buffer.alloc(31), Buffer.from([1])]),
    () => sign('sha256', Buffer.from(input), keys.es256.privateKey), // DER
    () => sign('sha512', Buffer.from(input), { key: keys.es256.privateKey, dsaEncoding: 'ieee-p1363' }),
    () => rawSignature(keys.stranger.es256, input),
    () => rawSignature(keys.ed25519[0], input),
    () => random.bytes(random.pick([1, 32, 63, 64, 65, 128, 255, 256, 257, 512])),
    () => Buffer.concat([rawSignature(keys.es256, input), Buffer.from([0])]),
    () => rawSignature(keys.es256, `${input} `),
    () => rawSignature(keys.es256, input.slice(0, input.indexOf('.'))),
  ])()
  // each of them under the key of the other algorithm too
  return `${input}.${signature.toString('base64url')}`
}

const p256Order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')

/** Texts that some read one way and some another. Where only one reading is left, the key is a stranger's. */
function strangeHeader(draw: Draw): string {
  const { random, keys } = draw
  const { kid } = keys.es256
  const key = keys.stranger.es256
  const header = random.pick<unknown>([
    `{"alg":"none","alg":"ES256","kid":"${kid}"}`,
    `{"alg":"ES256","kid":"${kid}","alg":"none"}`,
    `{"alg":"ES256","kid":"x","kid":"${kid}"}`,
    `{"alg":"ES256","kid":"${kid}","jwk":${JSON.stringify(key.publicJwk)},"alg":{"alg":"ES256"}}`,
    `{"__proto__":{"alg":"ES256","kid":"${kid}"}}`,
    `{"alg":"ES256","kid":"${kid}"}{"alg":"none"}`,
    `\uFEFF{"alg":"ES256","kid":"${kid}"}`,
    `[{"alg":"ES256","kid":"${kid}"}]`,
    '['.repeat(random.between(1, 3_000)),
    `{"alg":"ES256","kid":"${kid}","x":${'{"x":'.repeat(500)}1${'}'.repeat(500)}}`,
    { alg: 'ES384', kid },
    { alg: 'EdDSA', kid: keys.ed25519[0].kid },
    { alg: 'PS256', kid: keys.rs256.kid },
    { alg: 'RS512', kid: keys.rs256.kid },
    { alg: 'RS256', kid },
    { alg: 'ES256', kid: keys.rs256.kid },
    { alg: 'dir', enc: 'A256GCM', kid },
    { alg: 'RSA-OAEP', enc: 'A256GCM' },
    'null',
    '"ES256"',
    '',
  ])
  const input = signingInput(header, claimsOf(draw))
  return `${input}.${rawSignature(key, input).toString('base64url')}`
}

/** By a trusted key, for somebody else or for another time. */
function strangeClaims(draw: Draw): string {
  const { random, keys } = draw
  const usual = claimsOf(draw)
  const seconds = Math.floor(Date.now() / 1_000)
  const claims = random.pick<unknown>([
    { ...usual, aud: undefined },
    { ...usual, aud: 'another' },
    { ...usual, aud: ['another', 'and another'] },
    { ...usual, aud: [] },
    { ...usual, aud: '' },
    { ...usual, aud: null },
    { ...usual, aud: `${audience} ` },
    { ...usual, aud: audience.toUpperCase() },
    { ...usual, aud: { 0: audience, length: 1 } },
    { ...usual, aud: [[audience]] },
    { ...usual, exp: seconds - 100 },
    { ...usual, exp: 0 },
    { ...usual, exp: -1 },
    { ...usual, exp: String(seconds + 600) },
    { ...usual, exp: null },
    { ...usual, exp: [seconds + 600] },
    { ...usual, nbf: seconds + 100 },
    { ...usual, nbf: 'now' },
    { ...usual, nbf: null },
    `{"aud":"${audience}","aud":"another"}`,
    `{"__proto__":{"aud":"${audience}"}}`,
    `["${audience}"]`,
    'null',
    '7',
    '{',
    '',
  ])
  return tokenOf(keys.es256, claims)
}

function strangeShape(draw: Draw): string {
  const { random, keys } = draw
  const token = tokenOf(keys.es256, claimsOf(draw))
  const [header = '', claims = '', signature = ''] = token.split('.')
  return random.pick([
    `${header}.${claims}`,
    `${header}.${claims}.`,
    `.${claims}.${signature}`,
    `${header}..${signature}`,
    `..${signature}`,
    '..',
    `${token}.`,
    `${token}.${signature}`,
    `${header}.${claims}.${header}.${claims}.${signature}`,
    `Bearer ${token}`,
    `v1,${token}`,
    `v1a,${token}`,
    `${token},${token}`,
    `"${token}"`,
    `${token}=`,
    `${header}=.${claims}=.${signature}=`,
    `${claims}.${header}.${signature}`,
    `${'A'.repeat(random.between(9_000, 14_000))}.e30.AAAA`,
    `${header}.${'A'.repeat(random.between(9_000, 14_000))}.${signature}`,
    JSON.stringify({ protected: header, payload: claims, signature }),
  ])
}

/** A source that says `reject` takes no token that does not say which event it is for. */
function unbound(draw: Draw): Shot {
  const key: SigningKey = draw.keys.es256
  const partial = draw.random.pick([{}, { type: 'batch.succeeded' }, { data: {} }, { type: 7, data: {} }])
  const signed = signedRequest(draw, { scheme: 'jwt', source: 'reject' })
  return forged('token.unbound', signed, { signature: tokenOf(key, { ...claimsOf(draw), ...partial }) })
}
