/**
 * What an outage of a sink leaves behind, and how it goes away: deliveries a second once the sink is back, and what that
 * does to accepting. Not measured is Slack: its limit of one message a second and channel is the bound, whatever we do.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, Result, Table } from './bench.ts'
import { acceptIdle, drainOnce, type Drained, type Traffic } from './drain-once.ts'
import { startGenerator, type Generator } from './generator.ts'
import { startKafka, type BenchKafka } from './kafka-topic.ts'
import { startOutage, type Outage, type SinkType } from './outages.ts'
import { median, quantile, rounded, spread } from './statistics.ts'
import { fromEnv } from './trial.ts'

/** Gathered in an outage; fewer for a short look. */
const deliveries = fromEnv('BENCH_DRAIN_DELIVERIES', 200_000)

/** What a busy sender sends, and far from what the relay can take: the time of an answer is that of the work, not of a queue. */
const traffic: Traffic = { perSecond: 300, connections: 16 }
const idleSeconds = 6
/** What the last drain has left to write, and the first idle slice is not to be a cold start. */
const restMs = 1_000
const warmUpSeconds = 2

/** One call a delivery, or one line: their drains take the longest, and no claim hangs on their spread. */
const measuredOnce: ReadonlySet<SinkType> = new Set(['http', 'log'])

interface Measured {
  type: SinkType
  drained: Drained[]
  /** Accepting while draining, and in the idle seconds before and after it together. */
  draining: Accepting[]
  idle: Accepting[]
}

/** In milliseconds. */
interface Accepting {
  p50: number
  p99: number
  samples: number
}

export async function runDrain(bench: Bench): Promise<Result> {
  const found = await startKafka()
  const broker = 'missing' in found || found.own === null ? undefined : found
  if (broker === undefined)
    bench.say(`drain: without Kafka: ${'missing' in found ? found.missing : 'its broker cannot be cut off'}`)
  const generator = startGenerator()
  try {
    const measured: Measured[] = []
    for (const type of ['table', 'kafka', 'http', 'log'] satisfies SinkType[]) {
      if (type === 'kafka' && broker === undefined) continue
      measured.push(await measure(type, bench, generator, broker))
    }
    return resultOf(measured, broker?.version)
  } finally {
    await generator.stop()
    if (!('missing' in found)) await found.stop()
  }
}

async function measure(type: SinkType, bench: Bench, generator: Generator, kafka: BenchKafka | undefined): Promise<Measured> {
  const outage = await startOutage(type, bench, kafka)
  try {
    const warmUp = await acceptIdle(outage, generator, warmUpSeconds, traffic)
    let before = await rested(outage, generator)
    let accepted = warmUp.length + before.length
    const drained: Drained[] = []
    const draining: Accepting[] = []
    const idle: Accepting[] = []
    const repeats = measuredOnce.has(type) ? 1 : bench.repeats
    for (let repeat = 1; repeat <= repeats; repeat++) {
      bench.probe()
      const drain = await drainOnce(outage, generator, deliveries, traffic)
      const after = await rested(outage, generator)
      accepted += drain.accepted + after.length
      const [meanwhile, otherwise] = [accepting(drain.accepting), accepting([...before, ...after])]
      drained.push(drain)
      draining.push(meanwhile)
      idle.push(otherwise)
      before = after
      bench.say(
        `drain, ${type}, ${repeat}/${repeats}: ${Math.round(drain.deliveriesPerSecond)}/s for ${rounded(drain.seconds)} s, ` +
          `accepting p99 ${rounded(meanwhile.p99)} ms, idle ${rounded(otherwise.p99)} ms`,
      )
    }
    await outage.verify(accepted)
    return { type, drained, draining, idle }
  } finally {
    await outage.stop()
  }
}

async function rested(outage: Outage, generator: Generator): Promise<number[]> {
  await sleep(restMs)
  return await acceptIdle(outage, generator, idleSeconds, traffic)
}

function accepting(latencies: readonly number[]): Accepting {
  const sorted = latencies.toSorted((a, b) => a - b)
  return { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99), samples: sorted.length }
}

function resultOf(measured: readonly Measured[], kafkaVersion: string | undefined): Result {
  return {
    json: {
      deliveries,
      kafka: kafkaVersion === undefined ? 'none' : 'real',
      ...(kafkaVersion === undefined ? {} : { kafka_version: kafkaVersion }),
      accept_per_second: traffic.perSecond,
      ...Object.fromEntries(measured.map((each) => [each.type, jsonOf(each)])),
    },
    tables: {
      [`Drain: ${deliveries.toLocaleString('en')} deliveries after an outage, ${traffic.perSecond} webhooks a second beside; medians (spread)`]:
        tableOf(measured),
    },
  }
}

function jsonOf(each: Measured): Record<string, unknown> {
  const { drained, draining, idle } = each
  return {
    repeats: drained.length,
    deliveries_per_second: rounded(median(drained.map(({ deliveriesPerSecond }) => deliveriesPerSecond))),
    noticed_ms: rounded(median(drained.map(({ noticedMs }) => noticedMs))),
    filled_per_second: rounded(median(drained.map(({ filledPerSecond }) => filledPerSecond))),
    accept_p50_idle_ms: rounded(median(idle.map(({ p50 }) => p50))),
    accept_p50_draining_ms: rounded(median(draining.map(({ p50 }) => p50))),
    accept_p99_idle_ms: rounded(median(idle.map(({ p99 }) => p99))),
    accept_p99_draining_ms: rounded(median(draining.map(({ p99 }) => p99))),
    p99_draining_over_idle: rounded(median(ratios(each))),
    drains: drained.map(({ deliveriesPerSecond, seconds, noticedMs, filledPerSecond }, at) => ({
      deliveriesPerSecond,
      seconds,
      noticedMs,
      filledPerSecond,
      accept_draining_ms: draining[at],
      accept_idle_ms: idle[at],
    })),
  }
}

function ratios({ draining, idle }: Measured): number[] {
  return draining.map(({ p99 }, at) => p99 / (idle[at]?.p99 ?? Number.NaN))
}

function tableOf(measured: readonly Measured[]): Table {
  return [
    ['sink', 'repeats', 'deliveries /s', 'accepting p99 ms, idle', 'while draining', 'draining ÷ idle', 'taken /s in the outage'],
    ...measured.map((each) => [
      each.type,
      String(each.drained.length),
      spread(
        each.drained.map(({ deliveriesPerSecond }) => deliveriesPerSecond),
        0,
      ),
      spread(
        each.idle.map(({ p99 }) => p99),
        1,
      ),
      spread(
        each.draining.map(({ p99 }) => p99),
        1,
      ),
      spread(ratios(each), 2),
      spread(
        each.drained.map(({ filledPerSecond }) => filledPerSecond),
        0,
      ),
    ]),
  ]
}
