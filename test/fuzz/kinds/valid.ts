/** Requests that have to be taken, spelled and framed in every way that is allowed. */
import { hostileBody } from '../hostile-json.ts'
import {
  boundRequest,
  claimsOf,
  draftOf,
  eventOf,
  now,
  pathOf,
  shotOf,
  signedRequest,
  taken,
  tokenOf,
  type Draw,
} from '../signed.ts'
import { signV1 } from '../signing.ts'
import type { Kind } from './kind.ts'

export const validKinds: readonly Kind[] = [
  (draw) => taken('valid.hmac', signedRequest(draw, { scheme: 'hmac' })),
  (draw) => taken('valid.ed25519', signedRequest(draw, { scheme: 'ed25519' })),
  (draw) => taken('valid.token', signedRequest(draw, { scheme: 'jwt' })),
  (draw) => taken('valid.token with the event', boundRequest(draw)),
  rs256,
  (draw) => taken('valid.hostile body', signedRequest(draw, { scheme: 'hmac', body: hostileBody(draw.random, draw.freshId()) })),
  (draw) => taken('valid.hostile body', signedRequest(draw, { body: hostileBody(draw.random, draw.freshId()) })),
  several,
  otherBodyUnderToken,
  chunks,
  spelling,
  anyId,
  expect,
  target,
]

/** A millisecond of signing each, so that there are few. */
function rs256(draw: Draw) {
  if (draw.random.chance(0.5)) return taken('valid.rs256', boundRequest(draw, draw.keys.rs256))
  return taken('valid.rs256', { ...signedRequest(draw, { scheme: 'jwt' }), signature: tokenOf(draw.keys.rs256, claimsOf(draw)) })
}

/** Entries of other versions and of other secrets beside the right one. */
function several(draw: Draw) {
  const { random } = draw
  const signed = signedRequest(draw, { scheme: random.pick(['hmac', 'ed25519']) })
  const others = Array.from({ length: random.between(0, 7) }, () =>
    random.pick([
      () => 'v2,AAAA',
      () => '',
      () => 'v1',
      () => `v1a,${random.bytes(64).toString('base64')}`,
      () => `v1,${random.bytes(32).toString('base64')}`,
      () => signV1(draw.keys.stranger.secret, signed.id, signed.timestamp, signed.body),
    ])(),
  )
  // white space around the header is not part of it, and an empty entry there would be
  const entries = others.toSpliced(random.below(others.length + 1), 0, signed.signature)
  const signature = entries.join(' ')
  if (signature.trim() !== signature) return taken('valid.several signatures', signed)
  return taken('valid.several signatures', { ...signed, signature })
}

/** A token without an event in its claims vouches for whatever body it first comes with. */
function otherBodyUnderToken(draw: Draw) {
  const signed = signedRequest(draw, { scheme: 'jwt', body: hostileBody(draw.random, draw.freshId()) })
  return taken('valid.token with a hostile body', signed)
}

function chunks(draw: Draw) {
  const signed = signedRequest(draw)
  const sizes = Array.from({ length: draw.random.below(6) }, () => draw.random.between(1, 50))
  return taken('valid.chunked', signed, { ...draftOf(signed), chunks: sizes })
}

function spelling(draw: Draw) {
  const { random } = draw
  const signed = signedRequest(draw)
  const { headers, ...draft } = draftOf(signed)
  const respelled = headers.map(([name, value]): [string, string] => [
    name.replaceAll(/[a-z]/g, (letter) => (random.chance(0.5) ? letter.toUpperCase() : letter)),
    `${' '.repeat(random.below(3))}${value}${'\t'.repeat(random.below(3))}`,
  ])
  const extra: [string, string] = [`x-${draw.freshId()}`, random.bytes(random.below(200)).toString('base64')]
  return taken('valid.spelling', signed, {
    ...draft,
    headers: random.chance(0.5) ? [...respelled, extra] : [extra, ...respelled.toReversed()],
  })
}

function anyId(draw: Draw) {
  const { random } = draw
  const unique = draw.freshId()
  const visible = Array.from({ length: random.between(0, 256 - unique.length) }, () =>
    String.fromCharCode(random.between(0x21, 0x7e)),
  )
  return taken('valid.any id', signedRequest(draw, { id: `${unique}${visible.join('')}` }))
}

function expect(draw: Draw) {
  const signed = signedRequest(draw)
  const { headers, ...draft } = draftOf(signed)
  const [name, value] = draw.random.pick([
    ['expect', '100-continue'],
    ['content-encoding', 'identity'],
    ['content-type', 'text/plain; charset=utf-7'],
    ['upgrade', 'h2c'],
    ['trailer', 'webhook-id'],
    ['cookie', '__proto__=1'],
    ['x-http-method-override', 'GET'],
    ['forwarded', 'for=unknown'],
  ] as const)
  return taken('valid.other header', signed, { ...draft, headers: [...headers, [name, value]] })
}

/** The same path, spelled so that it has to be looked for. */
function target(draw: Draw) {
  const signed = signedRequest(draw, { timestamp: now(0) })
  const path = pathOf(signed.source)
  const spelled = draw.random.pick([`${path}?`, `${path}?a=b&__proto__=1`, `http://relay${path}`, `HTTP://elsewhere:99${path}?x`])
  return shotOf('valid.target', { ...draftOf(signed), target: spelled }, 'taken', eventOf(signed))
}
