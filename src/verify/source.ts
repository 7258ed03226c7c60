import type { SourceConfig } from '../config/schema.ts'
import { RelayError } from '../errors.ts'
import { isLoopback } from '../loopback.ts'
import { decodeSecret, secretLabel } from './secrets.ts'

/** Whom one source trusts. */
export interface SourceVerification {
  name: string
  /** `whsec_…`, each good base64 of 24–64 bytes. */
  secrets: readonly string[]
  dynamic?: DynamicVerification
}

export interface DynamicVerification {
  jwksUri: string
  /** What `aud` of a token must name; `any` takes every token that the JWKS' keys signed. */
  audience: string
  algorithms: readonly TokenAlgorithm[]
  /** What becomes of a token whose claims hold no envelope: see {@link TokenUse}. */
  unboundJwt: 'once' | 'accept' | 'reject'
}

export type TokenAlgorithm = 'RS256' | 'ES256'

/**
 * Reads a source's configuration. A secret that expanded to nothing is none.
 *
 * @throws RelayError `config_invalid` for a secret or a JWKS address that cannot be used
 */
export function verificationOf(name: string, config: SourceConfig): SourceVerification {
  const configured = config.static?.secrets ?? []
  configured.forEach((secret, index) => secret !== '' && decodeSecret(secret, secretLabel(name, index)))
  const secrets = configured.filter((secret) => secret !== '')
  if (config.dynamic === undefined) return { name, secrets }
  const { jwks_uri: jwksUri, audience, algorithms, unbound_jwt: unboundJwt } = config.dynamic
  checkJwksUri(name, jwksUri)
  return { name, secrets, dynamic: { jwksUri, audience, algorithms, unboundJwt } }
}

/** Whoever can change the answer can sign events, so it comes over TLS, or from this machine. */
function checkJwksUri(source: string, uri: string): void {
  if (!URL.canParse(uri)) throw new RelayError('config_invalid', `source ${source}: jwks_uri is not a URL`)
  const url = new URL(uri)
  if (url.username !== '' || url.password !== '') {
    throw new RelayError('config_invalid', `source ${source}: jwks_uri holds credentials, which a key set does not need`)
  }
  if (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname))) return
  throw new RelayError('config_invalid', `source ${source}: jwks_uri must be https, or http on a loopback address`)
}
