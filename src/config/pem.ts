/** Certificates and keys for TLS, read as the client will read them: of what is none, some is passed over without a word. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { z } from 'zod'

const asItIs = 'line breaks and all: `${file:…}` puts in what a file holds'

/** One certificate or several; what stands between them is passed over. */
export const certificates = z
  .string()
  .min(1, { abort: true })
  .refine(holdsCertificates, {
    error: `expected PEM texts from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----, ${asItIs}`,
  })

/** Nothing says a passphrase. */
export const privateKey = z
  .string()
  .min(1, { abort: true })
  .refine((text) => isRead(() => createPrivateKey(text)), {
    error: `expected a PEM text from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY----- that asks for no passphrase, ${asItIs}`,
  })

/** Each on its own: the client stops at the first that it cannot read. */
function holdsCertificates(text: string): boolean {
  const found = text.split(/(?=-----BEGIN )/).filter((part) => /^-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/.test(part))
  return found.length > 0 && found.every((part) => isRead(() => new X509Certificate(part)))
}

function isRead(read: () => unknown): boolean {
  try {
    read()
    return true
  } catch {
    return false
  }
}
