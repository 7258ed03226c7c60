/** The deliveries that are owed, and for a while those that are over. */
import type { Delivery } from './delivery.ts'

export interface Outbox {
  /** @returns false where too many are pending already */
  add: (delivery: Delivery) => boolean
  find: (id: string) => Delivery | undefined
  /** Oldest first. */
  list: () => Delivery[]
  end: (delivery: Delivery, how: 'delivered' | 'given_up') => void
  /** Makes one that is over pending again, as if it were first due at `since`. @returns false where it is pending */
  reopen: (delivery: Delivery, since: number) => boolean
}

const maxPending = 50_000

/** Deliveries that are over and can still be looked at. */
const maxOver = 10_000

export function createOutbox(): Outbox {
  const all = new Map<string, Delivery>()
  /** In the order in which they ended. */
  const over = new Set<Delivery>()

  return {
    add(delivery) {
      if (all.size - over.size >= maxPending) return false
      all.set(delivery.id, delivery)
      return true
    },
    find: (id) => all.get(id),
    list: () => [...all.values()],
    end(delivery, how) {
      delivery.state = how
      over.add(delivery)
      const [oldest] = over
      if (over.size <= maxOver || oldest === undefined) return
      over.delete(oldest)
      all.delete(oldest.id)
    },
    reopen(delivery, since) {
      if (!over.delete(delivery)) return false
      Object.assign(delivery, { state: 'pending', attempts: 0, since, last: undefined })
      return true
    },
  }
}
