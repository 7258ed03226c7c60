import { createHash, type KeyObject } from 'node:crypto'
import { decodeProtectedHeader, errors, jwtVerify } from 'jose'
import { isMap } from '../json-map.ts'
import { Refusal } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Clock, TokenUse } from '../types.ts'
import { envelopeOf, isSameEvent, type Claims } from './envelope.ts'
import type { Jwks } from './jwks.ts'
import { parseJson } from './json.ts'
import type { DynamicVerification, TokenAlgorithm } from './source.ts'

/** What a token that holds says about its request. */
export interface TokenEvidence {
  /** The request's body, or the claims' envelope where there was none. */
  body: Buffer
  json: unknown
  claimsMetadata?: Record<string, unknown>
  token: TokenUse
}

/** For clocks that disagree, on `exp` and `nbf`. */
const leewaySeconds = 60

/** As much as Node lets all headers of a request be. */
const maxTokenLength = 16_384

/** The last instant that a Date can tell, in milliseconds. */
const lastDateMs = 8.64e15

export interface TokenVerifier {
  /** @throws Refusal `token_invalid`, `token_unbound`, `body_mismatch`, `keys_unavailable` */
  verify(token: string, body: Buffer): Promise<TokenEvidence>
}

export function createTokenVerifier({
  dynamic,
  jwks,
  clock,
  log,
}: {
  dynamic: DynamicVerification
  jwks: Jwks
  clock: Clock
  log: Log
}): TokenVerifier {
  /** Only what the configuration names may pick a key: `jwk`, `jku`, `x5u` and `x5c` of the token itself are never read. */
  async function claimsOf(token: string): Promise<Claims> {
    const { alg, kid } = readHeader(token, dynamic.algorithms)
    const keys = await jwks.keys()
    const candidates = keys.forToken(alg, kid)
    const claims = await tryKeys(token, alg, candidates)
    if (claims !== undefined) return claims
    if (kid !== undefined && candidates.length > 0) throw invalid('the signature of the token does not match')
    const newer = await jwks.newerThan(keys)
    const late = newer && (await tryKeys(token, alg, newer.forToken(alg, kid)))
    if (late === undefined) throw invalid('no trusted key has signed the token')
    return late
  }

  /** The claims, or undefined when none of the keys has signed the token. */
  async function tryKeys(token: string, alg: TokenAlgorithm, keys: readonly KeyObject[]): Promise<Claims | undefined> {
    const options = { algorithms: [alg], clockTolerance: leewaySeconds, currentDate: new Date(clock()) }
    for (const key of keys) {
      try {
        const { payload } = await jwtVerify(
          token,
          key,
          dynamic.audience === 'any' ? options : { ...options, audience: dynamic.audience },
        )
        return payload
      } catch (error) {
        if (error instanceof errors.JWSSignatureVerificationFailed) continue
        if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'aud') {
          // Which audience Gemini names is documented nowhere, so this line may be the only way to learn it.
          log.warn(
            { audience: error.payload.aud ?? null, expected: dynamic.audience },
            'a token of a trusted key is for another audience',
          )
        }
        if (error instanceof errors.JOSEError) throw invalid(explain(error), error)
        throw error
      }
    }
    return undefined
  }

  return {
    async verify(token, body) {
      const claims = await claimsOf(token)
      const envelope = envelopeOf(claims)
      if (envelope === undefined && dynamic.unboundJwt === 'reject') {
        throw new Refusal('token_unbound', 'the token does not say which event it is for')
      }
      const json = parseJson(body)
      if (envelope !== undefined && body.length > 0 && !isSameEvent(envelope, json)) {
        throw new Refusal('body_mismatch', 'the body is not the event that the token is for')
      }
      const metadata = claims['user_metadata']
      return {
        ...(envelope !== undefined && body.length === 0 ? { body: serialize(envelope), json: envelope } : { body, json }),
        ...(isMap(metadata) ? { claimsMetadata: metadata } : {}),
        token: {
          digest: sha256(token.slice(0, token.lastIndexOf('.'))),
          bodyDigest: sha256(body),
          reuse: envelope === undefined && dynamic.unboundJwt === 'accept' ? 'accept' : 'once',
          expiresAt: expiry(claims['exp']),
        },
      }
    },
  }
}

function readHeader(token: string, algorithms: readonly TokenAlgorithm[]): { alg: TokenAlgorithm; kid: string | undefined } {
  if (token.length > maxTokenLength) throw invalid(`the token is longer than ${maxTokenLength} characters`)
  const header = decodeHeader(token)
  const alg = algorithms.find((known) => known === header.alg)
  if (alg === undefined) throw invalid("the token's algorithm is not accepted")
  if (Object.hasOwn(header, 'crit')) throw invalid('the token asks for an extension that is not supported')
  if (header.kid !== undefined && typeof header.kid !== 'string') throw invalid('the token is malformed')
  return { alg, kid: header.kid }
}

function decodeHeader(token: string) {
  try {
    return decodeProtectedHeader(token)
  } catch (error) {
    throw invalid('the token is malformed', error)
  }
}

/** Authenticated by now, so that it may be said which claim it was. */
function explain(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'the token has expired'
  if (error instanceof errors.JWTClaimValidationFailed) return `the token's ${error.claim} is not accepted`
  return 'the token is malformed'
}

function invalid(message: string, cause?: unknown): Refusal {
  return new Refusal('token_invalid', message, cause === undefined ? {} : { cause })
}

function serialize(envelope: Claims): Buffer {
  try {
    return Buffer.from(JSON.stringify(envelope))
  } catch (error) {
    throw invalid("the token's claims nest too deeply", error)
  }
}

function expiry(exp: unknown): Date | null {
  if (typeof exp !== 'number') return null
  const ms = (exp + leewaySeconds) * 1_000
  return ms <= lastDateMs ? new Date(ms) : null
}

function sha256(data: string | Buffer): Buffer {
  return createHash('sha256').update(data).digest()
}
