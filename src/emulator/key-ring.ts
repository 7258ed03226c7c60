/** The keys that sign dynamic deliveries, and the set that is published for those who verify them. */
import type { JWK } from 'jose'
import type { EmulatedClock } from './clock.ts'
import { generateSigningKey, type SigningKey } from './keys.ts'

export interface KeyRing {
  rsa: () => SigningKey
  ed25519: () => SigningKey
  published: () => JWK[]
  /** New keys sign from now on; the previous ones stay in the set for a while, or go at once. */
  rotate: (previous: 'kept' | 'withdrawn') => Promise<void>
}

/** The live set was seen with three, and no header says which of them signed. */
const ed25519Keys = 3

/** Guessed: as long as retries go on. */
const keptMs = 86_400_000

export async function createKeyRing(clock: EmulatedClock): Promise<KeyRing> {
  let rsa = await generateSigningKey('RS256')
  let ed25519 = await Promise.all(Array.from({ length: ed25519Keys }, () => generateSigningKey('EdDSA')))
  let previous: { key: SigningKey; until: number }[] = []

  function newestEd25519(): SigningKey {
    const newest = ed25519.at(-1)
    if (newest === undefined) throw new Error('there is no Ed25519 key')
    return newest
  }

  return {
    rsa: () => rsa,
    ed25519: newestEd25519,
    published() {
      previous = previous.filter(({ until }) => until > clock.now())
      return [rsa, ...ed25519, ...previous.map(({ key }) => key)].map(({ publicJwk }) => publicJwk)
    },
    async rotate(fate) {
      const [nextRsa, nextEd25519] = await Promise.all([generateSigningKey('RS256'), generateSigningKey('EdDSA')])
      const [oldest, ...younger] = ed25519
      const retired = [rsa, ...(oldest === undefined ? [] : [oldest])]
      const until = clock.now() + keptMs
      previous = fate === 'withdrawn' ? [] : [...previous, ...retired.map((key) => ({ key, until }))].slice(-maxPrevious)
      // Withdrawn are all that have signed so far, so that nothing of before can be verified any more.
      ed25519 = fate === 'withdrawn' ? [nextEd25519] : [...younger, nextEd25519]
      rsa = nextRsa
    },
  }
}

/** Receivers try a bounded number of keys: two rotations' worth. */
const maxPrevious = 4
