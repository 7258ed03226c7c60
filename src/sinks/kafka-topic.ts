/** Writes records to one topic in requests that fit, and finds the one record that spoils a request. */
import type { Outcome } from '../types.ts'
import type { KafkaFailure } from './kafka-failure.ts'
import type { KafkaProducer } from './kafka-producer.ts'
import type { KafkaRecord } from './kafka-record.ts'

export interface TopicRecord extends KafkaRecord {
  settle: (outcome: Outcome) => void
}

export interface TopicWriter {
  /** Settles every record; once `signal` has aborted, only those that were sent by then. Never throws. */
  write(records: readonly TopicRecord[], signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/**
 * Kafka's limit (`max.message.bytes`, 1 MiB by default) is on all records of a request that go to one partition: ordinary
 * records together can break it. Three quarters leave room for what batches add, and a record over the limit goes alone.
 */
const requestBytes = 786_432

export function createTopicWriter(producer: KafkaProducer): TopicWriter {
  let limit = requestBytes

  async function write(records: readonly TopicRecord[], signal: AbortSignal): Promise<KafkaFailure | undefined> {
    let rest = records
    while (rest.length > 0 && !signal.aborted) {
      const chunk = rest.slice(0, fitting(rest, limit))
      const failure = await send(chunk, signal)
      rest = rest.slice(chunk.length)
      // What is wrong with the topic or the connection is so for the rest: trying each would outlast the attempt.
      if (failure && failure.blame !== 'record') {
        settle(rest, failure)
        return failure
      }
    }
    return undefined
  }

  async function send(chunk: readonly TopicRecord[], signal: AbortSignal): Promise<KafkaFailure | undefined> {
    const failure = await producer.send(chunk)
    if (failure?.blame !== 'record' || chunk.length === 1) {
      settle(chunk, failure)
      return failure
    }
    // The topic's own limit is lower: requests of half the size from now on, for splitting sends some records twice.
    if (failure.code === 'too_large') limit = Math.min(limit, Math.ceil(sizeOf(chunk) / 2))
    const half = Math.ceil(chunk.length / 2)
    const first = await write(chunk.slice(0, half), signal)
    if (!first) return write(chunk.slice(half), signal)
    settle(chunk.slice(half), first)
    return first
  }

  return {
    write: async (records, signal) => {
      await write(records, signal)
    },
    close: () => producer.close(),
  }
}

function settle(records: readonly TopicRecord[], failure: KafkaFailure | undefined): void {
  const outcome: Outcome = failure ? withoutBlame(failure) : { status: 'delivered' }
  for (const record of records) record.settle(outcome)
}

function withoutBlame({ status, code, message }: KafkaFailure): Outcome {
  return { status, code, message }
}

/** How many records from the start fit into one request; at least one. */
function fitting(records: readonly TopicRecord[], limit: number): number {
  let bytes = 0
  const over = records.findIndex((record) => (bytes += bytesOf(record)) > limit)
  return over === -1 ? records.length : Math.max(1, over)
}

const sizeOf = (records: readonly TopicRecord[]): number => records.reduce((bytes, record) => bytes + bytesOf(record), 0)

/** Lengths, timestamp and offset of a record take less than this. */
const recordOverhead = 64

function bytesOf({ key, value, headers }: KafkaRecord): number {
  let bytes = recordOverhead + value.length + (key?.length ?? 0)
  for (const name in headers) bytes += name.length + (headers[name]?.length ?? 0) + 2
  return bytes
}
