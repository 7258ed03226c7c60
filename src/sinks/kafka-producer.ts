/** A kafkajs producer for one topic that connects when it is needed, is replaced when it fails, and always ends in time. */
import { Partitioners } from 'kafkajs'
import type { SinkConfigOf } from '../config/schema.ts'
import type { Log } from '../log.ts'
import { createKafkaClient, limitsOf, quickRetry, within } from './kafka-client.ts'
import { kafkaFailure, type KafkaFailure } from './kafka-failure.ts'
import type { KafkaRecord } from './kafka-record.ts'

export interface KafkaProducer {
  /** Sends in one request a broker; undefined when all of them are acknowledged. Never throws. */
  send(records: readonly KafkaRecord[]): Promise<KafkaFailure | undefined>
  close(): Promise<void>
}

/**
 * One topic a producer: kafkajs asks for the metadata of every topic that a producer ever sent to at once, and one of them
 * that was deleted fails the others.
 */
export function createKafkaProducer({
  topic,
  config,
  log,
}: {
  topic: string
  config: SinkConfigOf<'kafka'>
  log: Log
}): KafkaProducer {
  const { brokers } = config
  let link: Link | undefined
  const ending = new Set<Promise<void>>()

  function discard(old: Link): void {
    if (link === old) link = undefined
    const end = old.close().finally(() => ending.delete(end))
    ending.add(end)
  }

  return {
    async send(records) {
      const used = (link ??= createLink(config, log))
      try {
        await used.connected
        const timeout = limitsOf(config).requestMs
        await used.producer.send({ topic, acks: allReplicas, timeout, messages: [...records] })
        return undefined
      } catch (error) {
        const failure = kafkaFailure(error, topic, brokers, used.saslCause())
        if (failure.blame === 'connection') discard(used)
        return failure
      }
    },
    async close() {
      if (link) discard(link)
      await Promise.all(ending)
    },
  }
}

const allReplicas = -1

/** Requests that are under way get this long to end when a connection is given up. */
const closeMs = 2_000

type Link = ReturnType<typeof createLink>

function createLink(config: SinkConfigOf<'kafka'>, log: Log) {
  const { connectMs } = limitsOf(config)
  const { kafka, saslCause, closeSockets } = createKafkaClient(config, log)
  const producer = kafka.producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
    retry: { ...quickRetry, retries: 1 },
  })
  const connected = within(connectMs, producer.connect(), `no connection in ${connectMs} ms`)
  // Whoever sends awaits it too; a link that is closed before anybody does must not be an unhandled rejection.
  connected.catch(() => undefined)
  return {
    producer,
    connected,
    saslCause,
    async close() {
      await within(closeMs, producer.disconnect(), 'still busy').catch(() => undefined)
      closeSockets()
    },
  }
}
