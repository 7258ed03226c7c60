/** What the full way is measured on: a relay with a rule to a table and one to a Kafka topic, and the ceiling beside it. */
import { prepare } from './accept.ts'
import type { Bench } from './bench.ts'
import { startGenerator, type Generator, type Slice } from './generator.ts'
import { createJobsTable, jobsSink, type JobsTable } from './jobs-table.ts'
import { startKafka, type BenchKafka, type Topic } from './kafka-topic.ts'
import { startRelay, startServer, type Target, yamlHead } from './servers.ts'

export interface PathRig {
  generator: Generator
  relay: Target
  databaseUrl: string
  ceiling: Target
  table: JobsTable
  /** undefined: there is no broker, and every event goes to the table alone. */
  kafka: { broker: BenchKafka; topic: Topic } | undefined
  stop(): Promise<void>
}

export interface PathRigOptions {
  /** Further parts of the relay's configuration, in YAML. */
  more?: string
  /** Done to the relay's database before the relay starts on it. */
  prepareDatabase?: (url: string) => Promise<void>
}

function yaml(brokers: readonly string[], more: string): string {
  const kafka = brokers.length > 0
  return `${yamlHead}${more}sinks:
  ${jobsSink()}
  ${kafka ? `stream: { type: kafka, brokers: ["${brokers.join('", "')}"], topic: path }` : ''}
rules:
  - { name: rows, to: [jobs] }
  ${kafka ? '- { name: records, to: [stream] }' : ''}
`
}

export async function startPathRig(bench: Bench, { more = '', prepareDatabase }: PathRigOptions = {}): Promise<PathRig> {
  const stops: (() => Promise<void>)[] = []
  const stop = async () => {
    for (const release of stops.splice(0).toReversed()) await release()
  }
  try {
    const found = await startKafka()
    const broker = 'missing' in found ? undefined : found
    if ('missing' in found) bench.say(`to the table alone, there is no Kafka: ${found.missing}`)
    if (broker !== undefined) stops.push(() => broker.stop())
    const topic = await broker?.createTopic('path')
    const databaseUrl = await bench.postgres.createDatabase('path')
    const table = await createJobsTable(databaseUrl)
    stops.push(() => table.close())
    await prepareDatabase?.(databaseUrl)
    const relay = await startRelay(yaml(broker?.brokers ?? [], more), databaseUrl)
    stops.push(() => relay.stop())
    const ceiling = await startServer('ceiling')
    stops.push(() => ceiling.stop())
    const generator = startGenerator()
    stops.push(() => generator.stop())
    const kafka = broker === undefined || topic === undefined ? undefined : { broker, topic }
    return { generator, relay, databaseUrl, ceiling, table, kafka, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Since some moment, events that are at every sink. */
export async function countArrivals({ table, kafka }: PathRig): Promise<() => Promise<number>> {
  const read = () => Promise.all([table.arrived(), kafka?.topic.records() ?? Infinity])
  const [rowsBefore, recordsBefore] = await read()
  return async () => {
    const [rows, records] = await read()
    return Math.min(rows - rowsBefore, kafka === undefined ? Infinity : records - recordsBefore)
  }
}

const ceilingSeconds = 3
const guessedPerSecond = 12_000

/** @param last the slice before, which tells how many requests this one can use up */
export function ceilingSlice({ generator, ceiling }: PathRig, connections: number, last: Slice | undefined): Promise<Slice> {
  const window = Math.ceil((last?.perSecond ?? guessedPerSecond) * ceilingSeconds * 1.5)
  return generator.slice(prepare(ceiling, undefined, 'hmac', window), { connections, seconds: ceilingSeconds })
}
