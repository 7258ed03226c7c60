/** The Kafka sink's end: a real broker behind a fault proxy, and a consumer that notes each record. */
import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { startKafkaBroker } from '../setup/kafka-broker.ts'
import type { Arrivals } from './arrivals.ts'
import { digestOf } from './messages.ts'

export interface KafkaEnd {
  version: string
  /** Where the broker listens, and where it sends its clients. */
  upstreamPort: number
  proxyPort: number
  stop(): Promise<void>
}

/** @returns the reason where there can be no broker */
export async function startKafkaEnd(arrivals: Arrivals): Promise<KafkaEnd | { missing: string }> {
  let broker: Awaited<ReturnType<typeof startKafkaBroker>>
  try {
    broker = await startKafkaBroker()
  } catch (error) {
    if (process.env['REQUIRE_KAFKA'] === '1') throw error
    return { missing: error instanceof Error ? error.message : String(error) }
  }
  const { own, brokers, version } = broker
  if (own === null) return { missing: 'the broker that TEST_KAFKA_BROKERS names has no listener for a proxy' }
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: 'chaos', numPartitions: 4, replicationFactor: 1 }] })
  await admin.disconnect()
  // Not through the proxy: what it sees is what the broker has.
  const consumer = kafka.consumer({ groupId: `chaos-${randomUUID()}`, maxWaitTimeInMs: 500 })
  await consumer.connect()
  await consumer.subscribe({ topic: 'chaos', fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message: { headers, value } }) => {
      const id = String(headers?.['webhook-id'])
      arrivals.note({ sink: 'stream', rule: '', id, at: Date.now(), taken: true, payload: digestOf(value ?? Buffer.of()) })
    },
  })
  return {
    version,
    upstreamPort: own.upstreamPort,
    proxyPort: own.proxyPort,
    async stop() {
      await consumer.disconnect()
      await broker.stop()
    },
  }
}
