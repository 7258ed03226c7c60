/** What is sent, and what its maker knows of it: the oracle needs no second opinion. */
import type { Source } from './keys.ts'

export type Scheme = 'hmac' | 'ed25519' | 'jwt'

/** An event that a trusted key has signed, as it has to be stored. */
export interface SignedEvent {
  source: Source
  id: string
  scheme: Scheme
  body: Buffer
  /** The signing input of a token that may bring in one webhook-id only. */
  token?: string
}

export interface Shot {
  /** `group.detail`: counted by it, and named by it in a finding. */
  kind: string
  bytes: Buffer
  /** The answer to a HEAD has no body. */
  method: string
  /**
   * - `taken`: 200, for `event` is signed and framed as it should be.
   * - `refused`: anything but a 2xx, for nobody has signed this.
   * - `either`: one answer; 200 stores `event`.
   * - `broken`: HTTP that is none, or says two things at once: any number of answers, or none, and the connection ends.
   *   A 200 only where there is an `event`.
   */
  expected: 'taken' | 'refused' | 'either' | 'broken'
  event?: SignedEvent
  /** Whether the relay ends the connection with its answer. */
  closing?: true
}

/** What goes over a connection at once. Only the last shot may be `broken` or `closing`. */
export interface Volley {
  number: number
  shots: readonly Shot[]
  /** Whether each shot waits for the answer to the one before it. */
  paced: boolean
  /** Where the bytes are cut into writes of their own. */
  cuts: readonly number[]
}
