/**
 * The full way of an event, from the request to a row of a table and a record of a Kafka topic: how many a second for as
 * long as it is asked, and how long one takes from its 2xx to each sink.
 */
import type { Bench, Result, Table } from './bench.ts'
import type { Slice } from './generator.ts'
import { timeToSinks, type Latencies, type ToSink } from './path-latency.ts'
import { ceilingSlice, startPathRig, type PathRig } from './path-rig.ts'
import { sustain, type Sustained } from './path-sustained.ts'
import { median, rounded, spread } from './statistics.ts'
import { fromEnv } from './trial.ts'

const sustainedSeconds = fromEnv('BENCH_PATH_SECONDS', 60)
const latencySeconds = fromEnv('BENCH_PATH_LATENCY_SECONDS', 10)
const warmUpSeconds = 3
const connections = 64
/** At which the time to the sinks is taken. */
const latencyPerSecond = 1_000
const guessedPerSecond = 3_000

/**
 * Some times more than what is on its way while deliver keeps up, which the report shows. Were it reached, the generator would
 * wait, and the rate be that of the slower sink.
 */
const backlog = fromEnv('BENCH_PATH_BACKLOG', 4_000)

interface Repeat {
  sustained: Sustained
  /** Of the bare Koa, before and after. */
  ceiling: [Slice, Slice]
  latencies: Latencies
}

export async function runPath(bench: Bench): Promise<Result> {
  const rig = await startPathRig(bench)
  try {
    const repeats = await measure(bench, rig)
    return resultOf(repeats, rig.kafka?.broker.version)
  } finally {
    await rig.stop()
  }
}

async function measure(bench: Bench, rig: PathRig): Promise<Repeat[]> {
  const asked = { connections, backlog, seconds: warmUpSeconds, window: guessedPerSecond * warmUpSeconds }
  let last = await sustain(rig, asked)
  let accepted = last.events
  let after = await ceilingSlice(rig, connections, undefined)
  const repeats: Repeat[] = []
  for (let repeat = 1; repeat <= bench.repeats; repeat++) {
    bench.probe()
    const before = await ceilingSlice(rig, connections, after)
    const window = Math.ceil(last.eventsPerSecond * sustainedSeconds)
    const sustained = await sustain(rig, { ...asked, seconds: sustainedSeconds, window })
    after = await ceilingSlice(rig, connections, before)
    bench.probe()
    const latencies = await timeToSinks(rig, { perSecond: latencyPerSecond, seconds: latencySeconds })
    last = sustained
    accepted += sustained.events + latencies.events
    const done: Repeat = { sustained, ceiling: [before, after], latencies }
    repeats.push(done)
    bench.say(
      `path, ${repeat}/${bench.repeats}: ${Math.round(sustained.eventsPerSecond)} events/s for ${rounded(sustained.seconds)} s, ` +
        `${rounded(overCeiling(done))} of the ceiling, backlog at most ${Math.max(...sustained.backlogs)}; ` +
        `2xx to table ${shown(latencies.table)}${latencies.kafka === undefined ? '' : `, to Kafka ${shown(latencies.kafka)}`}`,
    )
  }
  await compareRows(rig, accepted)
  return repeats
}

/** The counters that were polled say how many arrived; that each event is a row of its own is counted once, at the end. */
async function compareRows({ table, kafka }: PathRig, accepted: number): Promise<void> {
  const rows = await table.rows()
  if (rows !== accepted) throw new Error(`${accepted} events were answered with 200, and the table has ${rows} rows`)
  const records = await kafka?.topic.records()
  if (records !== undefined && records < accepted) throw new Error(`${accepted} events, and ${records} records in the topic`)
}

function ceilingRps({ ceiling: [before, after] }: Repeat): number {
  return (before.perSecond + after.perSecond) / 2
}

function overCeiling(repeat: Repeat): number {
  return repeat.sustained.eventsPerSecond / ceilingRps(repeat)
}

function shown({ p50, p99 }: ToSink): string {
  return `p50 ${rounded(p50)} ms, p99 ${rounded(p99)} ms`
}

function resultOf(repeats: readonly Repeat[], kafkaVersion: string | undefined): Result {
  const middle = (figure: (repeat: Repeat) => number) => rounded(median(repeats.map(figure)))
  const toTable = repeats.map(({ latencies }) => latencies.table)
  const toKafka = repeats.flatMap(({ latencies: { kafka } }) => (kafka === undefined ? [] : [kafka]))
  const lag = repeats.map(({ latencies }) => latencies.commitLag)
  const backlogs = repeats.flatMap(({ sustained }) => sustained.backlogs)
  return {
    json: {
      kafka: kafkaVersion === undefined ? 'none' : 'real',
      ...(kafkaVersion === undefined ? {} : { kafka_version: kafkaVersion }),
      seconds: sustainedSeconds,
      connections,
      backlog_bound: backlog,
      events_per_second: middle(({ sustained }) => sustained.eventsPerSecond),
      ceiling_rps: middle(ceilingRps),
      path_over_ceiling: middle(overCeiling),
      backlog_max: Math.max(...backlogs),
      settled_ms: middle(({ sustained }) => sustained.settledMs),
      latency_events_per_second: latencyPerSecond,
      ...figuresOf('table', toTable),
      ...figuresOf('kafka', toKafka),
      commit_lag_p50_ms: rounded(median(lag.map(({ p50 }) => p50))),
      commit_lag_p99_ms: rounded(median(lag.map(({ p99 }) => p99))),
      repeats: repeats.map(({ sustained, ceiling, latencies }) => ({
        sustained,
        ceiling_rps: ceiling.map(({ perSecond }) => rounded(perSecond)),
        latencies,
      })),
    },
    tables: {
      [`Path: a table rule and ${kafkaVersion === undefined ? 'no Kafka rule' : `a rule to Kafka ${kafkaVersion}`}, ${connections} connections, ${sustainedSeconds} s; medians of ${repeats.length} (spread)`]:
        [
          ['events /s', 'ceiling /s', '÷ ceiling', 'backlog, median', 'backlog, highest', 'settled after the last 2xx, ms'],
          [
            spreadOf(repeats, ({ sustained }) => sustained.eventsPerSecond, 0),
            spreadOf(repeats, ceilingRps, 0),
            spreadOf(repeats, overCeiling, 2),
            String(median(backlogs)),
            String(Math.max(...backlogs)),
            spreadOf(repeats, ({ sustained }) => sustained.settledMs, 0),
          ],
        ],
      [`From the 2xx to the sink at ${latencyPerSecond} events a second; medians of ${repeats.length} (spread)`]: [
        ['sink', 'p50 ms', 'p99 ms', 'there before the sender had its 2xx'],
        ...latencyRow('table, commit time', toTable),
        ...latencyRow('Kafka, at a consumer', toKafka),
      ],
      'A commit is known to its client after its commit time by': [
        ['p50 ms', 'p99 ms'],
        [spreadOf(lag, ({ p50 }) => p50, 2), spreadOf(lag, ({ p99 }) => p99, 2)],
      ],
    },
  }
}

function figuresOf(sink: string, times: readonly ToSink[]): Record<string, number> {
  if (times.length === 0) return {}
  return {
    [`${sink}_p50_ms`]: rounded(median(times.map(({ p50 }) => p50))),
    [`${sink}_p99_ms`]: rounded(median(times.map(({ p99 }) => p99))),
    [`${sink}_early`]: rounded(median(times.map(({ early }) => early))),
  }
}

function latencyRow(sink: string, times: readonly ToSink[]): Table {
  if (times.length === 0) return []
  const early = median(times.map((time) => time.early))
  return [[sink, spreadOf(times, ({ p50 }) => p50, 2), spreadOf(times, ({ p99 }) => p99, 1), `${(early * 100).toFixed(1)} %`]]
}

function spreadOf<T>(values: readonly T[], figure: (value: T) => number, digits: number): string {
  return spread(values.map(figure), digits)
}
