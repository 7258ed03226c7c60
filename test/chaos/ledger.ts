/** What was sent and what was heard of it. A 2xx is an obligation. */
import type { RelayName } from './faults.ts'
import type { Message } from './messages.ts'

export interface Sending {
  /** Milliseconds since the epoch. */
  at: number
  relay: RelayName
  /** 0: no answer. */
  status: number
  /** `received`, `duplicate`, a refusal's code, or how the connection ended. */
  answer: string
  tookMs: number
}

export interface Entry {
  message: Message
  sendings: Sending[]
  firstSentAt: number
  /** When the first 2xx was there. */
  acknowledgedAt: number | undefined
}

/** A request that must be refused and leave no trace. */
export interface Forgery {
  id: string
  how: string
  sendings: Sending[]
}

export interface Ledger {
  entries: Map<string, Entry>
  forgeries: Forgery[]
  opened(message: Message): Entry
  answered(entry: Entry, sending: Sending): void
  acknowledged(): number
}

export function createLedger(): Ledger {
  const entries = new Map<string, Entry>()
  let acknowledged = 0
  return {
    entries,
    forgeries: [],
    opened(message) {
      const entry: Entry = { message, sendings: [], firstSentAt: Date.now(), acknowledgedAt: undefined }
      entries.set(message.id, entry)
      return entry
    },
    answered(entry, sending) {
      entry.sendings.push(sending)
      if (entry.acknowledgedAt !== undefined || sending.status < 200 || sending.status > 299) return
      entry.acknowledgedAt = sending.at
      acknowledged++
    },
    acknowledged: () => acknowledged,
  }
}
