/** Requests as a trusted sender makes them: what all the others are made from. */
import type { SigningKey } from '../../src/emulator/keys.ts'
import { bytesOf, type Draft } from './draft.ts'
import { audience, sources, type Keys, type Source } from './keys.ts'
import type { Random } from './random.ts'
import { signToken, signV1, signV1a } from './signing.ts'
import type { Scheme, Shot, SignedEvent } from './volley.ts'

/** What a kind of request is made from. */
export interface Draw {
  random: Random
  keys: Keys
  /** No other request of this run has it. */
  freshId: () => string
}

export interface Signed {
  source: Source
  scheme: Scheme
  id: string
  /** Seconds, as the header has them. */
  timestamp: string
  /** The header: a token, or one entry. */
  signature: string
  body: Buffer
  /** The event, where it is in the claims. */
  envelope?: Record<string, unknown>
}

/** How the mutated ones are spread: an HMAC costs the sender a tenth of the others, and rests on the most code of ours. */
const usualSchemes: readonly Scheme[] = ['hmac', 'hmac', 'hmac', 'ed25519', 'jwt']

export interface Wanted {
  source?: Source
  scheme?: Scheme
  id?: string
  timestamp?: string
  body?: Buffer
}

export function signedRequest(draw: Draw, wanted: Wanted = {}): Signed {
  const { random, keys } = draw
  const scheme = wanted.scheme ?? random.pick(usualSchemes)
  const {
    // `reject` takes no token without an event in its claims
    source = random.pick(scheme === 'jwt' ? ['once', 'accept'] : sources),
    id = draw.freshId(),
    timestamp = now(random.between(-240, 240)),
    body = usualBody(draw),
  } = wanted
  return { source, scheme, id, timestamp, body, signature: signatureOf(draw, { scheme, source, id, timestamp, body }) }

  function signatureOf({ random: drawn }: Draw, to: Pick<Signed, 'scheme' | 'source' | 'id' | 'timestamp' | 'body'>): string {
    if (to.scheme === 'hmac') return signV1(drawn.pick(keys.secrets[to.source]), to.id, to.timestamp, to.body)
    if (to.scheme === 'ed25519') return signV1a(drawn.pick(keys.ed25519).privateKey, to.id, to.timestamp, to.body)
    return tokenOf(keys.es256, claimsOf(draw))
  }
}

/** A token whose claims are the event, and the body that says the same, or none. */
export function boundRequest(draw: Draw, key: SigningKey = draw.keys.es256): Signed & { envelope: Record<string, unknown> } {
  const id = draw.freshId()
  // in the order in which the relay writes them down where there is no body
  const envelope = { type: 'batch.succeeded', version: 'v1', timestamp: '2026-01-22T12:00:00Z', data: { id: `job-${id}` } }
  const body = draw.random.chance(0.5) ? Buffer.alloc(0) : Buffer.from(JSON.stringify(envelope))
  const signature = tokenOf(key, { ...claimsOf(draw), ...envelope })
  return { source: draw.random.pick(sources), scheme: 'jwt', id, timestamp: now(0), signature, body, envelope }
}

export function claimsOf({ freshId }: Draw): Record<string, unknown> {
  const seconds = Math.floor(Date.now() / 1_000)
  return { aud: audience, iat: seconds, exp: seconds + 600, jti: freshId() }
}

export function tokenOf(key: SigningKey, claims: unknown, odd: Record<string, unknown> = {}): string {
  return signToken(key, { alg: key.alg, kid: key.kid, typ: 'JWT', ...odd }, claims)
}

/** Without its signature. */
export function signingInputOf(token: string): string {
  return token.slice(0, token.lastIndexOf('.'))
}

function usualBody({ random, freshId }: Draw): Buffer {
  const padding = 'x'.repeat(random.below(random.chance(0.05) ? 8_000 : 200))
  return Buffer.from(
    `{"type":"${random.pick(types)}","version":"v1","timestamp":"2026-01-22T12:00:00Z","data":{"id":"job-${freshId()}","padding":"${padding}"}}`,
  )
}

const types = ['batch.succeeded', 'batch.failed', 'interaction.completed', 'video.generated', 'something.new']

/** Seconds since the epoch, as the header has them. */
export function now(offsetSeconds: number): string {
  return String(Math.floor(Date.now() / 1_000) + offsetSeconds)
}

export function pathOf(source: Source): string {
  return `/webhooks/${source}`
}

export function draftOf({ source, id, timestamp, signature, body }: Signed): Draft {
  return {
    method: 'POST',
    target: pathOf(source),
    headers: [
      ['content-type', 'application/json'],
      ['webhook-id', id],
      ['webhook-timestamp', timestamp],
      ['webhook-signature', signature],
    ],
    body,
  }
}

export function eventOf({ source, id, scheme, signature, body, envelope }: Signed): SignedEvent {
  const stored = envelope !== undefined && body.length === 0 ? Buffer.from(JSON.stringify(envelope)) : body
  const once = scheme === 'jwt' && (source !== 'accept' || envelope !== undefined)
  return { source, id, scheme, body: stored, ...(once ? { token: signingInputOf(signature) } : {}) }
}

export function shotOf(kind: string, draft: Draft, expected: 'refused'): Shot
export function shotOf(kind: string, draft: Draft, expected: 'taken' | 'either', event: SignedEvent): Shot
export function shotOf(kind: string, draft: Draft, expected: Shot['expected'], event?: SignedEvent): Shot {
  return { kind, bytes: bytesOf(draft), method: draft.method, expected, ...(event === undefined ? {} : { event }) }
}

/** A request that nobody has signed: a signed one, but for what is odd. */
export function forged(kind: string, signed: Signed, odd: Partial<Signed>): Shot {
  return shotOf(kind, draftOf({ ...signed, ...odd }), 'refused')
}

export function taken(kind: string, signed: Signed, draft: Draft = draftOf(signed)): Shot {
  return shotOf(kind, draft, 'taken', eventOf(signed))
}
