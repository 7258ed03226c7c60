import type { FailureCode } from '../errors.ts'
import type { RelayEvent, VerifiedRequest } from '../types.ts'

/** A verified request with all that its commit needs. */
export interface AcceptRow {
  request: VerifiedRequest
  event: RelayEvent
  /** The envelope's timestamp, where it is one. */
  time: Date | null
  owed: readonly OwedDelivery[]
}

/** A delivery that the rules ask for, not yet stored. */
export interface OwedDelivery {
  rule: string
  sink: string
  /** From creation to `expires_at`, in milliseconds. */
  horizonMs: number
  /** Born dead, because the rule's condition could not be evaluated. */
  dead?: { code: FailureCode; message: string }
}

export type AcceptResult = 'received' | 'duplicate'
