import type { KeyObject } from 'node:crypto'
import { importJwk, type KeyAlgorithm } from './jwk.ts'

/** The usable keys of one JWKS, imported once. */
export interface KeySet {
  /** At most {@link maxCandidates}: a v1a signature names none, so each costs a verification. */
  readonly ed25519: readonly KeyObject[]
  /** The keys that a token may be signed with: those of its `kid`, or all of its algorithm; at most {@link maxCandidates}. */
  forToken(alg: KeyAlgorithm, kid: string | undefined): readonly KeyObject[]
}

/** Bounds what one unauthenticated request can make us compute. Gemini publishes three. */
const maxCandidates = 8

/** Far above what any sender publishes; keys after these are not looked at. */
const maxKeys = 64

/** @throws Error when the document is no JWKS, or holds no key that can be used */
export function keySetOf(document: unknown): KeySet {
  if (typeof document !== 'object' || document === null || !('keys' in document) || !Array.isArray(document.keys)) {
    throw new Error('the answer is no JWKS: it has no list of keys')
  }
  const keys = document.keys.slice(0, maxKeys).flatMap((jwk: unknown) => importJwk(jwk) ?? [])
  if (keys.length === 0) throw new Error('the JWKS holds no usable key')
  const forToken = (alg: KeyAlgorithm, kid: string | undefined) =>
    keys
      .filter((key) => key.alg === alg && (kid === undefined || key.kid === kid))
      .slice(0, maxCandidates)
      .map(({ key }) => key)
  return { ed25519: forToken('EdDSA', undefined), forToken }
}
