/** Encrypts what must not be read from a dump of the store: AES-256-GCM, with a key that the store does not hold. */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { RelayError } from './errors.ts'
import { strictBase64 } from './verify/base64.ts'

export interface Encrypted {
  keyId: string
  /** Nonce, ciphertext, tag. */
  bytes: Buffer
}

export interface Encryption {
  /** Of the key that encrypts. */
  readonly keyId: string
  /** Of all keys. */
  readonly keyIds: readonly string[]
  /** @param context what the text belongs to: it decrypts with the same context only */
  encrypt(text: string, context: string): Encrypted
  /** @throws RelayError `encryption_key` */
  decrypt(encrypted: Encrypted, context: string): string
}

const keyBytes = 32
const nonceBytes = 12
const tagBytes = 16

/**
 * @param keys base64 of 32 bytes each; the first encrypts, each decrypts
 * @throws RelayError `encryption_key` for a key that is none, or where there is none
 */
export function createEncryption(keys: readonly string[]): Encryption {
  const byId = new Map(keys.map((key, n) => readKey(key, n)).map((key) => [keyIdOf(key), key] as const))
  const [current] = byId
  if (current === undefined) throw missingKey()
  const [keyId, key] = current
  return {
    keyId,
    keyIds: [...byId.keys()],
    encrypt(text, context) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(Buffer.from(context))
      const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return { keyId, bytes: Buffer.concat([nonce, body, cipher.getAuthTag()]) }
    },
    decrypt(encrypted, context) {
      const known = byId.get(encrypted.keyId)
      if (known === undefined) throw wrongKey([encrypted.keyId], [...byId.keys()])
      const { bytes } = encrypted
      try {
        const decipher = createDecipheriv('aes-256-gcm', known, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
        decipher.setAAD(Buffer.from(context)).setAuthTag(bytes.subarray(-tagBytes))
        return Buffer.concat([decipher.update(bytes.subarray(nonceBytes, -tagBytes)), decipher.final()]).toString('utf8')
      } catch (error) {
        throw new RelayError('encryption_key', `what is stored of ${context} was changed: its key does not open it`, {
          cause: error,
        })
      }
    },
  }
}

/** What the configuration says goes before the environment. An entry may hold several, between commas, or expand to none. */
export function encryptionKeys(
  config: { keys: readonly string[] },
  env: Readonly<Record<string, string | undefined>>,
): readonly string[] {
  const configured = keysIn(config.keys)
  return configured.length > 0 ? configured : keysIn([env.RELAY_ENCRYPTION_KEY ?? ''])
}

export function keysIn(entries: readonly string[]): string[] {
  return entries
    .flatMap((entry) => entry.split(','))
    .map((key) => key.trim())
    .filter((key) => key !== '')
}

export function generateKey(): string {
  return randomBytes(keyBytes).toString('base64')
}

const keyHint = '`openssl rand -base64 32` makes one; keep it apart from the database'

export function missingKey(): RelayError {
  return new RelayError('encryption_key', 'managed secrets need an encryption key, and there is none', {
    hint: `set RELAY_ENCRYPTION_KEY, or encryption.keys in the configuration: ${keyHint}`,
  })
}

/** @param wanted ids of keys that encrypted what is stored */
export function wrongKey(wanted: readonly string[], given: readonly string[]): RelayError {
  const message = `stored secrets were encrypted with the key ${wanted.join(', ')}; given: ${given.join(', ')}`
  return new RelayError('encryption_key', message, {
    hint: 'add that key to encryption.keys (RELAY_ENCRYPTION_KEY), behind the new one; `gemini-relay webhooks rekey` then lets it go',
  })
}

/** @throws RelayError `encryption_key` */
export function readKey(text: string, index: number): Buffer {
  const key = strictBase64(text)
  if (key?.length === keyBytes) return key
  const problem = key === undefined ? 'is not base64' : `holds ${key.length} bytes, expected ${keyBytes}`
  throw new RelayError('encryption_key', `encryption key ${index + 1} ${problem}`, { hint: keyHint })
}

/** Names a key without telling anything of it: the digest of 256 random bits. */
function keyIdOf(key: Buffer): string {
  return createHash('sha256').update('gemini-relay encryption key').update(key).digest('hex').slice(0, 12)
}
