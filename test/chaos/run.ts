/** One run: traffic under faults, then peace, then the oracle. */
import { setTimeout as sleep } from 'node:timers/promises'
import { judge, type Violation } from './checks.ts'
import { readEvidence, readOpen, type Evidence } from './evidence.ts'
import { drawSchedule, relayNames, type FaultKind } from './faults.ts'
import type { Generator } from './generator.ts'
import { createInjector, type Injector } from './injector.ts'
import { findLeaks } from './leaks.ts'
import { watchReadiness } from './readiness.ts'
import { startRig, type Rig } from './rig.ts'
import { tellStories } from './story.ts'

export interface RunOptions {
  seed: number
  seconds: number
  /** The relay under test: `main.js`. */
  binary: string
  perSecond: number
  /** How long everything may take to come to rest after the faults. */
  settleSeconds: number
  /** Faults of these kinds only; all when empty. */
  only: readonly FaultKind[]
  withKafka: boolean
  /** A line that stays. */
  say: (line: string) => void
  /** A line that the next one may take the place of. */
  progress: (line: string) => void
}

export interface Report {
  seed: number
  seconds: number
  /** Distinct events that were answered 2xx. */
  acked: number
  /** Deliveries that are `delivered`. */
  delivered: number
  dead: number
  /** Relays and servers that were ended, by whatever signal. */
  kills: number
  /** Faults of connections that struck one. */
  connection_faults: number
  /** What was done, by kind. */
  faults: Readonly<Partial<Record<FaultKind, number>>>
  /** Configurations that relays took, and those that they refused, as they told it. */
  reloads_applied: number
  reloads_refused: number
  refused_forgeries: number
  kafka: string
  settled_after_seconds: number | null
  violations: (Violation & { story: string[] })[]
  /** Where the logs are, when they are kept. */
  logs: string | null
}

/** Of each check; the others are only counted. */
const toldOfEach = 5

const killKinds = ['kill relay', 'stop relay', 'kill postgres', 'stop postgres', 'kill backend', 'upgrade relay'] as const

const fresh = { each: 5, limitMs: 20_000 }
const sampleEveryMs = 2_000

export async function runChaos(options: RunOptions, signal: AbortSignal): Promise<{ report: Report; rig: Rig }> {
  const { seed, seconds, only, say, progress } = options
  const schedule = drawSchedule(seed, seconds, only)
  const rig = await startRig(options)
  try {
    say(`seed ${seed}, ${seconds} s, ${schedule.length} faults; Kafka ${rig.kafka}; logs in ${rig.dir}/logs`)
    const begun = Date.now()
    const generator = rig.startTraffic()
    const injector = createInjector({ rig, schedule, seed })
    const sampling = setInterval(() => {
      for (const name of relayNames) rig.relays[name].sampleMemory()
      progress(progressOf(rig, generator, injector, Date.now() - begun))
    }, sampleEveryMs)
    const readiness = watchReadiness(rig)
    try {
      await Promise.race([injector.run(seconds), aborted(signal)])
      generator.stopOffering()
      await injector.end()
      rig.configurations.finish()
      const settledAfter = await settle(rig, generator, options.settleSeconds)
      say(
        settledAfter === undefined
          ? `not at rest after ${options.settleSeconds} s`
          : `at rest after ${settledAfter.toFixed(1)} s`,
      )
      const late = settledAfter === undefined ? [] : await sendFresh(rig, generator)
      await generator.stop()
      if (settledAfter !== undefined) await settle(rig, generator, options.settleSeconds)
      for (const name of relayNames) rig.relays[name].sampleMemory()
      const evidence = await readEvidence((database) => rig.postgres.url(database))
      const violations = [...judge({ ...rig, evidence, disturbances: injector.disturbances }), ...late, ...leaks(rig, evidence)]
      const report = reportOf(options, rig, injector, evidence, settledAfter)
      return { rig, report: { ...report, violations: await withStories(rig, injector, violations, begun, say) } }
    } finally {
      clearInterval(sampling)
      readiness.stop()
    }
  } catch (error) {
    await rig.stop()
    throw error
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(new Error('interrupted'))
    signal.addEventListener('abort', () => reject(new Error('interrupted')), { once: true })
  })
}

function progressOf(rig: Rig, generator: Generator, injector: Injector, ms: number): string {
  const states = relayNames.map((name) => `${name} ${rig.relays[name].state()}`).join(', ')
  const waiting = generator.waiting()
  const { applied, refused } = rig.history.reloads()
  return `${Math.round(ms / 1_000)} s: ${rig.ledger.acknowledged()} acknowledged, ${waiting} waiting, ${killsOf(injector)} kills, ${strikesOf(rig)} connection faults, ${applied} reloads and ${refused} refused; relay ${states}; Postgres ${rig.postgres.isUp() ? 'up' : 'down'}`
}

function killsOf(injector: Injector): number {
  return killKinds.reduce((sum, kind) => sum + (injector.counts()[kind] ?? 0), 0)
}

function strikesOf({ proxies }: Rig): number {
  return [...proxies.values()].reduce((sum, proxy) => sum + proxy.strikes(), 0)
}

/** @returns after how many seconds everything was at rest, undefined when it was not in time */
async function settle(rig: Rig, generator: Generator, limitSeconds: number): Promise<number | undefined> {
  const begun = performance.now()
  const passed = () => (performance.now() - begun) / 1_000
  let arrived = -1
  for (; passed() < limitSeconds; await sleep(500)) {
    const up = relayNames.every((name) => rig.relays[name].state() === 'up')
    const open = await readOpen((database) => rig.postgres.url(database)).catch(() => undefined)
    rig.slack.collect()
    const quiet = arrived === rig.arrivals.count()
    arrived = rig.arrivals.count()
    if (up && quiet && runsLast(rig) && generator.waiting() === 0 && open?.deliveries === 0 && open.leases === 0) return passed()
  }
  return undefined
}

/** What a sink that was gone is owed cannot come to rest before. */
function runsLast({ history }: Rig): boolean {
  return relayNames.every((name) => history.seen.findLast(({ relay }) => relay === name)?.hash === history.last(name)?.hash)
}

async function sendFresh(rig: Rig, generator: Generator): Promise<Violation[]> {
  const sent = await Promise.all(
    relayNames.flatMap((name) => Array.from({ length: fresh.each }, () => generator.sendFresh(name, fresh.limitMs))),
  )
  return sent
    .filter(({ id }) => rig.ledger.entries.get(id)?.acknowledgedAt === undefined)
    .map(({ id }) => ({ check: 'a fresh event passes afterwards', what: 'was not acknowledged, after all faults', id }))
}

function leaks(rig: Rig, evidence: Evidence): Violation[] {
  const unsigned = rig.receiver.unsigned.map((id) => ({
    check: 'the http sink signs',
    what: 'came without a valid signature',
    id,
  }))
  return [
    ...unsigned,
    ...findLeaks(rig, evidence).map((what) => ({ check: 'no process leaked memory, connections or leases', what })),
  ]
}

function reportOf(
  { seed, seconds }: RunOptions,
  rig: Rig,
  injector: Injector,
  { deliveries }: Evidence,
  settledAfter: number | undefined,
): Omit<Report, 'violations'> {
  return {
    seed,
    seconds,
    acked: rig.ledger.acknowledged(),
    delivered: deliveries.filter(({ state }) => state === 'delivered').length,
    dead: deliveries.filter(({ state }) => state === 'dead').length,
    kills: killsOf(injector),
    connection_faults: strikesOf(rig),
    faults: injector.counts(),
    reloads_applied: rig.history.reloads().applied,
    reloads_refused: rig.history.reloads().refused,
    refused_forgeries: rig.ledger.forgeries.filter(({ sendings }) => sendings.some(({ status }) => status === 400)).length,
    kafka: rig.kafka,
    settled_after_seconds: settledAfter === undefined ? null : Number(settledAfter.toFixed(1)),
    logs: null,
  }
}

async function withStories(
  rig: Rig,
  injector: Injector,
  violations: readonly Violation[],
  begun: number,
  say: (line: string) => void,
): Promise<Report['violations']> {
  const told = new Map<string, Violation[]>()
  for (const violation of violations) {
    const list = told.get(violation.check)
    if (list === undefined) told.set(violation.check, [violation])
    else list.push(violation)
  }
  for (const [check, { length }] of told) say(`${check}: ${length} violations`)
  const chosen = [...told.values()].flatMap((list) => list.slice(0, toldOfEach))
  const ids = [...new Set(chosen.flatMap(({ id }) => id ?? []))]
  const stories = ids.length === 0 ? new Map<string, string[]>() : await tellStories(rig, injector.done, ids, begun)
  return violations.map((violation) => ({
    ...violation,
    story: chosen.includes(violation) ? (stories.get(violation.id ?? '') ?? []) : [],
  }))
}
