/** The secret with which an http sink signs. */
import { RelayError } from '../errors.ts'
import { strictBase64 } from '../verify/base64.ts'

const prefix = 'whsec_'
/** Standard Webhooks 1.0.0: between 24 and 64 bytes. */
const minBytes = 24
const maxBytes = 64

/**
 * The key in `whsec_<base64>`. Strict, because Node decodes anything: `whsec_!!!!` would be an empty key, with which
 * anyone can sign.
 *
 * @throws RelayError `config_invalid` naming the sink, never the secret
 */
export function parseWebhookSecret(sink: string, secret: string): Buffer {
  const key = secret.startsWith(prefix) ? strictBase64(secret.slice(prefix.length)) : undefined
  if (key !== undefined && key.length >= minBytes && key.length <= maxBytes) return key
  throw new RelayError(
    'config_invalid',
    `sink ${sink}: \`secret\` is not ${prefix} followed by base64 of ${minBytes} to ${maxBytes} bytes`,
    {
      hint: 'make one with: echo "whsec_$(openssl rand -base64 32)"',
    },
  )
}
