/** Key material of the sender that plays Gemini. */
import { createPrivateKey, createPublicKey, generateKeyPair, randomBytes, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { calculateJwkThumbprint, exportJWK, type JWK } from 'jose'

const generate = promisify(generateKeyPair)

export type SigningAlgorithm = 'RS256' | 'ES256' | 'EdDSA'

export interface SigningKey {
  alg: SigningAlgorithm
  kid: string
  privateKey: KeyObject
  /** As a JWKS publishes it. */
  publicJwk: JWK
}

export async function generateSigningKey(
  alg: SigningAlgorithm,
  kid = `${alg.toLowerCase()}-${randomBytes(4).toString('hex')}`,
): Promise<SigningKey> {
  const { privateKey, publicKey } = await pairFor[alg]()
  return { alg, kid, privateKey, publicJwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

const pairFor = {
  RS256: () => generate('rsa', { modulusLength: 2_048 }),
  ES256: () => generate('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generate('ed25519'),
}

/** A static secret as Gemini shows it: `whsec_` and 32 bytes. */
export function generateSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`
}

/** A private key from a file: a JWK, whose `kid` is kept, or PEM. */
export async function readSigningKey(text: string): Promise<SigningKey> {
  const isJwk = text.trimStart().startsWith('{')
  const jwk: JWK = isJwk ? parseJwk(text) : {}
  const privateKey = isJwk ? createPrivateKey({ key: { ...jwk }, format: 'jwk' }) : createPrivateKey(text)
  const alg = algorithmOf(privateKey)
  const publicJwk = { ...(await exportJWK(createPublicKey(privateKey))), alg, use: 'sig' }
  const kid = jwk.kid ?? (await calculateJwkThumbprint(publicJwk))
  return { alg, kid, privateKey, publicJwk: { ...publicJwk, kid } }
}

/** The parser's own message quotes what stands around its mistake, which is the key. */
function parseJwk(text: string): JWK {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('it begins like a JWK, and is not JSON')
  }
}

function algorithmOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): SigningAlgorithm {
  if (type === 'ed25519') return 'EdDSA'
  if (type === 'rsa') return 'RS256'
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256'
  throw new Error(`a key of type ${type ?? 'unknown'} signs neither ed25519 nor RS256 nor ES256`)
}
