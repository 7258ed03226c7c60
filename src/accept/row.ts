import type { PlannedDelivery } from '../route/plan.ts'
import type { Arrival, RelayEvent } from '../types.ts'

/** What is stored, with all that its commit needs. */
export interface AcceptRow {
  request: Arrival
  event: RelayEvent
  /** The envelope's timestamp, where it is one. */
  time: Date | null
  owed: readonly PlannedDelivery[]
}

export type AcceptResult = 'received' | 'duplicate'
