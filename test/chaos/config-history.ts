/** Which configuration each relay was given when, and which one it said it ran: what a run knows of reloads. */
import type { Variant } from './config.ts'
import type { RelayName } from './faults.ts'

export interface Written {
  /** Milliseconds since the epoch, as everywhere here. */
  at: number
  relay: RelayName
  /** Grows with each text; a relay that gets an old one again gets its number too. */
  number: number
  /** As `/readyz` tells it. */
  hash: string
  /** Undefined: it is broken. */
  variant: Variant | undefined
  /** For people. */
  what: string
}

/** What `/readyz` of a relay said. */
export interface Seen {
  /** When it was asked, and when it had answered. */
  askedAt: number
  at: number
  relay: RelayName
  pid: number
  hash: string
  /** Whether the last one that it read was refused. */
  refused: boolean
  reloads: { applied: number; refused: number }
}

export interface ConfigHistory {
  written: readonly Written[]
  seen: readonly Seen[]
  wrote(written: Written): void
  saw(seen: Seen): void
  /** The good ones that this relay may have run at some time between: from the one it was last known to run until the last that it was given. */
  possible(relay: RelayName, from: number, to: number): Variant[]
  /** The last one that a relay was given. */
  last(relay: RelayName): Written | undefined
  /** Over all processes. */
  reloads(): { applied: number; refused: number }
}

export function createConfigHistory(): ConfigHistory {
  const written: Written[] = []
  const seen: Seen[] = []
  const counts = new Map<string, Seen['reloads']>()

  function numberOf({ relay, hash }: Seen): number {
    return written.find((one) => one.relay === relay && one.hash === hash && one.variant !== undefined)?.number ?? -1
  }

  return {
    written,
    seen,
    wrote: (one) => void written.push(one),
    saw(one) {
      seen.push(one)
      counts.set(`${one.relay} ${one.pid}`, one.reloads)
    },
    possible(relay, from, to) {
      const ran = seen.findLast((one) => one.relay === relay && one.at <= from)
      const least = ran === undefined ? -1 : numberOf(ran)
      const given = written.filter((one) => one.relay === relay && one.at <= to && one.number >= least)
      return given.flatMap(({ variant }) => variant ?? [])
    },
    last: (relay) => written.findLast((one) => one.relay === relay),
    reloads() {
      const all = [...counts.values()]
      return {
        applied: all.reduce((sum, { applied }) => sum + applied, 0),
        refused: all.reduce((sum, { refused }) => sum + refused, 0),
      }
    },
  }
}
