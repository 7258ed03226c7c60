import type { PlannedDelivery } from '../route/plan.ts'
import type { RelayEvent, VerifiedRequest } from '../types.ts'

/** A verified request with all that its commit needs. */
export interface AcceptRow {
  request: VerifiedRequest
  event: RelayEvent
  /** The envelope's timestamp, where it is one. */
  time: Date | null
  owed: readonly PlannedDelivery[]
}

export type AcceptResult = 'received' | 'duplicate'
