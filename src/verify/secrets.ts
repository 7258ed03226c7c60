import { RelayError } from '../errors.ts'
import { strictBase64 } from './base64.ts'

const prefix = 'whsec_'
/** What Standard Webhooks allows for an HMAC key. */
const minSecretBytes = 24
const maxSecretBytes = 64

/**
 * The key bytes of one signing secret; the `whsec_` prefix may be left out.
 *
 * @param position of the secret in the source's list, 1 for the first: the message names it instead of the secret
 * @throws RelayError `config_invalid`
 */
export function decodeSecret(secret: string, source: string, position: number): Buffer {
  const key = strictBase64(secret.startsWith(prefix) ? secret.slice(prefix.length) : secret)
  const where = `source ${source}: signing secret ${position}`
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
