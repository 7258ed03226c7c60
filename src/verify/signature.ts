import { strictBase64 } from './base64.ts'

/** What a `webhook-signature` header holds, told apart by its shape alone. */
export type Signature =
  | { shape: 'token'; token: string }
  /** The well-formed entries; `hmac` as base64 text of 32 bytes' length, `ed25519` decoded. */
  | { shape: 'entries'; hmac: readonly string[]; ed25519: readonly Buffer[] }

/** An unauthenticated header of 16 KiB could hold 170 entries of v1a, each worth eight verifications of 80 µs. */
const maxEntries = 8

/** The third part may be empty: an unsecured token is a token, and refused as one. */
const tokenShape = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/

const hmacEntryLength = 'v1,'.length + 44
const ed25519SignatureBytes = 64

/** Entries of unknown versions and malformed ones are skipped, and count toward the eight that are looked at. */
export function parseSignature(header: string): Signature {
  if (tokenShape.test(header)) return { shape: 'token', token: header }
  const hmac: string[] = []
  const ed25519: Buffer[] = []
  for (const entry of header.split(' ', maxEntries)) {
    if (entry.startsWith('v1,') && entry.length === hmacEntryLength) hmac.push(entry.slice('v1,'.length))
    if (!entry.startsWith('v1a,')) continue
    const signature = strictBase64(entry.slice('v1a,'.length))
    if (signature?.length === ed25519SignatureBytes) ed25519.push(signature)
  }
  return { shape: 'entries', hmac, ed25519 }
}
