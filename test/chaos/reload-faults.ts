/** Which configurations relays are given while they run, drawn from the seed alone. */
import { inTurns, type Random } from './random.ts'

/** Sinks of config.ts; without Kafka `stream` is none, and what is drawn for it says nothing new. */
export const sinksMadeAnew = ['forward', 'ordered', 'refuser', 'guest', 'seen', 'state', 'mirror', 'ops', 'stream'] as const
export type SinkMadeAnew = (typeof sinksMadeAnew)[number]

/** Each is refused where it is reloaded, and kept from starting where a relay begins with it. */
export const brokenHow = ['bad YAML', 'unknown sink', 'changed port', 'missing column'] as const
export type BrokenHow = (typeof brokenHow)[number]

export type GoodChange =
  /** Its settings are others from now on. */
  | { what: 'sink anew'; sink: SinkMadeAnew | 'all' }
  /** Of a message; its sink stays. */
  | { what: 'rule text' }
  /** One that nothing matches, to all sinks: each of their lanes is another then, and another again. */
  | { what: 'rule appears' }
  /** Of the guest: what it is owed waits until it is back. */
  | { what: 'rule gone' | 'sink gone' }

type Relays = readonly ('a' | 'b')[]

const relaySets: readonly [Relays, ...Relays[]] = [['a'], ['b'], ['a', 'b'], ['a', 'b']]

const ways = ['signal', 'written', 'replaced'] as const

export type ReloadFault = (GoodChange | { what: BrokenHow }) & {
  kind: 'reload'
  relays: Relays
  /** How a relay hears of it: its file is written and it gets a SIGHUP, or the file is only written, or another takes its place. */
  by: (typeof ways)[number]
  /** Until what passes has passed, and what is broken is mended. */
  ms: number
}

export function isBroken(fault: ReloadFault): fault is ReloadFault & { what: BrokenHow } {
  return brokenHow.some((how) => how === fault.what)
}

export function reloads(random: Random): () => ReloadFault | undefined {
  const drawn = inTurns(random, [
    'sink anew',
    'all sinks anew',
    'rule text',
    'rule appears',
    'rule gone',
    'sink gone',
    ...brokenHow,
  ] as const)
  const sink = inTurns(random, sinksMadeAnew)
  return () => {
    const what = drawn()
    if (what === undefined) return undefined
    const relays = random.pick(relaySets)
    const about = {
      kind: 'reload',
      relays,
      by: random.pick(ways),
      ms: random.between(500, 6_000),
    } as const
    if (what === 'sink anew') return { ...about, what, sink: sink() ?? 'all' }
    if (what === 'all sinks anew') return { ...about, what: 'sink anew', sink: 'all' }
    return { ...about, what }
  }
}
