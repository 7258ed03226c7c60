/**
 * Whether the relay stays as quick and as small as it was: the full way under full load for ten minutes, while it prunes, and
 * the last two of them beside the second and the third.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Bench, Result } from './bench.ts'
import { startPathRig, type PathRig } from './path-rig.ts'
import { sustain, type Sustained } from './path-sustained.ts'
import { residentMb } from './resident.ts'
import { seedDelivered } from './seed.ts'
import { startRelay, yamlHead } from './servers.ts'
import { measured, rounded, type Measured } from './statistics.ts'
import { fromEnv } from './trial.ts'

const seconds = fromEnv('BENCH_SOAK_SECONDS', 600)

/** In parts of the run, so that a short one compares the same of it: of ten minutes the second and third, and the last two. */
const windows = { early: [0.1, 0.3], late: [0.8, 1] } as const

/** The shortest that there is; the seeded events are weeks old. */
const retention = 'retention: { events: 2d }\n'

/** The relay prunes from its start: enough for it to be at it until the end, which the report shows. */
const oldEvents = fromEnv('BENCH_SOAK_OLD_EVENTS', 4_000_000)

/** As `path` has them. */
const connections = 64
const backlog = 4_000

/** Signed ahead; all the rest is signed on the way, so that the generator costs the same from beginning to end. */
const window = 10_000

const sampleMs = 1_000

/** What was seen in one second. */
interface Sample {
  /** Of the relay, in megabytes. */
  residentMb: number
  /** Events that were deleted since the relay's start. */
  pruned: number
}

export async function runSoak(bench: Bench): Promise<Result> {
  const rig = await startPathRig(bench, { more: retention, prepareDatabase: (url) => seedOld(bench, url) })
  const client = new pg.Client({ connectionString: rig.databaseUrl })
  try {
    await client.connect()
    bench.probe()
    const soaked = await soak(bench, rig, client)
    bench.probe()
    return resultOf(soaked, rig.kafka?.broker.version)
  } finally {
    await client.end()
    await rig.stop()
  }
}

async function seedOld(bench: Bench, url: string): Promise<void> {
  const relay = await startRelay(yamlHead, url)
  await relay.stop()
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const started = performance.now()
  await seedDelivered(client, { rule: 'rows', sink: 'jobs', events: oldEvents })
  bench.say(`soak: ${oldEvents} old events stored in ${Math.round((performance.now() - started) / 1_000)} s`)
  await client.end()
}

interface Soaked {
  sustained: Sustained
  samples: Sample[]
}

async function soak(bench: Bench, rig: PathRig, client: pg.Client): Promise<Soaked> {
  const samples: Sample[] = []
  const over = new AbortController()

  async function sample(): Promise<void> {
    for (let due = performance.now(); !over.signal.aborted; due += sampleMs) {
      await sleep(Math.max(0, due - performance.now()))
      samples.push({ residentMb: residentMb(rig.relay.pid), pruned: await prunedSoFar(client) })
      const { residentMb: mb = 0, pruned = 0 } = samples.at(-1) ?? {}
      if (samples.length % 30 === 0) bench.say(`soak: ${samples.length} s, resident ${rounded(mb)} MB, ${pruned} events pruned`)
    }
  }

  const run = sustain(rig, { connections, seconds, backlog, window }).finally(() => over.abort())
  const [sustained] = await Promise.all([run, sample()])
  return { sustained, samples }
}

/** From the statistics: counting rows would be load of its own. */
async function prunedSoFar(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ deleted: string }>(
    `select n_tup_del as deleted from pg_stat_user_tables where relid = 'gemini_relay.events'::regclass`,
  )
  return Number(rows[0]?.deleted)
}

/** Of one window; spreads are over its seconds. */
interface Seen {
  eventsPerSecond: Measured
  residentMb: Measured
  pruned: number
}

function seenIn([from, to]: readonly [number, number], { sustained, samples }: Soaked): Seen {
  const part = <T>(series: readonly T[]): T[] => series.slice(Math.round(from * seconds), Math.round(to * seconds))
  const sampled = part(samples)
  return {
    eventsPerSecond: measured(part(sustained.perSecond)),
    residentMb: measured(sampled.map((one) => one.residentMb)),
    pruned: (sampled.at(-1)?.pruned ?? 0) - (sampled[0]?.pruned ?? 0),
  }
}

function resultOf(soaked: Soaked, kafkaVersion: string | undefined): Result {
  const { sustained, samples } = soaked
  const early = seenIn(windows.early, soaked)
  const late = seenIn(windows.late, soaked)
  const throughput = late.eventsPerSecond.median / early.eventsPerSecond.median
  const resident = late.residentMb.median / early.residentMb.median
  return {
    json: {
      throughput_ratio: rounded(throughput),
      rss_ratio: rounded(resident),
      seconds,
      connections,
      backlog_bound: backlog,
      kafka: kafkaVersion === undefined ? 'none' : 'real',
      ...(kafkaVersion === undefined ? {} : { kafka_version: kafkaVersion }),
      old_events: oldEvents,
      events: sustained.events,
      events_per_second: rounded(sustained.eventsPerSecond),
      backlog_max: Math.max(...sustained.backlogs),
      settled_ms: rounded(sustained.settledMs),
      early: figuresOf(early),
      late: figuresOf(late),
      per_second: sustained.perSecond,
      rss_mb: samples.map(({ residentMb: mb }) => rounded(mb)),
    },
    tables: {
      [`Soak: ${seconds} s at ${connections} connections, a table rule and ${kafkaVersion === undefined ? 'no Kafka rule' : `a rule to Kafka ${kafkaVersion}`}, while old events are pruned; medians of the seconds (spread)`]:
        [
          ['window', 'events /s', 'resident MB', 'pruned meanwhile'],
          rowOf(windows.early, early),
          rowOf(windows.late, late),
          ['late ÷ early', throughput.toFixed(2), resident.toFixed(2), ''],
        ],
    },
  }
}

function figuresOf({ eventsPerSecond, residentMb: mb, pruned }: Seen): Record<string, number> {
  return { events_per_second: rounded(eventsPerSecond.median), rss_mb: rounded(mb.median), pruned }
}

function rowOf([from, to]: readonly [number, number], { eventsPerSecond, residentMb: mb, pruned }: Seen): string[] {
  const shown = ({ median, min, max }: Measured) => `${median.toFixed(0)} (${min.toFixed(0)}–${max.toFixed(0)})`
  return [`${from * seconds}–${to * seconds} s`, shown(eventsPerSecond), shown(mb), pruned.toLocaleString('en')]
}
