/** What must hold of configurations that change while relays run. Pure, as the checks of checks.ts. */
import type { Case, Found } from './checks.ts'
import { relayNames, type RelayName } from './faults.ts'
import type { Entry } from './ledger.ts'

/** Something that keeps a relay, its senders or its Postgres from their work for a while. */
export interface Disturbance {
  relays: readonly RelayName[]
  at: number
  /** Infinity while it lasts. */
  until: number
  /**
   * `senders`: only these do not reach it. `locks`: a transaction may stay open meanwhile, and who sends the other relay one of its
   * events waits for that.
   */
  kind: 'away' | 'senders' | 'locks'
}

/** Files are looked at twice a second and a change has to last (src/config/watch.ts); the rest is a busy machine. */
const takenWithinMs = 5_000

/** What could not be used since something was away is tried again every 10 s (src/reload.ts). */
const triedAgainMs = 12_000

/** So long after something was away its absence may still be answered. */
const answeredMs = 8_000

/** An attempt renders, and takes seconds to arrive. */
const renderedMs = 12_000

export function* checkNeverBroken({ history }: Case): Iterable<Found> {
  for (const name of relayNames) {
    const told = new Set<string>()
    let ran = 0
    for (const { relay, hash } of history.seen) {
      if (relay !== name || told.has(hash)) continue
      const written = history.written.find((one) => one.relay === name && one.hash === hash)
      if (written?.variant === undefined) {
        told.add(hash)
        yield {
          what: `relay ${name} ran ${hash}, ${written === undefined ? 'which nobody wrote' : `which is broken: ${written.what}`}`,
        }
      } else if (written.number < ran) {
        told.add(hash)
        yield { what: `relay ${name} went back to configuration ${written.number} after ${ran}` }
      } else ran = written.number
    }
  }
}

export function* checkTaken({ history, disturbances }: Case): Iterable<Found> {
  for (const name of relayNames) {
    const written = history.written.filter(({ relay }) => relay === name)
    for (const [n, { at, number, hash, variant, what }] of written.entries()) {
      const until = calmBy(disturbances, name, at)
      // The first is what the relays began with.
      if (n === 0 || until > (written[n + 1]?.at ?? history.seen.at(-1)?.at ?? 0)) continue
      const later = new Set(written.slice(n).flatMap((one) => (one.variant === undefined ? [] : one.hash)))
      const seen = history.seen.filter((one) => one.relay === name && one.askedAt >= at && one.at <= until)
      const isTaken = seen.some((one) => (variant === undefined ? one.refused : !one.refused && later.has(one.hash)))
      if (isTaken) continue
      yield {
        what: `relay ${name} was given configuration ${number} (${hash}, ${what}) and did not ${variant === undefined ? 'refuse it' : 'run it'} within ${until - at} ms, ${takenWithinMs} of them undisturbed`,
      }
    }
  }
}

export function* checkLast({ history }: Case): Iterable<Found> {
  for (const name of relayNames) {
    const [last, seen] = [history.last(name), history.seen.findLast(({ relay }) => relay === name)]
    if (last !== undefined && seen?.hash !== last.hash)
      yield { what: `relay ${name} runs ${seen?.hash ?? 'nothing'}, expected ${last.hash} (${last.what})` }
  }
}

/** Faults have answers of their own; where there is none beside the reload, nothing but a 2xx is right. */
export function* checkNotTurnedAway({ history, disturbances, ledger }: Case): Iterable<Found> {
  for (const { message, sendings } of ledger.entries.values()) {
    for (const { at, relay, status, answer, tookMs } of sendings) {
      if (status === 200) continue
      const sentAt = at - tookMs
      const reload = history.written.find((one) => one.relay === relay && one.at <= at && sentAt <= one.at + takenWithinMs)
      if (reload === undefined) continue
      const isExcused = disturbances.some(
        (one) => (one.kind === 'locks' || one.relays.includes(relay)) && one.at <= at && sentAt <= one.until + answeredMs,
      )
      if (!isExcused)
        yield {
          id: message.id,
          what: `was answered ${status} ${answer} by relay ${relay}, which had nothing but a reload (${reload.what})`,
        }
    }
  }
}

export function* checkRevision({ history, arrivals }: Case): Iterable<Found> {
  for (const { id, at, revision } of arrivals.at('ops')) {
    if (revision === undefined) continue
    const possible = relayNames.flatMap((name) => history.possible(name, at - renderedMs, at))
    if (!possible.some((variant) => variant.revision === revision))
      yield { id, what: `said what the rules said in revision ${revision}, which no relay ran then` }
  }
}

/**
 * Whether the rule of the guest had to make a delivery of this message: it was planned between its first sending and the first 2xx, by
 * a relay that it was sent to.
 */
export function guestOf(
  { history }: Case,
  { firstSentAt, acknowledgedAt = Infinity, sendings }: Entry,
): 'owed' | 'not owed' | 'either' {
  const sentTo = relayNames.filter((name) => sendings.some(({ relay }) => relay === name))
  const variants = sentTo.flatMap((name) => history.possible(name, firstSentAt, acknowledgedAt))
  if (variants.every(({ guest }) => guest === 'there')) return 'owed'
  return variants.some(({ guest }) => guest === 'there') ? 'either' : 'not owed'
}

/** When this relay has been left alone for long enough, from `from` on. */
function calmBy(disturbances: readonly Disturbance[], name: RelayName, from: number): number {
  let begun = from
  for (const { at, until } of disturbances
    .filter(({ relays, kind }) => relays.includes(name) && kind !== 'senders')
    .toSorted((a, b) => a.at - b.at)) {
    if (at < begun + takenWithinMs && until + triedAgainMs > begun) begun = until + triedAgainMs
  }
  return begun + takenWithinMs
}
