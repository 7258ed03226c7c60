/** The demo's own topic on the user's broker: made, read back by a consumer, and removed. */
import { Kafka, logLevel } from 'kafkajs'

export interface DemoRecord {
  key: string
  headers: Record<string, string>
  value: string
}

export interface DemoTopic {
  records(): readonly DemoRecord[]
  close(): Promise<void>
}

export async function openDemoTopic(brokers: readonly string[], topic: string): Promise<DemoTopic> {
  const kafka = new Kafka({
    clientId: 'gemini-relay-demo',
    brokers: [...brokers],
    logLevel: logLevel.NOTHING,
    connectionTimeout: 3_000,
  })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic, numPartitions: 1 }], waitForLeaders: true })
  const consumer = kafka.consumer({ groupId: topic })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  const records: DemoRecord[] = []
  await consumer.run({
    async eachMessage({ message }) {
      const headers = Object.fromEntries(Object.entries(message.headers ?? {}).map(([name, value]) => [name, String(value)]))
      records.push({ key: message.key?.toString() ?? '', headers, value: message.value?.toString() ?? '' })
    },
  })
  return {
    records: () => records,
    async close() {
      await consumer.disconnect()
      await admin.deleteTopics({ topics: [topic] }).catch(() => {})
      await admin.disconnect()
    },
  }
}
