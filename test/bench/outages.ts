/** One relay with one sink, of each type, whose outage is a real one: what the sink writes to is away. */
import type { Bench } from './bench.ts'
import { startHttpReceiver } from './http-receiver.ts'
import { createJobsTable, jobsSink } from './jobs-table.ts'
import type { BenchKafka } from './kafka-topic.ts'
import { startPipedRelay } from './piped-relay.ts'
import { startRelay, type Target, yamlHead } from './servers.ts'
import { startKafkaProxy } from '../setup/kafka-proxy.ts'

export interface Outage {
  relay: Target
  /** Deliveries that the sink's end has so far. */
  arrived(): Promise<number>
  down(): Promise<void>
  up(): Promise<void>
  /** Compares what is there with what was accepted, where a delivery can be told from another. */
  verify(accepted: number): Promise<void>
  /** With the relay. */
  stop(): Promise<void>
}

export type SinkType = 'table' | 'kafka' | 'http' | 'log'

/** Shorter than the defaults, so that what is measured is draining and not the wait for a sink to be noticed. */
const impatient = 'retry: { initial: 500ms, max: 1s }, breaker: { failures: 1, cooldown: 500ms, max: 1s }'

function yaml(name: string, sink: string): string {
  return `${yamlHead}sinks:
  ${sink}
rules:
  - { name: everything, to: [${name}] }
`
}

/** The table is locked by another session. */
async function tableOutage({ postgres }: Bench): Promise<Outage> {
  const databaseUrl = await postgres.createDatabase('drain_table')
  const table = await createJobsTable(databaseUrl)
  const relay = await startRelay(yaml('jobs', jobsSink(impatient)), databaseUrl)
  return {
    relay,
    arrived: () => table.arrived(),
    down: () => table.lock(),
    up: () => table.unlock(),
    async verify(accepted) {
      const rows = await table.rows()
      if (rows !== accepted) throw new Error(`drain: ${accepted} events were accepted, and the table has ${rows} rows`)
    },
    async stop() {
      await relay.stop()
      await table.close()
    },
  }
}

/** The broker refuses connections. */
async function kafkaOutage({ postgres }: Bench, broker: BenchKafka): Promise<Outage> {
  const { own } = broker
  if (own === null) throw new Error('the broker that TEST_KAFKA_BROKERS names has no listener to cut off')
  const topic = await broker.createTopic('drain')
  const openProxy = () => startKafkaProxy({ upstreamPort: own.upstreamPort, port: own.proxyPort })
  let proxy = await openProxy()
  const sink = `stream: { type: kafka, brokers: ["127.0.0.1:${own.proxyPort}"], topic: drain, ${impatient} }`
  const relay = await startRelay(yaml('stream', sink), await postgres.createDatabase('drain_kafka'))
  return {
    relay,
    arrived: () => topic.records(),
    down: () => proxy.stop(),
    async up() {
      proxy = await openProxy()
    },
    verify: () => Promise.resolve(),
    async stop() {
      await relay.stop()
      await proxy.stop()
    },
  }
}

/** The receiver's port is closed. */
async function httpOutage({ postgres }: Bench): Promise<Outage> {
  const receiver = await startHttpReceiver()
  const sink = `forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true, concurrency: 64, ${impatient} }`
  const relay = await startRelay(yaml('forward', sink), await postgres.createDatabase('drain_http'))
  return {
    relay,
    arrived: () => receiver.count(),
    down: () => receiver.close(),
    up: () => receiver.open(),
    verify: () => Promise.resolve(),
    async stop() {
      await relay.stop()
      await receiver.stop()
    },
  }
}

/** Nobody reads the relay's standard output. */
async function logOutage({ postgres }: Bench): Promise<Outage> {
  const config = yaml('trace', `trace: { type: log, timeout: 2s, ${impatient} }`)
  const relay = await startPipedRelay(config, await postgres.createDatabase('drain_log'))
  return {
    relay,
    arrived: () => Promise.resolve(relay.lines()),
    down: () => Promise.resolve(relay.pause()),
    up: () => Promise.resolve(relay.resume()),
    verify: () => Promise.resolve(),
    stop: () => relay.stop(),
  }
}

/** @param kafka for a Kafka sink */
export function startOutage(type: SinkType, bench: Bench, kafka: BenchKafka | undefined): Promise<Outage> {
  switch (type) {
    case 'table':
      return tableOutage(bench)
    case 'kafka':
      if (kafka === undefined) throw new Error('no broker')
      return kafkaOutage(bench, kafka)
    case 'http':
      return httpOutage(bench)
    case 'log':
      return logOutage(bench)
    default:
      return type satisfies never
  }
}
