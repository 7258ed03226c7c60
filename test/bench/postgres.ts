/** The Postgres that everything here is measured on: the relay's embedded one, on a directory of its own. */
import { rmSync } from 'node:fs'
import pg from 'pg'
import { startEmbedded } from '../../src/store/embedded/index.ts'
import { makeServerDir } from '../setup/server-dir.ts'

export interface BenchPostgres {
  /** Version and the settings that matter here. */
  about: string
  /** An empty database. */
  createDatabase(name: string): Promise<string>
  stop(): Promise<void>
}

/**
 * What a server for this load is given, see docs/operations.md. Durability is untouched: fsync, full_page_writes and
 * synchronous_commit are on. Commit times tell when a row was committed; they are taken before the flush.
 */
const settings = { shared_buffers: '1GB', max_wal_size: '8GB', max_connections: 200, track_commit_timestamp: 'on' }

const told = [
  'server_version',
  'fsync',
  'synchronous_commit',
  'full_page_writes',
  'shared_buffers',
  'max_wal_size',
  'wal_compression',
]

export async function startPostgres(): Promise<BenchPostgres> {
  const dataDir = makeServerDir('gemini-relay-bench-')
  const embedded = await startEmbedded({ dataDir, settings })
  const admin = new pg.Client({ connectionString: embedded.url })
  await admin.connect()
  const { rows: values } = await admin.query<{ value: string }>(
    `select name || ' ' || current_setting(name) as value from unnest($1::text[]) as name`,
    [told],
  )
  return {
    about: values.map(({ value }) => value).join(', '),
    async createDatabase(name) {
      await admin.query(`drop database if exists ${name} with (force)`)
      await admin.query(`create database ${name}`)
      return embedded.url.replace(/\/[^/?]*\?/, `/${name}?`)
    },
    async stop() {
      await admin.end()
      await embedded.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}
