/** deliver: everything between a committed delivery and its outcome. */
import { isDeepStrictEqual } from 'node:util'
import type { LeaseDesk } from '../accept/desk.ts'
import { keepsOrder, type Config, type SinkConfig } from '../config/schema.ts'
import { whenAborted } from '../lifecycle.ts'
import type { Jobs } from '../gemini/jobs.ts'
import type { Log } from '../log.ts'
import type { Sink } from '../sinks/sink.ts'
import { claimHeads } from '../store/claim-ordered.ts'
import { claimDeliveries } from '../store/claim.ts'
import { findPendingPairs } from '../store/deliveries.ts'
import type { Listener } from '../store/listener.ts'
import type { Pool } from '../store/pool.ts'
import type { LeasedDelivery } from '../types.ts'
import { createLane, type Lane } from './lane.ts'
import { planLanes, type LanePlan } from './lanes.ts'
import { createLeases, leaseMarginMs, leaseMs } from './leases.ts'
import { createLimits, type Limits } from './limits.ts'
import { backlogChannel, createNotifier } from './notify.ts'
import { createOutcomes } from './outcomes.ts'
import type { Pauses } from './pauses.ts'
import { createSweeper } from './sweeper.ts'

export interface DelivererOptions {
  pool: Pool
  /** For claims, with their settings. */
  claimPool: Pool
  /** Of the same database; started and stopped by whoever made it. */
  listener: Listener
  holder: string
  pauses: Pauses
  log: Log
}

/** What a configuration delivers to. */
export interface Delivering {
  config: Config
  /** Started. */
  sinks: ReadonlyMap<string, Sink>
  /** Where a rule enriches. */
  jobs: Jobs | undefined
}

export interface Deliverer {
  desk: LeaseDesk
  start(): void
  /**
   * Goes by another configuration from now on, at once: lanes of sinks and rules that stay as they are go on, the others give back
   * what they have not begun. Not while the desk holds a place for somebody.
   *
   * @returns when nothing of what was there before is under way any more
   */
  use(delivering: Delivering): Promise<void>
  /** (sink, rule) pairs with pending deliveries that this configuration does not know. */
  unknownPairs(): Promise<{ sink: string; rule: string }[]>
  /** Finishes attempts under way until `deadline` aborts them, writes their outcomes and gives the other leases back. */
  stop(deadline: AbortSignal): Promise<void>
}

interface RunningLane {
  lane: Lane
  plan: LanePlan
  sink: Sink
  jobs: Jobs | undefined
  isOrdered: boolean
}

export function createDeliverer({ pool, claimPool, listener, holder, pauses, log }: DelivererOptions): Deliverer {
  const leases = createLeases({ pool, log })
  const outcomes = createOutcomes({ pool, leases, log })
  const notifier = createNotifier({ pool, log })
  const unlisten = listener.on(backlogChannel, wake)
  pauses.onChange(wake)
  const sweeper = createSweeper({ pool, log, takenOver: wake })
  let started = false
  let jobs: Jobs | undefined
  let running: readonly RunningLane[] = []
  let shared: ReadonlyMap<string, { sink: Sink; limits: Limits }> = new Map()
  let laneOf: ReadonlyMap<string, Lane> = new Map()
  /** Lanes of earlier configurations whose attempts have not ended. */
  const retiring = new Set<Promise<void>>()
  const deadline = new AbortController()

  function makeLane(plan: LanePlan, config: SinkConfig, sink: Sink, limits: Limits): Lane {
    const { name, sink: sinkName, rules, enriched } = plan
    if (enriched !== undefined && jobs === undefined) throw new Error(`nothing to enrich ${name} with`)
    const claimFrom = keepsOrder(config) ? claimHeads : claimDeliveries
    return createLane({
      name,
      sinkName,
      rules,
      config,
      sink,
      limits,
      ...(enriched !== undefined && jobs !== undefined && { enrich: { jobs, unavailable: enriched } }),
      outcomes,
      async claim(limit) {
        const claim = await claimFrom(claimPool, { sink: sinkName, rules, limit, holder, leaseMs, leaseMarginMs })
        leases.opened(claim.deliveries)
        return claim
      },
      overloaded: () => notifier.notify(sinkName),
      othersDue: () => wake(sinkName),
      paused: () => pauses.isPaused(sinkName),
      gone: ({ message }) => pauses.gone(sinkName, message),
      log,
    })
  }

  function wake(sink: string): void {
    for (const { lane } of running) if (lane.sinkName === sink) lane.wake()
  }

  function laneFor(rule: string, sink: string): Lane {
    const lane = laneOf.get(pairKey(rule, sink))
    if (lane === undefined) throw new Error(`no lane carries rule ${rule} to sink ${sink}`)
    return lane
  }

  const desk: LeaseDesk = {
    reserve: (rule, sink) => laneOf.get(pairKey(rule, sink))?.reserve() ?? false,
    cancel: (rule, sink) => laneFor(rule, sink).cancel(),
    handOver(deliveries) {
      leases.opened(deliveries)
      const byLane = new Map<Lane, LeasedDelivery[]>()
      for (const delivery of deliveries) {
        const lane = laneFor(delivery.rule, delivery.sink)
        const list = byLane.get(lane)
        if (list === undefined) byLane.set(lane, [delivery])
        else list.push(delivery)
      }
      for (const [lane, list] of byLane) lane.push(list)
    },
    overflowed: (rule, sink) => laneOf.get(pairKey(rule, sink))?.overflowed(),
  }

  /** Limits stay with their sink: what it was told to wait, and what its breaker knows. */
  function limitsFor(name: string, config: SinkConfig, sink: Sink): Limits {
    const known = shared.get(name)
    return known?.sink === sink ? known.limits : createLimits(config, () => performance.now())
  }

  async function retire(lanes: readonly Lane[]): Promise<void> {
    const stopped = Promise.all(lanes.map((lane) => lane.stop(deadline.signal))).then(() => undefined)
    retiring.add(stopped)
    await stopped
    retiring.delete(stopped)
  }

  return {
    desk,
    start() {
      started = true
      sweeper.start()
      for (const { lane } of running) lane.start()
    },
    use(next) {
      jobs = next.jobs
      const limits = new Map<string, { sink: Sink; limits: Limits }>()
      const before = running
      running = planLanes(next.config).map((plan) => {
        const sink = next.sinks.get(plan.sink)
        const config = next.config.sinks[plan.sink]
        if (sink === undefined || config === undefined) throw new Error(`no sink ${plan.sink}`)
        const shares = limits.get(plan.limits) ?? { sink, limits: limitsFor(plan.limits, config, sink) }
        limits.set(plan.limits, shares)
        const asked = plan.enriched === undefined ? undefined : jobs
        const same = before.find((one) => one.sink === sink && one.jobs === asked && isDeepStrictEqual(one.plan, plan))
        if (same !== undefined) return same
        const lane = makeLane(plan, config, sink, shares.limits)
        return { lane, plan, sink, jobs: asked, isOrdered: keepsOrder(config) }
      })
      shared = limits
      laneOf = new Map(running.flatMap(({ lane }) => lane.rules.map((rule) => [pairKey(rule, lane.sinkName), lane] as const)))
      const gone = before.filter((one) => !running.includes(one))
      const retired = retire(gone.map(({ lane }) => lane))
      if (started) {
        for (const one of running) {
          if (before.includes(one)) continue
          // What an unordered lane has under way nobody can tell the order of: it ends first.
          const isNewOrder = one.isOrdered && gone.some((other) => other.plan.sink === one.plan.sink && !other.isOrdered)
          if (isNewOrder) void retired.then(() => one.lane.start())
          else one.lane.start()
        }
      }
      return retired
    },
    async unknownPairs() {
      return (await findPendingPairs(pool)).filter(({ rule, sink }) => !laneOf.has(pairKey(rule, sink)))
    },
    async stop(limit) {
      whenAborted(limit, () => {
        deadline.abort()
        outcomes.stop()
      })
      unlisten()
      notifier.stop()
      const stopped = Promise.all([sweeper.stop(), ...running.map(({ lane }) => lane.stop(limit)), ...retiring])
      // After the lanes have given back what waited for it.
      jobs?.stop()
      await stopped
      await outcomes.idle()
      await leases.stop(limit)
    },
  }
}

function pairKey(rule: string, sink: string): string {
  return `${rule} ${sink}`
}
