/** The two stores that `growth` compares: one that is made anew each time, and one that has grown. */
import pg from 'pg'
import { createPool, keptPlans, type Pool } from '../../src/store/pool.ts'
import type { Bench } from './bench.ts'
import { createJobsTable, type JobsTable } from './jobs-table.ts'
import { seedDelivered } from './seed.ts'
import { startRelay, yamlHead } from './servers.ts'

export interface Store {
  url: string
  client: pg.Client
  jobs: JobsTable
  /** For claims, as a relay has it. */
  pool: Pool
  close(): Promise<void>
}

/** A database with the relay's tables, as a relay makes them, and the table of the benchmarks' table sink. */
export async function createStore(bench: Bench, name: string): Promise<Store> {
  const url = await bench.postgres.createDatabase(name)
  // First: once the relay's schema is there, it is the first of the search path of a user of the same name.
  const jobs = await createJobsTable(url)
  const relay = await startRelay(yamlHead, url)
  await relay.stop()
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const pool = createPool({ url, part: 'bench', max: 1, statementTimeoutMs: 15_000, settings: keptPlans, log: silent })
  return {
    url,
    client,
    jobs,
    pool,
    async close() {
      await Promise.all([client.end(), jobs.close(), pool.end()])
    },
  }
}

/** @param events each with a delivery that was made */
export async function growStore(bench: Bench, store: Store, events: number): Promise<void> {
  const started = performance.now()
  await seedDelivered(store.client, { rule: 'rows', sink: 'jobs', events })
  bench.say(`growth: ${events} events and deliveries stored in ${Math.round((performance.now() - started) / 1_000)} s`)
}

const ignore = (): void => {}
const silent = { debug: ignore, info: ignore, warn: ignore, error: ignore }
