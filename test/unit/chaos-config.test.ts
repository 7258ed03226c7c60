import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createArrivals } from '../chaos/arrivals.ts'
import {
  checkLast,
  checkNeverBroken,
  checkNotTurnedAway,
  checkRevision,
  checkTaken,
  guestOf,
  type Disturbance,
} from '../chaos/config-checks.ts'
import { createConfigHistory, type Seen, type Written } from '../chaos/config-history.ts'
import { brokenYaml, changed, firstVariant, relayYaml, type Surroundings, type Variant } from '../chaos/config.ts'
import { createConfigurations } from '../chaos/configurations.ts'
import { createLedger, type Entry, type Sending } from '../chaos/ledger.ts'
import { createMessages } from '../chaos/messages.ts'
import { createRandom } from '../chaos/random.ts'
import { brokenHow, sinksMadeAnew, type ReloadFault } from '../chaos/reload-faults.ts'
import type { Case, Found } from '../chaos/checks.ts'
import { loadConfig } from '../../src/config/load.ts'

const surroundings: Surroundings = {
  ports: { http: 1, slack: 2, kafka: 3 },
  jwksUri: 'http://127.0.0.1:4/keys',
  audience: 'relay',
  sinks: { kafka: true },
  takenPort: 5,
}

const secret = 'whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHM='
const env = {
  DATABASE_URL: 'postgres://a/b',
  OTHER_URL: 'postgres://a/c',
  SECRET: secret,
  FORWARD_SECRET: secret,
  SLACK_BOT_TOKEN: 'xoxb-1',
}

const loaded = (text: string) => loadConfig({ file: 'relay.yaml', env, readFile: () => text, listFiles: () => [] })

const wrote = (at: number, number: number, odd: Partial<Written> = {}): Written => ({
  at,
  relay: 'a',
  number,
  hash: `hash ${number}`,
  variant: firstVariant,
  what: 'rule text',
  ...odd,
})

const saw = (at: number, number: number, odd: Partial<Seen> = {}): Seen => ({
  askedAt: at - 1,
  at,
  relay: 'a',
  pid: 1,
  hash: `hash ${number}`,
  refused: false,
  reloads: { applied: 0, refused: 0 },
  ...odd,
})

interface Odd {
  written?: Written[]
  seen?: Seen[]
  disturbances?: Disturbance[]
  sendings?: Sending[]
  /** Of messages in Slack: when, and what of. */
  said?: { at: number; revision: number }[]
}

/** Relay a began with configuration 1, long before; relay b is left alone. */
function caseOf({ written = [], seen = [], disturbances = [], sendings = [], said = [] }: Odd): Case {
  const history = createConfigHistory()
  for (const one of [wrote(-Infinity, 1), wrote(-Infinity, 1, { relay: 'b' }), ...written]) history.wrote(one)
  for (const one of [saw(10, 1), saw(10, 1, { relay: 'b' }), ...seen]) history.saw(one)
  const ledger = createLedger()
  const entry = ledger.opened(createMessages(createRandom(1), 'test').next())
  for (const one of sendings) ledger.answered(entry, one)
  const arrivals = createArrivals()
  for (const one of said) arrivals.note({ sink: 'ops', rule: '', id: 'x', taken: true, payload: '', ...one })
  const evidence = {
    events: [],
    deliveries: [],
    internal: [],
    seen: [],
    state: [],
    mirror: [],
    writes: new Map(),
    leases: [],
    connections: [],
  }
  return { history, disturbances, ledger, arrivals, sinks: { kafka: true }, evidence }
}

const found = (check: (about: Case) => Iterable<Found>, odd: Odd) => [...check(caseOf(odd))].map(({ what }) => what)

const broken = { variant: undefined, what: 'bad YAML' }
const withoutGuest: Variant = changed(firstVariant, { what: 'rule gone' })
const calm = 5_000

describe('the configurations of a chaos run', () => {
  const good: Variant[] = [
    firstVariant,
    ...sinksMadeAnew.map((sink) => changed(firstVariant, { what: 'sink anew', sink })),
    ...(['rule text', 'rule appears', 'rule gone', 'sink gone'] as const).map((what) => changed(firstVariant, { what })),
  ]

  it('can each be loaded, and differ', () => {
    const configs = good.map((variant, n) => loaded(relayYaml(surroundings, variant, n)).config)
    expect(new Set(configs.map((config) => JSON.stringify(config))).size).toBe(good.length)
    for (const variant of good) expect(loaded(relayYaml(surroundings, { ...variant, bystander: true }, 1)).hash).toMatch(/^\w+$/)
  })

  it('differ where they are broken, two of them so that they cannot be loaded', () => {
    const text = relayYaml(surroundings, firstVariant, 1)
    const outcomes = brokenHow.map((how) => {
      expect(brokenYaml(text, how, surroundings)).not.toBe(text)
      try {
        return loaded(brokenYaml(text, how, surroundings)).config.server.port
      } catch {
        return 'refused'
      }
    })
    // A port and a table show only to the relay that runs.
    expect(outcomes).toEqual(['refused', 'refused', 5, 0])
  })
})

describe('the files of the relays', () => {
  let dir: string
  beforeEach(() => (dir = mkdtempSync(join(tmpdir(), 'gemini-relay-chaos-files-'))))
  afterEach(() => rmSync(dir, { recursive: true, force: true }))

  const fault = (what: 'sink gone' | 'rule gone' | 'rule text' | 'bad YAML', by: ReloadFault['by'] = 'written'): ReloadFault => ({
    kind: 'reload',
    relays: ['a'],
    ms: 1,
    what,
    by,
  })

  it('say what is meant, with the hash that a relay tells, and end as they began', async () => {
    const history = createConfigHistory()
    const files = createConfigurations({ dir, surroundings, relay: () => undefined, history })
    const text = (relay: 'a' | 'b') => readFileSync(files.fileOf(relay), 'utf8')
    const first = text('a')
    expect(history.last('a')?.hash).toBe(loaded(first).hash)
    const during: string[] = []
    const wait = () => Promise.resolve(void during.push(text('a')))
    await files.reload(fault('sink gone', 'replaced'), wait)
    expect(loaded(during[0] ?? '').config.sinks['guest']).toBeUndefined()
    expect(loaded(text('a')).config).toEqual(loaded(first).config)
    const before = text('a')
    await files.reload(fault('bad YAML'), wait)
    expect(() => loaded(during[1] ?? '')).toThrow('not YAML')
    expect(text('a')).toBe(before)
    expect(text('b')).toBe(first)
    files.finish()
    expect(text('a')).toBe(text('b'))
    expect(history.last('b')?.hash).toBe(loaded(text('a')).hash)
  })

  it('have one change at a time', async () => {
    const files = createConfigurations({ dir, surroundings, relay: () => undefined, history: createConfigHistory() })
    const under = files.reload(fault('rule text'), () => Promise.resolve())
    expect(files.reload(fault('rule gone'), () => Promise.resolve())).toBeUndefined()
    await under
    expect(files.reload(fault('rule gone'), () => Promise.resolve())).toBeDefined()
  })
})

describe('the oracle of reloads', () => {
  it('finds that a relay ran what is broken, what nobody wrote, or what it had left', () => {
    const written = [wrote(1_000, 2, broken), wrote(2_000, 3)]
    expect(found(checkNeverBroken, { written, seen: [saw(1_500, 1), saw(2_500, 3)] })).toEqual([])
    expect(found(checkNeverBroken, { written, seen: [saw(1_500, 2), saw(1_600, 2)] })).toEqual([
      'relay a ran hash 2, which is broken: bad YAML',
    ])
    expect(found(checkNeverBroken, { written, seen: [saw(1_500, 9)] })).toEqual(['relay a ran hash 9, which nobody wrote'])
    expect(found(checkNeverBroken, { written, seen: [saw(2_500, 3), saw(2_600, 1)] })).toEqual([
      'relay a went back to configuration 1 after 3',
    ])
  })

  it('finds that a good one was not taken, where nothing kept the relay from it', () => {
    const written = [wrote(1_000, 2)]
    const late = saw(1_000 + calm + 100, 2)
    expect(found(checkTaken, { written, seen: [saw(2_000, 2), late] })).toEqual([])
    expect(found(checkTaken, { written, seen: [late] })).toHaveLength(1)
    const disturbances: Disturbance[] = [{ relays: ['a'], at: 3_000, until: 4_000, kind: 'away' }]
    expect(found(checkTaken, { written, seen: [late], disturbances })).toEqual([])
    const ofSenders: Disturbance[] = [{ relays: ['a'], at: 3_000, until: 4_000, kind: 'senders' }]
    expect(found(checkTaken, { written, seen: [late], disturbances: ofSenders })).toHaveLength(1)
    const muchLater = saw(30_000, 1)
    expect(found(checkTaken, { written, seen: [muchLater], disturbances })).toHaveLength(1)
    expect(
      found(checkTaken, {
        written,
        seen: [muchLater],
        disturbances: [{ relays: ['a'], at: 3_000, until: Infinity, kind: 'away' }],
      }),
    ).toEqual([])
  })

  it('finds that a broken one was not refused, unless another came soon', () => {
    const written = [wrote(1_000, 2, broken)]
    const last = saw(20_000, 1)
    expect(found(checkTaken, { written, seen: [saw(2_000, 1, { refused: true }), last] })).toEqual([])
    expect(found(checkTaken, { written, seen: [saw(2_000, 1), last] })).toHaveLength(1)
    expect(found(checkTaken, { written: [...written, wrote(2_000, 1)], seen: [saw(3_000, 1), last] })).toEqual([])
    const stuck = [saw(3_000, 1, { refused: true }), last]
    expect(found(checkTaken, { written: [...written, wrote(2_000, 1)], seen: stuck })).toHaveLength(1)
  })

  it('finds that a relay runs another than the last', () => {
    expect(found(checkLast, { written: [wrote(1_000, 2)], seen: [saw(2_000, 1)] })).toEqual([
      'relay a runs hash 1, expected hash 2 (rule text)',
    ])
    expect(found(checkLast, { written: [wrote(1_000, 2)], seen: [saw(2_000, 2)] })).toEqual([])
  })

  it('finds that a reload turned somebody away', () => {
    const written = [wrote(10_000, 2)]
    const sending = (at: number, odd: Partial<Sending> = {}): Sending => ({
      at,
      relay: 'a',
      status: 503,
      answer: 'x',
      tookMs: 5,
      ...odd,
    })
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100)] })).toHaveLength(1)
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100, { status: 0 })] })).toHaveLength(1)
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100, { status: 200 })] })).toEqual([])
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100, { relay: 'b' }), sending(9_000)] })).toEqual([])
    const disturbances: Disturbance[] = [{ relays: ['a'], at: 8_000, until: 9_000, kind: 'away' }]
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100)], disturbances })).toEqual([])
    const ofOther: Disturbance = { relays: ['b'], at: 8_000, until: 9_000, kind: 'away' }
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100)], disturbances: [ofOther] })).toHaveLength(1)
    const locking: Disturbance[] = [{ ...ofOther, kind: 'locks' }]
    expect(found(checkNotTurnedAway, { written, sendings: [sending(10_100)], disturbances: locking })).toEqual([])
  })

  it('finds that a message says what no relay’s rules said any more', () => {
    const written = [wrote(20_000, 2, { variant: { ...firstVariant, revision: 1 } })]
    const other = { relay: 'b' as const }
    const seen = [saw(21_000, 2), saw(21_000, 2, other)]
    const both = [...written, ...written.map((one) => ({ ...one, ...other }))]
    expect(found(checkRevision, { written: both, seen, said: [{ at: 22_000, revision: 0 }] })).toEqual([])
    expect(found(checkRevision, { written: both, seen, said: [{ at: 40_000, revision: 0 }] })).toHaveLength(1)
    expect(found(checkRevision, { written: both, seen, said: [{ at: 40_000, revision: 1 }] })).toEqual([])
    expect(found(checkRevision, { written: both, seen, said: [{ at: 19_000, revision: 1 }] })).toHaveLength(1)
  })

  it.each<[ReturnType<typeof guestOf>, firstSentAt: number, acknowledgedAt: number]>([
    ['owed', 500, 900],
    ['either', 900, 1_100],
    ['either', 1_200, 1_300],
    ['not owed', 1_600, 1_700],
    ['either', 1_600, 2_100],
    ['owed', 2_600, 2_700],
  ])('knows that the guest is %s of a message between %i and %i', (expected, firstSentAt, acknowledgedAt) => {
    const about = caseOf({
      written: [wrote(1_000, 2, { variant: withoutGuest }), wrote(2_000, 3)],
      seen: [saw(1_500, 2), saw(2_500, 3)],
    })
    const [message] = [...about.ledger.entries.values()]
    if (message === undefined) throw new Error('there is no message')
    const sendings: Sending[] = [{ at: acknowledgedAt, relay: 'a', status: 200, answer: 'received', tookMs: 1 }]
    const entry: Entry = { ...message, firstSentAt, acknowledgedAt, sendings }
    expect(guestOf(about, entry)).toBe(expected)
  })
})
