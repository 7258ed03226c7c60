/** The key set of a sender with Ed25519 and RS256 keys, published where the relay fetches it. */
import { generateSigningKey } from '../../src/emulator/keys.ts'
import { startJwksServer } from '../../src/emulator/jwks-server.ts'

export interface Keys {
  jwksUri: string
  /** PEM. */
  ed25519: string
  rs256: { kid: string; pem: string }
  stop(): Promise<void>
}

export async function publishKeys(): Promise<Keys> {
  const [ed25519, rs256] = await Promise.all([generateSigningKey('EdDSA'), generateSigningKey('RS256')])
  const server = await startJwksServer({ keys: [ed25519.publicJwk, rs256.publicJwk] })
  const pem = ({ privateKey }: typeof ed25519) => privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return {
    jwksUri: server.url,
    ed25519: pem(ed25519),
    rs256: { kid: rs256.kid, pem: pem(rs256) },
    stop: () => server.close(),
  }
}
