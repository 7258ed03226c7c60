/** Which of the secrets that Gemini signs with the relay has: the API shows their ends only. */
import type { Config } from '../config/schema.ts'
import type { Encryption } from '../encryption.ts'
import type { Pool } from '../store/pool.ts'
import { readState, secretContext } from '../store/signing-secrets.ts'

export interface HeldSecrets {
  /** @param truncated as the API shows it: `whsec_...MnM=` */
  holds: (source: string, truncated: string) => boolean
  /** Those of one webhook in the store, newest first. */
  ofWebhook: (id: string) => readonly HeldSecret[]
}

export interface HeldSecret {
  createdAt: Date
  /** Milliseconds from now; null: no end is known. */
  expiresInMs: number | null
}

/** So much of a secret the API shows, in characters. */
const shownLength = 4

/** @throws RelayError `encryption_key` where a secret was encrypted with another key */
export async function readHeldSecrets(pool: Pool, encryption: Encryption, sources: Config['sources']): Promise<HeldSecrets> {
  const { secrets } = await readState(pool, Object.keys(sources))
  const live = secrets.filter(({ expiresInMs }) => expiresInMs === null || expiresInMs > 0)
  const managed = live.map((secret) => [secret.source, encryption.decrypt(secret.encrypted, secretContext(secret))] as const)
  const configured = Object.entries(sources).flatMap(([name, { static: given }]) =>
    (given?.secrets ?? []).filter(Boolean).map((secret) => [name, secret] as const),
  )
  const ends = new Set([...managed, ...configured].map(([source, secret]) => `${secret.slice(-shownLength)} ${source}`))
  return {
    holds: (source, truncated) => ends.has(`${truncated.slice(-shownLength)} ${source}`),
    ofWebhook: (id) => live.filter(({ webhook }) => webhook === id),
  }
}
