/**
 * Vitest global setup: one real broker for all Kafka suites of a run, started when the first of them asks for it, so
 * that running a single unrelated file costs nothing. Test files ask over a loopback HTTP port; kafka-suite.ts does.
 *
 * Where no broker can be had the suites are skipped with the reason in their names; `REQUIRE_KAFKA=1` forbids that.
 */
import { spawnSync } from 'node:child_process'
import { createServer } from 'node:http'
import type { TestProject } from 'vitest/node'
import { startKafkaBroker } from './kafka-broker.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where a GET starts the broker if need be and answers its addresses as JSON; null where there can be none. */
    kafkaDoor: string | null
    /** Why there can be no broker; empty when there can. */
    kafkaSkipReason: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const reason = whyNot()
  if (reason !== '' && process.env['REQUIRE_KAFKA'] === '1') throw new Error(`REQUIRE_KAFKA=1, but there is no Kafka: ${reason}`)
  project.provide('kafkaSkipReason', reason)
  if (reason !== '') {
    project.provide('kafkaDoor', null)
    return () => Promise.resolve()
  }

  let broker: ReturnType<typeof startKafkaBroker> | undefined
  const door = createServer((_request, response) => {
    broker ??= startKafkaBroker()
    broker.then(
      ({ brokers, version, own }) => response.end(JSON.stringify({ brokers, version, own })),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => door.once('listening', resolve))
  const address = door.address()
  project.provide('kafkaDoor', `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`)

  return async () => {
    door.closeAllConnections()
    door.close()
    // A start that failed has failed its suites already.
    await broker?.then(
      ({ stop }) => stop(),
      () => undefined,
    )
  }
}

function whyNot(): string {
  if (process.env['TEST_KAFKA_BROKERS']) return ''
  // Looked up, not run: two JVMs only to say their versions would cost every run a second.
  const missing = ['java', 'mvn'].filter((command) => spawnSync('/bin/sh', ['-c', `command -v ${command}`]).status !== 0)
  if (missing.length === 0) return ''
  return `TEST_KAFKA_BROKERS is not set and there is no ${missing.join(' and no ')} to start Kafka with`
}
