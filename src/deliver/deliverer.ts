/** deliver: everything between a committed delivery and its outcome. */
import type { LeaseDesk } from '../accept/desk.ts'
import { keepsOrder, type Config } from '../config/schema.ts'
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
  config: Config
  sinks: ReadonlyMap<string, Sink>
  pool: Pool
  /** For claims, with their settings. */
  claimPool: Pool
  /** Of the same database; told to listen, and started by whoever made it. */
  listener: Listener
  holder: string
  pauses: Pauses
  /** Where a rule enriches. */
  jobs: Jobs | undefined
  log: Log
}

export interface Deliverer {
  desk: LeaseDesk
  start(): void
  /** (sink, rule) pairs with pending deliveries that this configuration does not know. */
  unknownPairs(): Promise<{ sink: string; rule: string }[]>
  /** Finishes attempts under way until `deadline` aborts them, writes their outcomes and gives the other leases back. */
  stop(deadline: AbortSignal): Promise<void>
}

export function createDeliverer(options: DelivererOptions): Deliverer {
  const { config, sinks, pool, claimPool, listener, holder, pauses, jobs, log } = options
  const leases = createLeases({ pool, log })
  const outcomes = createOutcomes({ pool, leases, log })
  const notifier = createNotifier({ pool, log })
  listener.on(backlogChannel, wake)
  pauses.onChange(wake)
  const sweeper = createSweeper({ pool, log, takenOver: wake })
  const shared = new Map<string, Limits>()
  const lanes = planLanes(config).map(makeLane)
  const laneOf = new Map(lanes.flatMap((lane) => lane.rules.map((rule) => [pairKey(rule, lane.sinkName), lane] as const)))

  function makeLane({ name, sink: sinkName, rules, limits: limitsName, enriched }: LanePlan): Lane {
    const sink = sinks.get(sinkName)
    const sinkConfig = config.sinks[sinkName]
    if (sink === undefined || sinkConfig === undefined) throw new Error(`no sink ${sinkName}`)
    if (enriched !== undefined && jobs === undefined) throw new Error(`nothing to enrich ${name} with`)
    const limits = shared.get(limitsName) ?? createLimits(sinkConfig, () => performance.now())
    shared.set(limitsName, limits)
    const claimFrom = keepsOrder(sinkConfig) ? claimHeads : claimDeliveries
    return createLane({
      name,
      sinkName,
      rules,
      config: sinkConfig,
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
      followersDue: () => wake(sinkName),
      paused: () => pauses.isPaused(sinkName),
      gone: ({ message }) => pauses.gone(sinkName, message),
      log,
    })
  }

  function wake(sink: string): void {
    for (const lane of lanes) if (lane.sinkName === sink) lane.wake()
  }

  function laneFor(rule: string, sink: string): Lane {
    const lane = laneOf.get(pairKey(rule, sink))
    if (lane === undefined) throw new Error(`no lane carries rule ${rule} to sink ${sink}`)
    return lane
  }

  const desk: LeaseDesk = {
    reserve: (rule, sink) => laneFor(rule, sink).reserve(),
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
    overflowed: (rule, sink) => laneFor(rule, sink).overflowed(),
  }

  return {
    desk,
    start() {
      sweeper.start()
      for (const lane of lanes) lane.start()
    },
    async unknownPairs() {
      return (await findPendingPairs(pool)).filter(({ rule, sink }) => !laneOf.has(pairKey(rule, sink)))
    },
    async stop(deadline) {
      whenAborted(deadline, () => outcomes.stop())
      notifier.stop()
      const stopped = Promise.all([sweeper.stop(), ...lanes.map((lane) => lane.stop(deadline))])
      // After the lanes have given back what waited for it.
      jobs?.stop()
      await stopped
      await outcomes.idle()
      await leases.stop(deadline)
    },
  }
}

function pairKey(rule: string, sink: string): string {
  return `${rule} ${sink}`
}
