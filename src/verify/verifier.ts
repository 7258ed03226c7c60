import { createSecretKey } from 'node:crypto'
import { Refusal } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Clock, UnverifiedRequest, VerifiedRequest } from '../types.ts'
import { readHeaders, type WebhookHeaders } from './headers.ts'
import { createJwks } from './jwks.ts'
import type { Fetch } from './jwks-fetch.ts'
import { parseJson } from './json.ts'
import type { ManagedKeys } from './managed.ts'
import { decodeSecret, secretLabel } from './secrets.ts'
import { parseSignature, type Signature } from './signature.ts'
import type { SourceVerification } from './source.ts'
import { isSplitElsewhere, matchesEd25519, matchesHmac, type SignedContent } from './standard-webhooks.ts'
import { createTokenVerifier } from './token.ts'

type EntriesSignature = Extract<Signature, { shape: 'entries' }>

export interface Verifier {
  /**
   * Verifies bytes, then parses them. What an HMAC decides is answered, or thrown, at once; keys of a JWKS make it a promise.
   *
   * @throws Refusal
   */
  verify(request: UnverifiedRequest): VerifiedRequest | Promise<VerifiedRequest>
  /** Starts to fetch the JWKS in the background, if the source has one. */
  start(): void
  stop(): void
  /** Whether there are keys; `reason` says which are missing. Holds no secret. */
  readiness(): { ready: boolean; reason?: string }
}

export interface VerifierDeps {
  source: SourceVerification
  /** Besides those of `source`. */
  managed?: ManagedKeys | undefined
  clock?: Clock
  fetch?: Fetch
  log: Log
}

/** @throws RelayError `config_invalid` for a secret that is not one */
export function createVerifier({ source, managed, clock = Date.now, fetch = globalThis.fetch, log }: VerifierDeps): Verifier {
  const secrets = source.secrets.map((secret, index) => createSecretKey(decodeSecret(secret, secretLabel(source.name, index))))
  const jwks = source.dynamic && createJwks({ uri: source.dynamic.jwksUri, source: source.name, clock, fetch, log })
  const tokens = source.dynamic && jwks && createTokenVerifier({ dynamic: source.dynamic, jwks, clock, log })

  async function verifyEd25519(
    request: UnverifiedRequest,
    headers: WebhookHeaders,
    signature: EntriesSignature,
  ): Promise<VerifiedRequest> {
    if (jwks === undefined) throw mismatch(signature)
    const signatures = signature.ed25519
    const content = contentOf(request, headers)
    const keys = await jwks.keys()
    if (!matchesEd25519(content, signatures, keys.ed25519)) {
      const newer = await jwks.newerThan(keys)
      if (newer === undefined || !matchesEd25519(content, signatures, newer.ed25519)) throw mismatch(signature)
    }
    return signed(request, headers, 'ed25519')
  }

  function matchesSecret(content: SignedContent, signatures: readonly string[]): boolean {
    return (
      matchesHmac(content, signatures, secrets) || (managed !== undefined && matchesHmac(content, signatures, managed.live()))
    )
  }

  /** Of no known key. While a secret may be missing, an HMAC may still be a good one, and its sender is to keep the event. */
  function mismatch(signature: Signature): Refusal {
    if (signature.shape === 'entries' && signature.hmac.length > 0 && managed?.mayMiss() === true)
      return new Refusal('keys_unavailable', 'a signing secret is being replaced: send it again')
    return new Refusal('signature_mismatch', 'no signature of a trusted key')
  }

  function hasSecret(): boolean {
    return secrets.length > 0 || (managed !== undefined && managed.live().length > 0)
  }

  return {
    verify(request) {
      const headers = readHeaders(request, clock())
      if (jwks === undefined && !hasSecret()) throw new Refusal('keys_unavailable', 'this source has no keys yet')
      const signature = parseSignature(headers.signature)
      if (signature.shape === 'token') {
        if (tokens === undefined) throw mismatch(signature)
        return tokens.verify(signature.token, request.body).then((evidence) =>
          verified({
            source: request.source,
            webhookId: headers.id,
            scheme: 'jwt',
            receivedAt: request.receivedAt,
            ...evidence,
          }),
        )
      }
      if (signature.hmac.length > 0 && matchesSecret(contentOf(request, headers), signature.hmac)) {
        return signed(request, headers, 'hmac')
      }
      if (signature.ed25519.length > 0) return verifyEd25519(request, headers, signature)
      throw mismatch(signature)
    },
    start: () => jwks?.start(),
    stop: () => jwks?.stop(),
    readiness() {
      if (jwks !== undefined) return jwks.readiness()
      if (hasSecret()) return { ready: true }
      const how = managed === undefined ? 'is configured' : 'is configured, and none was made: `gemini-relay webhooks create`'
      return { ready: false, reason: `no signing secret ${how}` }
    },
  }
}

/** What v1 and v1a have in common once the signature holds. */
function signed(request: UnverifiedRequest, headers: WebhookHeaders, scheme: 'hmac' | 'ed25519'): VerifiedRequest {
  const json = parseJson(request.body)
  if (isSplitElsewhere(contentOf(request, headers), json)) {
    throw new Refusal('malformed_header', 'webhook-id and body can be told apart in more than one way')
  }
  return verified({
    source: request.source,
    webhookId: headers.id,
    scheme,
    receivedAt: request.receivedAt,
    body: request.body,
    json,
  })
}

/** Written out, as above: on the path of every request a spread costs as much as the HMAC. */
function contentOf(request: UnverifiedRequest, { id, timestamp }: WebhookHeaders): SignedContent {
  return { id, timestamp, body: request.body }
}

type Fields = Pick<VerifiedRequest, Extract<keyof VerifiedRequest, string>>

/** The one maker: the brand exists for the compiler alone, and this is the only cast to it. */
function verified(fields: Fields): VerifiedRequest {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return fields as VerifiedRequest
}
