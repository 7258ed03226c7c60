/** A consumer that notes when it was given each record. */
import { connect } from 'node:net'
import { randomUUID } from 'node:crypto'
import { Kafka, logLevel } from 'kafkajs'
import { epochClock } from './clock.ts'
import type { Reading, ReaderReport } from './kafka-reader.ts'

const seen = new Map<string, number>()

async function read({ brokers, topic, from }: Reading): Promise<void> {
  const epoch = epochClock()
  const kafka = new Kafka({
    brokers,
    // A group's first join finds no coordinator yet, and is tried again.
    logLevel: logLevel.NOTHING,
    // Without it a fetch can wait for the acknowledgement of the one before.
    socketFactory: ({ host, port, onConnect }) => connect({ host, port, noDelay: true }, onConnect),
  })
  const consumer = kafka.consumer({ groupId: `bench-${randomUUID()}`, maxWaitTimeInMs: 500 })
  await consumer.connect()
  await consumer.subscribe({ topic })
  const fetching = new Promise<void>((resolve) => {
    const off = consumer.on(consumer.events.FETCH, () => {
      off()
      resolve()
    })
  })
  const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()))
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch: { messages } }) => {
      const at = epoch()
      for (const { headers } of messages) {
        const webhookId = String(headers?.['webhook-id'])
        if (!seen.has(webhookId)) seen.set(webhookId, at)
      }
    },
  })
  await joined
  for (const { partition, offset } of from) consumer.seek({ topic, partition, offset })
  await fetching
}

process.on('message', (question: Reading | 'seen') => {
  if (question === 'seen') return report({ kind: 'seen', seen: [...seen] })
  read(question).then(
    () => report({ kind: 'reading' }),
    (error: unknown) => report({ kind: 'failed', error: String(error) }),
  )
})

// The harness is gone.
process.on('disconnect', () => process.exit())

function report(message: ReaderReport): void {
  process.send?.(message)
}
