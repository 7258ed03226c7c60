/** Something that was seen on the way, sent again as something else. Each shot waits for the one before it. */
import {
  boundRequest,
  claimsOf,
  draftOf,
  forged,
  shotOf,
  signedRequest,
  signingInputOf,
  taken,
  tokenOf,
  eventOf,
  type Draw,
} from '../signed.ts'
import type { Shot } from '../volley.ts'

export type Sequence = (draw: Draw) => Shot[]

export const replays: readonly Sequence[] = [again, otherId, otherBody, otherToken, respelled, elsewhere, tunnel]

/** A duplicate, whatever it says now. */
function again(draw: Draw): Shot[] {
  const first = signedRequest(draw)
  const later = signedRequest(draw, { source: first.source, scheme: draw.random.pick(['hmac', 'ed25519']), id: first.id })
  return [taken('replay.first', first), taken('replay.same request', first), taken('replay.same id, other body', later)]
}

function otherId(draw: Draw): Shot[] {
  const first = draw.random.chance(0.5) ? boundRequest(draw) : signedRequest(draw, { scheme: 'jwt', source: 'once' })
  return [taken('replay.first', first), forged('replay.token with another id', first, { id: draw.freshId() })]
}

function otherBody(draw: Draw): Shot[] {
  const first = signedRequest(draw, { scheme: 'jwt', source: 'once' })
  const odd = { id: draw.freshId(), body: Buffer.from('{"type":"batch.failed","data":{}}') }
  return [taken('replay.first', first), forged('replay.token with another id and body', first, odd)]
}

/** Under the id of a stored event, so that it changes nothing. */
function otherToken(draw: Draw): Shot[] {
  const first = signedRequest(draw, { scheme: 'jwt', source: 'once' })
  const signature = tokenOf(draw.keys.es256, claimsOf(draw))
  return [taken('replay.first', first), taken('replay.known id, another token', { ...first, signature })]
}

const p256Order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

/** An ECDSA signature has a second one, and base64url stray bits: it is one token still. */
function respelled(draw: Draw): Shot[] {
  const first = signedRequest(draw, { scheme: 'jwt', source: 'once' })
  const input = signingInputOf(first.signature)
  const bytes = Buffer.from(first.signature.slice(input.length + 1), 'base64url')
  const s = p256Order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)
  const other = Buffer.concat([bytes.subarray(0, 32), Buffer.from(s.toString(16).padStart(64, '0'), 'hex')])
  const signature = `${input}.${other.toString('base64url')}`
  return [
    taken('replay.first', first),
    forged('replay.respelled token with another id', first, { id: draw.freshId(), signature }),
    shotOf('replay.respelled token', draftOf({ ...first, signature }), 'either', eventOf(first)),
  ]
}

/** At another source of the same relay. */
function elsewhere(draw: Draw): Shot[] {
  const first = signedRequest(draw, { scheme: 'hmac', source: 'once' })
  return [taken('replay.first', first), forged('replay.at another source', first, { source: 'accept' })]
}

/** Node ends a connection that asks for a tunnel, with whatever is under way on it. */
function tunnel(draw: Draw): Shot[] {
  const first = signedRequest(draw)
  const bytes = Buffer.concat([
    Buffer.from('CONNECT relay:80 HTTP/1.1\r\nhost: relay\r\n\r\n'),
    draw.random.bytes(draw.random.below(500)),
  ])
  return [taken('replay.first', first), { kind: 'framing.connect', bytes, method: 'CONNECT', expected: 'broken' }]
}
