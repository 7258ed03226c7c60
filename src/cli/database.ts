/** The relay's database, for a command that looks or asks: it attaches, and never starts, stops or migrates anything. */
import type { LoadedConfig } from '../config/load.ts'
import { RelayError, messageOf } from '../errors.ts'
import { createLog } from '../log.ts'
import { attachEmbedded, embeddedDataDir } from '../store/embedded/index.ts'
import { createPool, describeUrl, type Pool } from '../store/pool.ts'

/** Runs `work` on a pool of its own, and closes it. @param settings of its session, besides the usual ones */
export async function withDatabase<T>(loaded: LoadedConfig, work: (pool: Pool) => Promise<T>, settings = ''): Promise<T> {
  const url = await urlOf(loaded)
  const pool = createPool({ url, part: 'cli', max: 3, statementTimeoutMs: 60_000, settings, log: createLog({ level: 'warn' }) })
  try {
    await assertMigrated(pool, url)
    return await work(pool)
  } finally {
    await pool.end()
  }
}

async function urlOf({ config, file }: LoadedConfig): Promise<string> {
  if (config.database.url !== 'embedded') return config.database.url
  return (await attachEmbedded({ dataDir: embeddedDataDir({ configFile: file, env: process.env }) })).url
}

async function assertMigrated(pool: Pool, url: string): Promise<void> {
  const found = await pool
    .query<{ migrated: boolean }>(`select to_regclass('gemini_relay.deliveries') is not null as migrated`)
    .catch((error: unknown) => {
      throw new RelayError('database_unreachable', `no usable Postgres at ${describeUrl(url)}: ${messageOf(error)}`, {
        cause: error,
      })
    })
  if (found.rows[0]?.migrated !== true) {
    throw new RelayError('not_found', `${describeUrl(url)} holds no gemini-relay data yet`, {
      hint: 'run `gemini-relay serve` once: it prepares the database',
    })
  }
}
