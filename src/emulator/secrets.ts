/** The signing secrets of one webhook: several live at once while one is rotated. */
import { generateSecret } from './keys.ts'

export interface LiveSecret {
  secret: string
  /** Milliseconds since the epoch, on the emulator's clock; undefined for the newest. */
  expiresAt?: number
}

export type Revocation = 'after_h24' | 'immediately'

/** Documented, by the name of the default behaviour. */
const graceMs = 86_400_000

/** Guessed. Receivers look at a bounded number of signatures, and there is one for each. */
const maxLive = 5

/** Newest first. */
export function newSecrets(): LiveSecret[] {
  return [{ secret: generateSecret() }]
}

export function live(secrets: readonly LiveSecret[], now: number): LiveSecret[] {
  return secrets.filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)
}

/** A second rotation does not give a secret that is already on its way out more time. */
export function rotated(secrets: readonly LiveSecret[], revocation: Revocation, now: number): LiveSecret[] {
  if (revocation === 'immediately') return newSecrets()
  const previous = live(secrets, now).map(({ secret, expiresAt = Number.POSITIVE_INFINITY }) => ({
    secret,
    expiresAt: Math.min(expiresAt, now + graceMs),
  }))
  return [...newSecrets(), ...previous].slice(0, maxLive)
}

/** As the API shows a secret after its first time: `whsec_...MnM=`. */
export function truncated(secret: string): string {
  return `whsec_...${secret.slice(-4)}`
}
