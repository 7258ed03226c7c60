/** The oracle: what must hold after the faults. Each check is pure, and says of each violation which message it is about. */
import type { Arrivals } from './arrivals.ts'
import {
  checkLast,
  checkNeverBroken,
  checkNotTurnedAway,
  checkRevision,
  checkTaken,
  guestOf,
  type Disturbance,
} from './config-checks.ts'
import type { ConfigHistory } from './config-history.ts'
import type { Evidence, SyncedRow } from './evidence.ts'
import type { Entry, Ledger } from './ledger.ts'
import { expectedOf, payloadOf, type Expected, type Message, type Sinks } from './messages.ts'

export interface Violation {
  /** The name of the check. */
  check: string
  what: string
  /** Webhook-id of the message it is about, if it is about one. */
  id?: string
}

export type Found = Omit<Violation, 'check'>

export interface Case {
  ledger: Ledger
  arrivals: Arrivals
  evidence: Evidence
  sinks: Sinks
  history: ConfigHistory
  disturbances: readonly Disturbance[]
}

const checks: Readonly<Record<string, (about: Case) => Iterable<Found>>> = {
  'every acknowledged event reached every sink its rules name': checkReached,
  'each webhook-id is one event': checkUnique,
  'nothing arrived that was not sent and validly signed': checkForgeries,
  'the table in the relay’s database saw each event exactly once': checkOnce,
  'the table keyed by subject holds the newest event': checkNewest,
  'the events of a subject arrive in order where a sink asks for it': checkOrder,
  'delivered, dead and pending add up': checkSums,
  'a broken configuration never runs, and none comes back': checkNeverBroken,
  'a configuration is taken or refused in time': checkTaken,
  'both relays run the last configuration': checkLast,
  'a reload turns nobody away': checkNotTurnedAway,
  'a message says what the rules say by now': checkRevision,
}

export function judge(about: Case): Violation[] {
  return Object.entries(checks).flatMap(([check, run]) => [...run(about)].map((found) => ({ ...found, check })))
}

function* checkReached(about: Case): Iterable<Found> {
  const { ledger, arrivals, evidence, sinks } = about
  const deliveries = groupBy(evidence.deliveries, ({ webhookId }) => webhookId)
  const tables = tablesOf(evidence)
  for (const entry of ledger.entries.values()) {
    const { message, acknowledgedAt, sendings } = entry
    const odd = sendings.find(({ status }) => ![0, 200, 408, 503].includes(status))
    if (odd !== undefined) yield { id: message.id, what: `a valid request was answered ${odd.status} ${odd.answer}` }
    if (acknowledgedAt === undefined) continue
    const owed = deliveries.get(message.id) ?? []
    for (const expected of expectedOf(message, sinks)) {
      const name = `${expected.rule} → ${expected.sink}`
      const found = owed.filter(({ rule, sink }) => rule === expected.rule && sink === expected.sink)
      const [delivery] = found
      const guest = expected.sink === 'guest' ? guestOf(about, entry) : 'owed'
      if (delivery === undefined && guest !== 'owed') continue
      if (guest === 'not owed') yield { id: message.id, what: `${name} was made, though no relay knew the rule` }
      if (delivery === undefined || found.length > 1) {
        yield { id: message.id, what: `${found.length} deliveries of ${name}, expected one` }
        continue
      }
      if (delivery.state !== expected.state || (expected.code !== undefined && delivery.code !== expected.code)) {
        yield { id: message.id, what: `${name} is ${delivery.state} (${delivery.code}), expected ${expected.state}` }
      }
      const wrong = expected.state === 'delivered' ? whyNotReached(message, expected, arrivals, tables) : undefined
      if (wrong !== undefined) yield { id: message.id, what: `${name}: ${wrong}` }
    }
  }
}

type Tables = ReadonlyMap<string, ReadonlyMap<string, SyncedRow>>

function tablesOf({ seen, mirror }: Evidence): Tables {
  const byKey = (rows: readonly SyncedRow[]) => new Map(rows.map((row) => [row.key, row]))
  return new Map([
    ['seen', byKey(seen)],
    ['mirror', byKey(mirror)],
  ])
}

function whyNotReached(message: Message, { rule, sink }: Expected, arrivals: Arrivals, tables: Tables): string | undefined {
  const payload = payloadOf(message, sink)
  // Whether the newest event of a subject is there is a check of its own.
  if (sink === 'state') return undefined
  const table = tables.get(sink)
  if (table !== undefined) {
    const row = table.get(message.id)
    if (row === undefined) return 'there is no row'
    return row.payload === payload ? undefined : `the row is ${row.payload}, expected ${payload}`
  }
  const arrived = arrivals
    .of(sink, message.id)
    .filter((arrival) => arrival.taken && (arrival.rule === '' || arrival.rule === rule))
  if (arrived.length === 0) return 'it never arrived'
  return arrived.every((arrival) => arrival.payload === payload) ? undefined : 'it arrived with other bytes'
}

function* checkUnique({ ledger, evidence }: Case): Iterable<Found> {
  for (const [id, rows] of groupBy(evidence.events, ({ webhookId }) => webhookId)) {
    if (rows.length > 1) yield { id, what: `is ${rows.length} events: ${rows.map((row) => row.id).join(', ')}` }
  }
  for (const { message, sendings } of ledger.entries.values()) {
    const received = sendings.filter(({ answer }) => answer === 'received')
    if (received.length > 1) yield { id: message.id, what: `was answered “received” ${received.length} times` }
  }
}

function* checkForgeries({ ledger, arrivals, evidence }: Case): Iterable<Found> {
  for (const { id, how, sendings } of ledger.forgeries) {
    const taken = sendings.find(({ status }) => ![0, 400, 408, 503].includes(status))
    if (taken !== undefined) yield { id, what: `a forged request (${how}) was answered ${taken.status} ${taken.answer}` }
  }
  for (const { webhookId, digest, id } of evidence.events) {
    const sent = ledger.entries.get(webhookId)
    if (sent === undefined) yield { id: webhookId, what: `event ${id} was stored, and nobody sent it validly signed` }
    else if (sent.message.digest !== digest) yield { id: webhookId, what: `event ${id} has another body than what was sent` }
  }
  for (const [sink, id, payload] of everyArrival(arrivals, evidence)) {
    const sent = ledger.entries.get(id)
    if (sent === undefined) yield { id, what: `reached ${sink}, and nobody sent it validly signed` }
    else if (payloadOf(sent.message, sink) !== payload) yield { id, what: `reached ${sink} as something else than what was sent` }
  }
}

const receivingSinks = ['forward', 'refuser', 'ordered', 'guest', 'ops', 'stream']

function* everyArrival(
  arrivals: Arrivals,
  { seen, mirror, state }: Evidence,
): Iterable<[sink: string, id: string, payload: string]> {
  for (const sink of receivingSinks) for (const { id, payload } of arrivals.at(sink)) yield [sink, id, payload]
  for (const [sink, rows] of Object.entries({ seen, mirror, state })) {
    for (const { webhookId, payload } of rows) yield [sink, webhookId, payload]
  }
}

function* checkOnce({ evidence }: Case): Iterable<Found> {
  for (const { webhookId } of evidence.events) {
    const count = evidence.writes.get(webhookId) ?? 0
    if (count !== 1) yield { id: webhookId, what: `its row in \`seen\` was written ${count} times` }
  }
}

function* checkNewest({ ledger, evidence }: Case): Iterable<Found> {
  const newest = new Map<string, { webhookId: string; timeMs: number; id: bigint }>()
  for (const { id, webhookId, timeMs } of evidence.events) {
    const message = ledger.entries.get(webhookId)?.message
    if (message === undefined || !message.type.startsWith('batch.')) continue
    const event = { webhookId, timeMs, id: BigInt(id) }
    const known = newest.get(message.subject)
    if (known === undefined || known.timeMs < timeMs || (known.timeMs === timeMs && known.id < event.id))
      newest.set(message.subject, event)
  }
  const rows = new Map(evidence.state.map((row) => [row.key, row]))
  for (const [subject, { webhookId }] of newest) {
    const row = rows.get(subject)
    if (row?.webhookId !== webhookId)
      yield { id: webhookId, what: `is the newest of ${subject}, whose row is of ${row?.webhookId ?? 'nobody'}` }
  }
}

/** Of two events of a subject the one that was acknowledged before the other was first sent is the older one, whoever stored them. */
function* checkOrder({ ledger, arrivals }: Case): Iterable<Found> {
  for (const entries of groupBy(ledger.entries.values(), ({ message }) => message.subject).values())
    yield* checkSubject(entries, arrivals)
}

function* checkSubject(entries: readonly Entry[], arrivals: Arrivals): Iterable<Found> {
  const first = (id: string, taken: boolean) =>
    arrivals.of('ordered', id).find((arrival) => arrival.taken || !taken)?.at ?? Infinity
  const bySending = entries.toSorted((a, b) => a.firstSentAt - b.firstSentAt)
  const byAnswer = entries
    .filter(({ acknowledgedAt }) => acknowledgedAt !== undefined)
    .toSorted((a, b) => (a.acknowledgedAt ?? 0) - (b.acknowledgedAt ?? 0))
  let latest: { id: string; at: number } | undefined
  for (const { message, firstSentAt } of bySending) {
    // Everything that was acknowledged before this was sent has arrived before it does.
    for (let older = byAnswer[0]; older !== undefined && (older.acknowledgedAt ?? 0) < firstSentAt; older = byAnswer[0]) {
      byAnswer.shift()
      const at = first(older.message.id, true)
      if (latest === undefined || at > latest.at) latest = { id: older.message.id, at }
    }
    if (latest !== undefined && first(message.id, false) < latest.at) {
      yield { id: message.id, what: `arrived before ${latest.id}, which is older and of the same subject` }
    }
  }
}

function* checkSums({ ledger, evidence, sinks }: Case): Iterable<Found> {
  const expected = { delivered: 0, dead: 0, pending: 0, leased: 0 }
  const found: Record<string, number> = { delivered: 0, dead: 0, pending: 0, leased: 0 }
  for (const { webhookId } of evidence.events) {
    const message = ledger.entries.get(webhookId)?.message
    for (const { state, sink } of message === undefined ? [] : expectedOf(message, sinks)) if (sink !== 'guest') expected[state]++
  }
  // Which events are owed to the guest is a question of when they came.
  expected.delivered += evidence.deliveries.filter(({ sink }) => sink === 'guest').length
  for (const { state } of evidence.deliveries) found[state] = (found[state] ?? 0) + 1
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    yield { what: `${JSON.stringify(found)} in the database, expected ${JSON.stringify(expected)}` }
  }
  for (const text of evidence.internal) yield { what: `an attempt failed by a bug: ${text}` }
}

function groupBy<T>(list: Iterable<T>, keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>()
  for (const item of list) {
    const group = groups.get(keyOf(item))
    if (group === undefined) groups.set(keyOf(item), [item])
    else group.push(item)
  }
  return groups
}
