/** Carries out the schedule on a rig, and undoes everything at the end. */
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Disturbance } from './config-checks.ts'
import { describeFault, relayNames, type EdgeName, type Fault, type FaultKind, type RelayName, type Scheduled } from './faults.ts'
import { createRandom } from './random.ts'
import type { ChaosRelay } from './relay.ts'
import type { Rig } from './rig.ts'
import { lockTable, relayDatabase } from './tables.ts'

export interface InjectedFault {
  /** Milliseconds since the epoch. */
  at: number
  what: string
}

export interface Injector {
  /** Settles when the last fault of the schedule has begun, or after `seconds`. */
  run(seconds: number): Promise<void>
  /** Ends what is under way, and brings everything back that is down. */
  end(): Promise<void>
  /** What was done, in order; a fault that met nobody is marked. */
  done: readonly InjectedFault[]
  /** When relays could not be expected to answer or to reload. */
  disturbances: readonly Disturbance[]
  /** By kind, of what was done. */
  counts(): Readonly<Partial<Record<FaultKind, number>>>
}

/** The table whose rows must be written exactly once. */
const lockedTable = 'seen'

export function createInjector({ rig, schedule, seed }: { rig: Rig; schedule: readonly Scheduled[]; seed: number }): Injector {
  const random = createRandom(seed).fork('injector')
  const ending = new AbortController()
  // As many as there are faults under way at once.
  setMaxListeners(0, ending.signal)
  const underWay = new Set<Promise<unknown>>()
  const done: InjectedFault[] = []
  const disturbances: Disturbance[] = []
  const counts: Partial<Record<FaultKind, number>> = {}
  let postgresBusy = false

  /** Until the end at the latest. */
  const wait = (ms: number) => sleep(ms, undefined, { signal: ending.signal }).catch(() => {})

  function begin(fault: Fault): void {
    const work = carryOut(fault)
    const mark = (work === undefined && 'nobody there: ') || ''
    done.push({ at: Date.now(), what: `${mark}${describeFault(fault)}` })
    if (work === undefined) return
    counts[fault.kind] = (counts[fault.kind] ?? 0) + 1
    underWay.add(work)
    void work.finally(() => underWay.delete(work))
  }

  /** Undefined where there is nobody to do it to. */
  function carryOut(fault: Fault): Promise<unknown> | undefined {
    switch (fault.kind) {
      case 'kill relay':
        return withRelay(fault, ['up', 'starting', 'frozen'], async (relay) => {
          await relay.kill()
          await wait(fault.downMs)
          await relay.start()
        })
      case 'stop relay':
        return withRelay(fault, ['up'], async (relay) => {
          await relay.stop()
          await wait(fault.downMs)
          await relay.start()
        })
      case 'upgrade relay':
        return withRelay(fault, ['up'], async (relay) => {
          await relay.stop()
          upgraded[relay.name] = !upgraded[relay.name]
          relay.use(upgraded[relay.name] ? rig.builds.next : rig.builds.now)
          await relay.start()
        })
      case 'freeze relay':
        return withRelay(fault, ['up'], async (relay) => {
          relay.freeze()
          await wait(fault.ms)
          relay.thaw()
        })
      case 'kill postgres':
        return withPostgres(fault, async () => {
          await rig.postgres.kill()
          await wait(fault.downMs)
          await rig.postgres.start()
        })
      case 'stop postgres':
        return withPostgres(fault, async () => {
          await rig.postgres.stopImmediately()
          await wait(fault.downMs)
          await rig.postgres.start()
        })
      case 'kill backend':
        return withPostgres(fault, () => rig.postgres.killBackend((count) => random.between(0, count - 1)).catch(() => false))
      case 'connection': {
        const proxy = rig.proxies.get(fault.edge)
        if (proxy === undefined || proxy.busy()) return undefined
        return disturbing(fault, behind(fault.edge), () => proxy.strike(fault.fault))
      }
      case 'sink':
        return sinkFault(fault)
      case 'reload':
        return rig.configurations.reload(fault, wait)
      default:
        return fault satisfies never
    }
  }

  const upgraded: Record<RelayName, boolean> = { a: false, b: false }
  const busy = new Set<ChaosRelay>()

  /** The relay that was drawn, else the other, whichever is in one of these states. */
  function withRelay(
    fault: Extract<Fault, { relay: RelayName }>,
    states: readonly ReturnType<ChaosRelay['state']>[],
    act: (relay: ChaosRelay) => Promise<void>,
  ): Promise<void> | undefined {
    const [first, second] = fault.relay === 'a' ? [rig.relays.a, rig.relays.b] : [rig.relays.b, rig.relays.a]
    // A frozen one may be killed while it is frozen; else one thing at a time.
    const free = [first, second].find(
      (relay) => states.includes(relay.state()) && (!busy.has(relay) || relay.state() === 'frozen'),
    )
    if (free === undefined) return undefined
    busy.add(free)
    return disturbing(fault, [free.name], () => act(free)).finally(() => busy.delete(free))
  }

  function withPostgres<T>(fault: Fault, act: () => Promise<T>): Promise<T> | undefined {
    if (postgresBusy || !rig.postgres.isUp()) return undefined
    postgresBusy = true
    return disturbing(fault, relayNames, act).finally(() => (postgresBusy = false))
  }

  async function disturbing<T>(fault: Fault, relays: readonly RelayName[], act: () => Promise<T>): Promise<T> {
    const disturbance = { relays, at: Date.now(), until: Infinity, kind: kindOf(fault) }
    disturbances.push(disturbance)
    try {
      return await act()
    } finally {
      disturbance.until = Date.now()
    }
  }

  function sinkFault(fault: Extract<Fault, { kind: 'sink' }>): Promise<unknown> {
    switch (fault.sink) {
      case 'http':
        rig.receiver.answer(fault.answer)
        return wait(fault.ms).then(() => rig.receiver.answer(undefined))
      case 'slack':
        rig.slack.answer(fault.answer)
        return wait(fault.ms).then(() => rig.slack.answer(undefined))
      case 'table':
        return lockTable(rig.postgres.url(relayDatabase), lockedTable, wait(fault.ms)).catch(() => {})
      default:
        return fault satisfies never
    }
  }

  return {
    done,
    disturbances,
    counts: () => counts,
    async run(seconds) {
      const begun = performance.now()
      for (const { atMs, fault } of schedule) {
        await wait(atMs - (performance.now() - begun))
        if (ending.signal.aborted) return
        begin(fault)
      }
      await wait(seconds * 1_000 - (performance.now() - begun))
    },
    async end() {
      ending.abort()
      for (const proxy of rig.proxies.values()) proxy.heal()
      await Promise.all(underWay)
      rig.receiver.answer(undefined)
      rig.slack.answer(undefined)
      for (const name of relayNames) if (rig.relays[name].state() === 'frozen') rig.relays[name].thaw()
    },
  }
}

/** Whose senders or databases are at the other end. */
function behind(edge: EdgeName): readonly RelayName[] {
  return relayNames.filter((name) => edge === 'other' || edge.endsWith(`-${name}`))
}

/** A backend that is killed leaves no lock, one that nobody hears of does. */
function kindOf(fault: Fault): Disturbance['kind'] {
  if (fault.kind === 'freeze relay') return 'locks'
  if (fault.kind !== 'connection') return 'away'
  if (fault.edge.startsWith('sender')) return 'senders'
  return fault.edge.startsWith('postgres') ? 'locks' : 'away'
}
