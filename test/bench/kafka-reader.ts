/** The harness' end of a consumer, which is a process of its own: it tells when each record reached it. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { PartitionEnd } from './kafka-topic.ts'

export interface Reading {
  brokers: string[]
  topic: string
  /** Where to begin. */
  from: PartitionEnd[]
}

/** When a record's webhook-id was read first, in milliseconds since the epoch. */
export type Seen = [webhookId: string, at: number]

export type ReaderReport = { kind: 'reading' } | { kind: 'seen'; seen: Seen[] } | { kind: 'failed'; error: string }

export interface KafkaReader {
  /** What it has read so far. */
  seen(): Promise<Map<string, number>>
  stop(): Promise<void>
}

/** Resolves when the consumer waits for records. */
export async function startKafkaReader(reading: Reading): Promise<KafkaReader> {
  const child = fork(new URL('./kafka-reader-process.js', import.meta.url))

  async function ask(question: Reading | 'seen'): Promise<ReaderReport> {
    child.send(question)
    const [report]: ReaderReport[] = await once(child, 'message')
    if (report === undefined || report.kind === 'failed') throw new Error(`the Kafka consumer failed: ${report?.error}`)
    return report
  }

  await ask(reading)
  return {
    async seen() {
      const report = await ask('seen')
      return new Map(report.kind === 'seen' ? report.seen : [])
    },
    async stop() {
      child.kill()
      await once(child, 'exit')
    },
  }
}
