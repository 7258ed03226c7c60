import { RelayError } from '../errors.ts'
import { strictBase64 } from './base64.ts'

const prefix = 'whsec_'
/** What Standard Webhooks allows for an HMAC key. */
const minSecretBytes = 24
const maxSecretBytes = 64

/**
 * The key bytes of one signing secret; the `whsec_` prefix may be left out. Strict, because Node decodes anything:
 * `whsec_!!!!` would be an empty key, with which anyone can sign.
 *
 * @param where names the secret in the message, which never holds it: `source gemini: signing secret 1`
 * @throws RelayError `config_invalid`
 */
export function decodeSecret(secret: string, where: string): Buffer {
  const key = strictBase64(secret.startsWith(prefix) ? secret.slice(prefix.length) : secret)
  if (key === undefined) {
    throw new RelayError('config_invalid', `${where} is not base64`, {
      hint: `expected ${prefix} and padded base64, as Gemini shows it`,
    })
  }
  if (key.length < minSecretBytes || key.length > maxSecretBytes) {
    const message = `${where} holds ${key.length} bytes, expected ${minSecretBytes} to ${maxSecretBytes}`
    throw new RelayError('config_invalid', message, { hint: 'check that the whole secret was copied' })
  }
  return key
}

/** Names a source's secret by its place in the list. */
export function secretLabel(source: string, index: number): string {
  return `source ${source}: signing secret ${index + 1}`
}
