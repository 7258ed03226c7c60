/** Suites that need a real Kafka, and the `kcat` that reads back what we wrote: a client nobody here wrote. */
import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { beforeAll, describe, inject } from 'vitest'
import { z } from 'zod'
import { brokerTimeoutMs, type OwnListeners, type TestKafka } from './kafka-broker.ts'

const run = promisify(execFile)

const testKafka: z.ZodType<TestKafka> = z.object({
  brokers: z.array(z.string()),
  version: z.string(),
  own: z.object({ saslPort: z.number(), upstreamPort: z.number(), proxyPort: z.number() }).nullable(),
})

/**
 * A `describe` with a broker: skipped with the reason in its name where there is none.
 *
 * @param body gets the broker as a function: it is known when the tests run, not when they are declared
 */
export function kafkaSuite(name: string, body: (kafka: () => TestKafka) => void): void {
  suite(name, skipReason(), body)
}

/** The same for what only a broker that we started has: users, and a listener behind a proxy. */
export function ownKafkaSuite(name: string, body: (kafka: () => TestKafka & { own: OwnListeners }) => void): void {
  const reason = process.env['TEST_KAFKA_BROKERS'] ? 'TEST_KAFKA_BROKERS names a broker of unknown users and listeners' : ''
  suite(name, skipReason() || reason, (kafka) =>
    body(() => {
      const { own, ...rest } = kafka()
      return { ...rest, own: own ?? missing() }
    }),
  )
}

function suite(name: string, reason: string, body: (kafka: () => TestKafka) => void): void {
  const title = reason === '' ? name : `${name} (skipped: ${reason})`
  describe.skipIf(reason !== '')(title, { meta: { kafka: { skipReason: reason } } }, () => {
    let broker: TestKafka | undefined
    beforeAll(async () => {
      broker = await kafkaBroker()
    }, brokerTimeoutMs)
    body(() => broker ?? missing())
  })
}

/** The broker of this test run; started by the first that asks. */
export async function kafkaBroker(): Promise<TestKafka> {
  const door = inject('kafkaDoor')
  if (door === null) return missing()
  const answer = await fetch(door)
  if (!answer.ok) throw new Error(await answer.text())
  return testKafka.parse(await answer.json())
}

function skipReason(): string {
  const reason = inject('kafkaSkipReason')
  if (reason !== '' || spawnSync('kcat', ['-V']).status === 0) return reason
  if (process.env['REQUIRE_KAFKA'] === '1') throw new Error('REQUIRE_KAFKA=1, but there is no kcat to read records with')
  return 'there is no kcat to read records with'
}

function missing(): never {
  throw new Error('there is no broker')
}

/** Makes topics; `config` takes a topic's own settings, such as `max.message.bytes`. */
export async function createTopics(
  { brokers }: TestKafka,
  ...topics: { topic: string; partitions?: number; config?: Record<string, string> }[]
): Promise<void> {
  const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin()
  await admin.connect()
  await admin.createTopics({
    waitForLeaders: true,
    topics: topics.map(({ topic, partitions = 1, config = {} }) => ({
      topic,
      numPartitions: partitions,
      replicationFactor: 1,
      configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
    })),
  })
  await admin.disconnect()
}

const kcatRecord = z.object({
  key: z.string().nullable(),
  payload: z.string(),
  headers: z.array(z.string()).default([]),
  partition: z.number(),
  offset: z.number(),
})

/** At the end of a topic kcat would wait half a second for more. */
const atOnce = ['-X', 'fetch.wait.max.ms=20']

export interface ReadRecord {
  key: string | null
  value: string
  headers: Record<string, string>
}

/** Everything in a topic, as `kcat` reads it, by partition and offset. */
export async function readTopic({ brokers }: TestKafka, topic: string): Promise<ReadRecord[]> {
  const { stdout } = await run(
    'kcat',
    ['-C', '-b', brokers.join(','), '-t', topic, '-o', 'beginning', '-e', '-q', '-J', ...atOnce],
    {
      maxBuffer: 64 * 1_048_576,
      timeout: 30_000,
    },
  )
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => kcatRecord.parse(JSON.parse(line)))
    .toSorted((a, b) => a.partition - b.partition || a.offset - b.offset)
    .map(({ key, payload, headers }) => ({ key, value: payload, headers: pairs(headers) }))
}

/** `kcat` writes headers as a flat list, name after name. */
function pairs(flat: string[]): Record<string, string> {
  const result: Record<string, string> = {}
  for (let at = 0; at + 1 < flat.length; at += 2) result[flat[at] ?? ''] = flat[at + 1] ?? ''
  return result
}
