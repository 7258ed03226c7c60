import { describe, expect, it } from 'vitest'
import { createArrivals, type Arrival, type Arrivals } from '../chaos/arrivals.ts'
import { judge, type Case } from '../chaos/checks.ts'
import { createConfigHistory, type ConfigHistory } from '../chaos/config-history.ts'
import { firstVariant } from '../chaos/config.ts'
import type { Evidence } from '../chaos/evidence.ts'
import { relayNames } from '../chaos/faults.ts'
import { createLedger, type Sending } from '../chaos/ledger.ts'
import { createMessages, expectedOf, payloadOf, type Message, type Sinks } from '../chaos/messages.ts'
import { createRandom } from '../chaos/random.ts'

const sinks: Sinks = { kafka: true }

const sending = (at: number, odd: Partial<Sending> = {}): Sending => ({
  at,
  relay: 'a',
  status: 200,
  answer: 'received',
  tookMs: 1,
  ...odd,
})

/** Messages of every kind, and two of one subject, the second sent when the first was acknowledged. */
function messages(): Message[] {
  const factory = createMessages(createRandom(1), 'test')
  const drawn = Array.from({ length: 60 }, () => factory.next())
  expect(new Set(drawn.map(({ kind }) => kind)).size).toBe(7)
  const [older, younger] = drawn.filter(({ kind }) => kind === 'plain')
  if (older === undefined || younger === undefined) throw new Error('none is plain')
  return drawn.map((message) =>
    message === younger ? { ...message, subject: older.subject, time: (older.time ?? 0) + 1 } : message,
  )
}

/** Both relays ran one configuration all the time. */
function steadyHistory(): ConfigHistory {
  const history = createConfigHistory()
  for (const relay of relayNames) {
    history.wrote({ at: -Infinity, relay, number: 1, hash: 'first', variant: firstVariant, what: 'the first' })
    history.saw({ askedAt: 1, at: 2, relay, pid: 1, hash: 'first', refused: false, reloads: { applied: 0, refused: 0 } })
  }
  return history
}

/** A run in which everything went as promised. */
function goodCase(sent = messages()): Case {
  const ledger = createLedger()
  const arrivals = createArrivals()
  for (const [n, message] of sent.entries()) {
    const entry = ledger.opened(message)
    entry.firstSentAt = n * 10
    ledger.answered(entry, sending(n * 10 + 5))
    for (const { rule, sink } of expectedOf(message, sinks)) {
      const revision = sink === 'ops' ? { revision: 0 } : {}
      arrivals.note({ sink, rule, id: message.id, at: n * 10 + 6, taken: true, payload: payloadOf(message, sink), ...revision })
    }
  }
  const row = (message: Message, sink: string, key = message.id) => ({
    key,
    webhookId: message.id,
    payload: payloadOf(message, sink),
  })
  const newest = new Map<string, Message>()
  for (const message of sent.filter(({ type }) => type.startsWith('batch.'))) {
    const known = newest.get(message.subject)
    if (known === undefined || (message.time ?? 0) >= (known.time ?? 0)) newest.set(message.subject, message)
  }
  return {
    ledger,
    arrivals,
    sinks,
    history: steadyHistory(),
    disturbances: [],
    evidence: {
      events: sent.map((message, n) => ({
        id: String(n + 1),
        webhookId: message.id,
        digest: message.digest,
        timeMs: message.time ?? 0,
      })),
      deliveries: sent.flatMap((message) =>
        expectedOf(message, sinks).map(({ rule, sink, state, code = null }) => ({
          webhookId: message.id,
          rule,
          sink,
          state,
          code,
        })),
      ),
      internal: [],
      seen: sent.map((message) => row(message, 'seen')),
      mirror: sent.map((message) => row(message, 'mirror')),
      state: [...newest].map(([subject, message]) => row(message, 'state', subject)),
      writes: new Map(sent.map(({ id }) => [id, 1])),
      leases: [],
      connections: [],
    },
  }
}

/** Arrivals that their sink's end noted otherwise. */
function arrivalsWith({ arrivals }: Case, change: (arrival: Arrival) => Arrival[]): Arrivals {
  const changed = createArrivals()
  for (const sink of ['forward', 'refuser', 'ordered', 'guest', 'ops', 'stream'])
    for (const arrival of arrivals.at(sink)) for (const noted of change(arrival)) changed.note(noted)
  return changed
}

const reached = 'every acknowledged event reached every sink its rules name'
const unique = 'each webhook-id is one event'
const sound = 'nothing arrived that was not sent and validly signed'
const once = 'the table in the relay’s database saw each event exactly once'
const newest = 'the table keyed by subject holds the newest event'
const order = 'the events of a subject arrive in order where a sink asks for it'
const sums = 'delivered, dead and pending add up'

type Spoil = (good: Case, message: Message) => Partial<Omit<Case, 'evidence'>> & { evidence?: Partial<Evidence> }

/** What went wrong with one message, and the checks that have to find it. */
const wrongs: [what: string, found: string[], spoil: Spoil][] = [
  [
    'an acknowledged event is not stored',
    [reached],
    ({ evidence: { events, deliveries } }, { id }) => ({
      evidence: {
        events: events.filter(({ webhookId }) => webhookId !== id),
        deliveries: deliveries.filter(({ webhookId }) => webhookId !== id),
      },
    }),
  ],
  [
    'a delivery is still pending',
    [reached, sums],
    ({ evidence: { deliveries } }, { id }) => ({
      evidence: {
        deliveries: deliveries.map((one) => (one.webhookId === id && one.sink === 'stream' ? { ...one, state: 'pending' } : one)),
      },
    }),
  ],
  [
    'a delivery is there twice',
    [reached, sums],
    ({ evidence: { deliveries } }, { id }) => ({
      evidence: { deliveries: deliveries.flatMap((one) => (one.webhookId === id && one.sink === 'stream' ? [one, one] : [one])) },
    }),
  ],
  [
    'a delivery is dead for another reason than it should be',
    [reached],
    ({ evidence: { deliveries } }) => ({
      evidence: { deliveries: deliveries.map((one) => (one.code === 'rejected' ? { ...one, code: 'expired' } : one)) },
    }),
  ],
  [
    'what is marked delivered never arrived',
    [reached],
    (good, { id }) => ({ arrivals: arrivalsWith(good, (one) => (one.id === id && one.sink === 'forward' ? [] : [one])) }),
  ],
  [
    'what arrived was answered 500',
    [reached],
    (good, { id }) => ({
      arrivals: arrivalsWith(good, (one) => [one.id === id && one.sink === 'forward' ? { ...one, taken: false } : one]),
    }),
  ],
  [
    'it arrived with other bytes',
    [reached, sound],
    (good, { id }) => ({
      arrivals: arrivalsWith(good, (one) => [one.id === id && one.sink === 'forward' ? { ...one, payload: 'other' } : one]),
    }),
  ],
  [
    'its row in another database is missing',
    [reached],
    ({ evidence: { mirror } }, { id }) => ({ evidence: { mirror: mirror.filter(({ key }) => key !== id) } }),
  ],
  [
    'it is two events',
    [unique, sums],
    ({ evidence: { events } }, { id }) => ({
      evidence: { events: events.flatMap((one) => (one.webhookId === id ? [one, { ...one, id: '999' }] : [one])) },
    }),
  ],
  [
    'a stored event was never sent',
    [sound, once],
    ({ evidence: { events } }) => ({
      evidence: { events: [...events, { id: '999', webhookId: 'forged', digest: '', timeMs: 0 }] },
    }),
  ],
  [
    'a stored event has another body',
    [sound],
    ({ evidence: { events } }, { id }) => ({
      evidence: { events: events.map((one) => (one.webhookId === id ? { ...one, digest: 'other' } : one)) },
    }),
  ],
  [
    'what nobody sent arrived at a sink',
    [sound],
    (good, { id }) => ({ arrivals: arrivalsWith(good, (one) => (one.id === id ? [one, { ...one, id: 'forged' }] : [one])) }),
  ],
  [
    'its row was written twice',
    [once],
    ({ evidence: { writes } }, { id }) => ({ evidence: { writes: new Map([...writes, [id, 2]]) } }),
  ],
  [
    'its row was never written',
    [once],
    ({ evidence: { writes } }, { id }) => ({ evidence: { writes: new Map([...writes, [id, 0]]) } }),
  ],
  [
    'the row of its subject is of an older event',
    [newest],
    ({ evidence: { state } }, message) => ({
      evidence: {
        state: state.map((row) =>
          row.key === message.subject ? { ...row, webhookId: message.id, payload: payloadOf(message, 'state') } : row,
        ),
      },
    }),
  ],
  [
    'a younger event of its subject arrived first',
    [order],
    (good, { id }) => ({
      arrivals: arrivalsWith(good, (one) => [one.id === id && one.sink === 'ordered' ? { ...one, at: 100_000 } : one]),
    }),
  ],
  ['an attempt failed by a bug', [sums], () => ({ evidence: { internal: ['a sink threw'] } })],
]

describe('the oracle of the chaos run', () => {
  it('finds nothing where every promise was kept', () => {
    expect(judge(goodCase())).toEqual([])
  })

  it.each(wrongs)('finds that %s', (_, found, spoil) => {
    const good = goodCase()
    const message = [...good.ledger.entries.values()].find((entry) => entry.message.kind === 'plain')?.message
    if (message === undefined) throw new Error('no message is plain')
    const { evidence, ...rest } = spoil(good, message)
    const bad = { ...good, ...rest, evidence: { ...good.evidence, ...evidence } }
    expect(new Set(judge(bad).map(({ check }) => check))).toEqual(new Set(found))
  })

  it('finds a valid request that was refused', () => {
    const { ledger, ...rest } = goodCase()
    for (const entry of ledger.entries.values()) ledger.answered(entry, sending(1, { status: 400, answer: 'stale_timestamp' }))
    expect(new Set(judge({ ledger, ...rest }).map(({ check }) => check))).toEqual(new Set([reached]))
  })

  it('finds a webhook-id that was new twice', () => {
    const { ledger, ...rest } = goodCase()
    for (const entry of ledger.entries.values()) ledger.answered(entry, sending(1))
    expect(new Set(judge({ ledger, ...rest }).map(({ check }) => check))).toEqual(new Set([unique]))
  })

  it('finds a forgery that was let in', () => {
    const { ledger, ...rest } = goodCase()
    ledger.forgeries.push({ id: 'forged', how: 'stranger', sendings: [sending(1)] })
    expect(new Set(judge({ ledger, ...rest }).map(({ check }) => check))).toEqual(new Set([sound]))
  })
})
