import { createPublicKey, type KeyObject } from 'node:crypto'
import { z } from 'zod'

export type KeyAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

export interface PublicKey {
  alg: KeyAlgorithm
  kid: string | undefined
  key: KeyObject
}

/** Shorter ones can be broken (NIST SP 800-131A), and RS256 forbids them (RFC 7518, 3.3). */
const minRsaBits = 2_048

const common = {
  kid: z.string().optional(),
  // A private key that is published is everybody's: what it signs says nothing about who did.
  d: z.undefined().optional(),
  use: z.literal('sig').optional(),
  key_ops: z
    .array(z.string())
    .refine((ops) => ops.includes('verify'))
    .optional(),
}

/** Only public members are read, and only of keys that are there to verify with the algorithms we know. */
const jwkSchema = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('RSA'), n: z.string(), e: z.string(), alg: z.literal('RS256').optional(), ...common }),
  z.object({
    kty: z.literal('EC'),
    crv: z.literal('P-256'),
    x: z.string(),
    y: z.string(),
    alg: z.literal('ES256').optional(),
    ...common,
  }),
  z.object({
    kty: z.literal('OKP'),
    crv: z.literal('Ed25519'),
    x: z.string(),
    alg: z.enum(['EdDSA', 'Ed25519']).optional(),
    ...common,
  }),
])

const algorithms = { RSA: 'RS256', EC: 'ES256', OKP: 'EdDSA' } as const

/** Imports a key of a JWKS, or answers undefined for one that is malformed, too weak or for something else. */
export function importJwk(jwk: unknown): PublicKey | undefined {
  const parsed = jwkSchema.safeParse(jwk)
  if (!parsed.success) return undefined
  const { kid, d: _d, use: _use, key_ops: _ops, alg: _alg, ...members } = parsed.data
  try {
    const key = createPublicKey({ key: members, format: 'jwk' })
    if (members.kty === 'RSA' && (key.asymmetricKeyDetails?.modulusLength ?? 0) < minRsaBits) return undefined
    return { alg: algorithms[members.kty], kid, key }
  } catch {
    return undefined
  }
}
