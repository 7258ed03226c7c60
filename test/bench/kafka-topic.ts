/** A real broker with topics for the benchmarks. */
import { Kafka, logLevel } from 'kafkajs'
import { startKafkaBroker, type TestKafka } from '../setup/kafka-broker.ts'

export interface BenchKafka extends TestKafka {
  createTopic(name: string): Promise<Topic>
  stop(): Promise<void>
}

export interface Topic {
  name: string
  /** Where each partition ends. */
  ends(): Promise<PartitionEnd[]>
  /** Records so far. */
  records(): Promise<number>
}

export interface PartitionEnd {
  partition: number
  offset: string
}

/** One would be the easier case: records of a batch go to several places. */
const partitions = 4

/** @returns the reason where there can be no broker */
export async function startKafka(): Promise<BenchKafka | { missing: string }> {
  let broker: Awaited<ReturnType<typeof startKafkaBroker>>
  try {
    broker = await startKafkaBroker()
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) }
  }
  const admin = new Kafka({ brokers: broker.brokers, logLevel: logLevel.ERROR }).admin()
  await admin.connect()

  async function ends(topic: string): Promise<PartitionEnd[]> {
    return (await admin.fetchTopicOffsets(topic)).map(({ partition, high }) => ({ partition, offset: high }))
  }

  return {
    ...broker,
    async createTopic(name) {
      await admin.createTopics({
        waitForLeaders: true,
        topics: [{ topic: name, numPartitions: partitions, replicationFactor: 1 }],
      })
      return {
        name,
        ends: () => ends(name),
        records: async () => (await ends(name)).reduce((sum, { offset }) => sum + Number(offset), 0),
      }
    },
    async stop() {
      await admin.disconnect()
      await broker.stop()
    },
  }
}
