/**
 * Whom the relay under test trusts, and whom it does not. Made anew for each run: what the seed decides is which requests
 * are made of them.
 */
import { createPublicKey, randomBytes, type KeyObject } from 'node:crypto'
import { startJwksServer } from '../../src/emulator/jwks-server.ts'
import { generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { signToken } from './signing.ts'

export const audience = 'fuzz'

export type Source = 'once' | 'accept' | 'reject'
export const sources: readonly Source[] = ['once', 'accept', 'reject']

export interface Keys {
  /** Two of each source, as during a rotation. */
  secrets: Readonly<Record<Source, readonly [Buffer, Buffer]>>
  /** Both published. */
  ed25519: readonly [SigningKey, SigningKey]
  es256: SigningKey
  rs256: SigningKey
  /** Nobody has published these. */
  stranger: { secret: Buffer; ed25519: SigningKey; es256: SigningKey; rs256: SigningKey }
  /** The published keys in every form in which somebody could take them for the secret of an HMAC. */
  publicForms: readonly Buffer[]
  /** Signed with `rs256` beforehand, because that takes a millisecond; none is ever sent as it is. */
  rs256Tokens: readonly string[]
  jwksUri: string
  jwksRequests: () => number
  /** Publishes the stranger's keys, for tokens that say so. Nobody may ask it. */
  trapUri: string
  trapRequests: () => number
  stop: () => Promise<void>
}

/** Enough that mutations of them differ, few enough to sign in a blink. */
const preparedTokens = 64

/** A run takes minutes. */
const preparedTokenSeconds = 86_400

export async function createKeys(): Promise<Keys> {
  const [first, second, es256, rs256, ...strangers] = await Promise.all([
    generateSigningKey('EdDSA', 'ed-1'),
    generateSigningKey('EdDSA', 'ed-2'),
    generateSigningKey('ES256', 'es-1'),
    generateSigningKey('RS256', 'rs-1'),
    // under names that are published, for want of which they would not even be tried
    generateSigningKey('EdDSA', 'ed-1'),
    generateSigningKey('ES256', 'es-1'),
    generateSigningKey('RS256', 'rs-1'),
  ])
  const published = [first, second, es256, rs256]
  const jwks = await startJwksServer({ keys: published.map(({ publicJwk }) => publicJwk) })
  const trap = await startJwksServer({ keys: strangers.map(({ publicJwk }) => publicJwk) })
  const [strangeEd25519, strangeEs256, strangeRs256] = strangers
  const two = (): [Buffer, Buffer] => [randomBytes(32), randomBytes(32)]
  const exp = Math.floor(Date.now() / 1_000) + preparedTokenSeconds
  return {
    secrets: { once: two(), accept: two(), reject: two() },
    ed25519: [first, second],
    es256,
    rs256,
    stranger: { secret: randomBytes(32), ed25519: strangeEd25519, es256: strangeEs256, rs256: strangeRs256 },
    publicForms: published.flatMap(formsOf),
    rs256Tokens: Array.from({ length: preparedTokens }, (_, n) =>
      signToken(rs256, { alg: 'RS256', kid: rs256.kid, typ: 'JWT' }, { aud: audience, exp, jti: `prepared-${n}` }),
    ),
    jwksUri: jwks.url,
    jwksRequests: () => jwks.requests(),
    trapUri: trap.url,
    trapRequests: () => trap.requests(),
    async stop() {
      await Promise.all([jwks.close(), trap.close()])
    },
  }
}

function formsOf({ privateKey, publicJwk }: SigningKey): Buffer[] {
  const key: KeyObject = createPublicKey(privateKey)
  const pem = key.export({ type: 'spki', format: 'pem' }).toString()
  const { kid: _kid, alg: _alg, use: _use, ...bare } = publicJwk
  return [
    Buffer.from(pem),
    Buffer.from(pem.trimEnd()),
    key.export({ type: 'spki', format: 'der' }),
    Buffer.from(JSON.stringify(publicJwk)),
    Buffer.from(JSON.stringify(bare)),
    ...[publicJwk.n, publicJwk.x].flatMap((part) => (part === undefined ? [] : [Buffer.from(part, 'base64url')])),
  ]
}
