import type { LeasedDelivery } from '../types.ts'

/**
 * What accept needs from deliver. A delivery is inserted already leased to this process where a place can be reserved for
 * it; every reservation ends in exactly one `handOver` or `cancel`.
 */
export interface LeaseDesk {
  /** True when the delivery may start here without overtaking anything. Never for a pair that the configuration does not know any more. */
  reserve(rule: string, sink: string): boolean
  cancel(rule: string, sink: string): void
  /** After the commit: the deliveries are this process's to attempt. All belong to one lease. */
  handOver(deliveries: readonly LeasedDelivery[]): void
  /** After the commit: deliveries of this sink went in as pending. */
  overflowed(rule: string, sink: string): void
}
