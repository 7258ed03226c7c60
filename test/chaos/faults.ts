/** What can go wrong, and when: drawn from the seed and the length of the run alone. */
import { createRandom, inTurns, type Random } from './random.ts'
import { reloads, type ReloadFault } from './reload-faults.ts'

export const relayNames = ['a', 'b'] as const
export type RelayName = (typeof relayNames)[number]

/** Where bytes pass a proxy: `sender-a` is from the senders to relay a, `postgres-a` from relay a to the relays' database. */
export const edgeNames = ['sender-a', 'sender-b', 'postgres-a', 'postgres-b', 'other', 'http', 'slack', 'kafka'] as const
export type EdgeName = (typeof edgeNames)[number]

export type ConnectionFault =
  /** Every connection is reset; where there is none, the next one. */
  | { kind: 'reset' }
  /** Bytes are held back, and arrive afterwards, also those of a client that has given up meanwhile. `up`: what the client says. */
  | { kind: 'stall'; ms: number; way: 'up' | 'both' }
  /** What the client says arrives, what it is told gets lost; then a reset. */
  | { kind: 'half-open'; ms: number }
  | { kind: 'slow'; ms: number; bytesPerSecond: number }
  /** The connection that carries this byte, counted from now, is reset in the middle of what it says. */
  | { kind: 'cut'; ms: number; afterBytes: number; direction: 'up' | 'down' }

export type SinkFault =
  | { sink: 'http'; answer: 'error' | 'rate limited' | 'silence' | 'hang up'; ms: number }
  | { sink: 'slack'; answer: 'error' | 'rate limited' | 'silence' | 'cut short'; ms: number }
  /** Another session locks a table of the sinks. */
  | { sink: 'table'; answer: 'locked'; ms: number }

export type Fault =
  /** kill -9, back after a while. */
  | { kind: 'kill relay'; relay: RelayName; downMs: number }
  /** SIGTERM. */
  | { kind: 'stop relay'; relay: RelayName; downMs: number }
  /** kill -9 of the postmaster, or its immediate shutdown. */
  | { kind: 'kill postgres' | 'stop postgres'; downMs: number }
  /** kill -9 of one backend, upon which Postgres ends all connections and recovers. */
  | { kind: 'kill backend' }
  /** SIGSTOP for longer than a lease lasts. */
  | { kind: 'freeze relay'; relay: RelayName; ms: number }
  /** One relay comes back as the next release, or as this one again; the other goes on meanwhile. */
  | { kind: 'upgrade relay'; relay: RelayName }
  | { kind: 'connection'; edge: EdgeName; fault: ConnectionFault }
  | ({ kind: 'sink' } & SinkFault)
  /** Relays that run are given another configuration. */
  | ReloadFault

export type FaultKind = Fault['kind']

export const faultKinds: readonly FaultKind[] = [
  'kill relay',
  'stop relay',
  'kill postgres',
  'stop postgres',
  'kill backend',
  'freeze relay',
  'upgrade relay',
  'connection',
  'sink',
  'reload',
]

export interface Scheduled {
  /** From the beginning of the run. */
  atMs: number
  fault: Fault
}

/** A lease lasts 30 s (src/deliver/leases.ts), and expired ones are looked for every 2 s. */
const beyondLease = { min: 34_000, max: 38_000 }

/** A process that is replaced is away for a moment; a machine that is, for longer. */
const downMs = { min: 300, max: 4_000 }

/** How often each family strikes; `least` lets a short run see each of its kinds. */
const families = {
  deaths: { everySeconds: 32, least: 5 },
  pauses: { everySeconds: 120, least: 1 },
  upgrades: { everySeconds: 150, least: 1 },
  connections: { everySeconds: 7, least: 10 },
  sinks: { everySeconds: 12, least: 6 },
  reloads: { everySeconds: 6, least: 10 },
}

/**
 * Pure: the same arguments give the same schedule.
 *
 * @param only the kinds to draw; all when empty
 */
export function drawSchedule(seed: number, seconds: number, only: readonly FaultKind[] = []): Scheduled[] {
  const random = createRandom(seed).fork('faults')
  const others = [
    ...spread(random.fork('deaths'), families.deaths, seconds, deaths),
    ...spread(random.fork('upgrades'), families.upgrades, seconds, upgrades),
    ...spread(random.fork('connections'), families.connections, seconds, connections),
    ...spread(random.fork('sinks'), families.sinks, seconds, sinks),
    // One that begins late in a short run ends with it, before the lease does.
    ...spread(random.fork('pauses'), families.pauses, Math.max(seconds - beyondLease.max / 1_000, 10), pauses).flatMap(
      withBacklog,
    ),
  ]
  const drawn = [
    ...others,
    ...spread(random.fork('reloads'), families.reloads, seconds, reloads),
    ...beside(random.fork('reloads beside'), others),
  ]
  return drawn.filter(({ fault }) => only.length === 0 || only.includes(fault.kind)).toSorted((a, b) => a.atMs - b.atMs)
}

type Draw = (random: Random) => () => Fault | undefined

/** One in each of equal parts of the run, somewhere in it. */
function spread(
  random: Random,
  { everySeconds, least }: { everySeconds: number; least: number },
  seconds: number,
  kinds: Draw,
): Scheduled[] {
  const count = Math.max(least, Math.round(seconds / everySeconds))
  const draw = kinds(random)
  return Array.from({ length: count }, (_, n) => {
    const atMs = Math.round(((n + random.next()) / count) * seconds * 1_000)
    const fault = draw()
    return fault === undefined ? [] : [{ atMs, fault }]
  }).flat()
}

const deaths: Draw = (random) => {
  const kind = inTurns(random, ['kill relay', 'stop relay', 'kill postgres', 'stop postgres', 'kill backend'] as const)
  return () => {
    const drawn = kind()
    const away = random.between(downMs.min, downMs.max)
    if (drawn === undefined) return undefined
    if (drawn === 'kill backend') return { kind: drawn }
    if (drawn === 'kill postgres' || drawn === 'stop postgres') return { kind: drawn, downMs: away }
    return { kind: drawn, relay: random.pick(relayNames), downMs: away }
  }
}

const pauses: Draw = (random) => {
  const kind = inTurns(random, ['freeze', 'stall'] as const)
  return () => {
    const ms = random.between(beyondLease.min, beyondLease.max)
    if (kind() === 'freeze') return { kind: 'freeze relay', relay: random.pick(relayNames), ms }
    return { kind: 'connection', edge: random.pick(['postgres-a', 'postgres-b']), fault: { kind: 'stall', ms, way: 'up' } }
  }
}

/** A table that is locked when the stall begins makes sure that statements are on their way: as it is released, many go out at once. */
const lockedFirst = { beforeMs: 1_000, ms: 1_500 }

function withBacklog(pause: Scheduled): Scheduled[] {
  if (pause.fault.kind !== 'connection') return [pause]
  const atMs = Math.max(0, pause.atMs - lockedFirst.beforeMs)
  return [{ atMs, fault: { kind: 'sink', sink: 'table', answer: 'locked', ms: lockedFirst.ms } }, pause]
}

/** A reload may find the relay, its Postgres or Kafka just gone, or lose them half-way. */
const besideMs = 1_500

function beside(random: Random, others: readonly Scheduled[]): Scheduled[] {
  const draw = reloads(random)
  return others.flatMap(({ atMs, fault }) => {
    const isNear = fault.kind === 'connection' ? /^(postgres|kafka|other)/.test(fault.edge) : fault.kind !== 'sink'
    if (!isNear || random.next() < 0.5) return []
    const reload = draw()
    return reload === undefined ? [] : [{ atMs: Math.max(0, atMs + random.between(-besideMs, besideMs)), fault: reload }]
  })
}

const upgrades: Draw = (random) => () => ({ kind: 'upgrade relay', relay: random.pick(relayNames) })

const connections: Draw = (random) => {
  const edge = inTurns(random, edgeNames)
  const kind = inTurns(random, ['reset', 'stall', 'half-open', 'slow', 'cut'] as const)
  return () => {
    const [where, how] = [edge(), kind()]
    const ms = random.between(500, 6_000)
    if (where === undefined || how === undefined) return undefined
    return { kind: 'connection', edge: where, fault: connectionFault(how, ms, random) }
  }
}

function connectionFault(kind: ConnectionFault['kind'], ms: number, random: Random): ConnectionFault {
  switch (kind) {
    case 'reset':
      return { kind }
    case 'stall':
      return { kind, ms, way: random.pick(['up', 'both']) }
    case 'half-open':
      return { kind, ms }
    case 'slow':
      return { kind, ms, bytesPerSecond: random.between(10, 200) * 1_024 }
    case 'cut':
      return { kind, ms, afterBytes: random.between(1, 4_000), direction: random.pick(['up', 'down']) }
    default:
      return kind satisfies never
  }
}

const sinks: Draw = (random) => {
  const draw = inTurns(random, [
    { sink: 'http', answer: 'error' },
    { sink: 'slack', answer: 'error' },
    { sink: 'table', answer: 'locked' },
    { sink: 'http', answer: 'rate limited' },
    { sink: 'slack', answer: 'rate limited' },
    { sink: 'http', answer: 'silence' },
    { sink: 'slack', answer: 'silence' },
    { sink: 'http', answer: 'hang up' },
    { sink: 'slack', answer: 'cut short' },
  ] as const)
  return () => {
    const what = draw()
    return what === undefined ? undefined : { kind: 'sink', ...what, ms: random.between(500, 5_000) }
  }
}

/** One line of a log. */
export function describeFault(fault: Fault): string {
  if (fault.kind === 'connection') {
    const { kind, ...details } = fault.fault
    return `${kind} on ${fault.edge}${detailsOf(details)}`
  }
  if (fault.kind === 'sink') return `sink ${fault.sink}: ${fault.answer}${detailsOf({ ms: fault.ms })}`
  if (fault.kind === 'reload') {
    const { kind, what, ...details } = fault
    return `${kind}, ${what}${detailsOf(details)}`
  }
  const { kind, ...details } = fault
  return `${kind}${detailsOf(details)}`
}

function detailsOf(details: object): string {
  return Object.entries(details)
    .map(([name, value]) => `, ${name} ${value}`)
    .join('')
}
