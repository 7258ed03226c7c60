/** How long one event takes from its 2xx to each sink, at a rate that the relay does not notice. */
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from './accept.ts'
import { epochClock } from './clock.ts'
import type { Answer } from './generator.ts'
import { startKafkaReader } from './kafka-reader.ts'
import { countArrivals, type PathRig } from './path-rig.ts'
import { pollUntil } from './polling.ts'
import { quantile } from './statistics.ts'

/** In milliseconds, from the moment the sender had its 2xx; below 0 where the event was at the sink before that. */
export interface ToSink {
  p50: number
  p99: number
  max: number
  /** Part of the events that were at the sink before the sender had its 2xx. */
  early: number
}

export interface Latencies {
  events: number
  /** To the row's commit time, which Postgres takes before it flushes the commit. */
  table: ToSink
  /** To the moment a consumer had the record. */
  kafka: ToSink | undefined
  /** From the commit time of small commits in the same seconds until their client knew of them, in milliseconds. */
  commitLag: { p50: number; p99: number }
}

/** More than the rate needs, so that requests fall due and are not held up by answers. */
const connections = 64

/** Between two small commits: fifty a second weigh little beside the load. */
const lagEveryMs = 20

/** What is not there by then is lost. */
const arrivalLimitMs = 30_000

/** A record that is in the topic is with the consumer after this. */
const readingMs = 500

export async function timeToSinks(
  rig: PathRig,
  { perSecond, seconds }: { perSecond: number; seconds: number },
): Promise<Latencies> {
  const { generator, relay, table, kafka } = rig
  const arrived = await countArrivals(rig)
  const rowsBefore = await table.arrived()
  const reader =
    kafka && (await startKafkaReader({ brokers: kafka.broker.brokers, topic: kafka.topic.name, from: await kafka.topic.ends() }))
  const lags: number[] = []
  const over = new AbortController()

  async function watchLag(): Promise<void> {
    const epoch = epochClock()
    while (!over.signal.aborted) {
      lags.push(await table.commitLag(epoch))
      await sleep(lagEveryMs)
    }
  }

  try {
    const [{ answers }] = await Promise.all([
      generator
        .slice(prepare(relay, undefined, 'hmac', perSecond * seconds), { connections, seconds, perSecond, record: true })
        .finally(() => over.abort()),
      watchLag(),
    ])
    await pollUntil({
      read: arrived,
      enough: (count) => count >= answers.length,
      everyMs: 20,
      limitMs: arrivalLimitMs,
      what: `${answers.length} events should be at every sink`,
    })
    await sleep(readingMs)
    const committed = await table.committedSince(rowsBefore)
    const sorted = lags.toSorted((a, b) => a - b)
    return {
      events: answers.length,
      table: toSink(answers, committed),
      kafka: reader && toSink(answers, await reader.seen()),
      commitLag: { p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) },
    }
  } finally {
    await reader?.stop()
  }
}

function toSink(answers: readonly Answer[], arrivals: ReadonlyMap<string, number>): ToSink {
  const times = answers.map(({ webhookId, at }) => {
    const arrival = arrivals.get(webhookId)
    if (arrival === undefined) throw new Error(`${webhookId} was answered with 200 and is not at its sink`)
    return arrival - at
  })
  times.sort((a, b) => a - b)
  return {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    max: times.at(-1) ?? Number.NaN,
    early: times.filter((time) => time < 0).length / times.length,
  }
}
