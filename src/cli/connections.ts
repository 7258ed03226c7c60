/** What a configuration leads to, asked once each: the database, the Gemini API where it is used, every sink. */
import type { LoadedConfig } from '../config/load.ts'
import { anyEnriches } from '../config/targets.ts'
import { RelayError, messageOf } from '../errors.ts'
import { geminiAccess } from '../gemini/access.ts'
import { createGeminiRest } from '../gemini/rest.ts'
import type { Log } from '../log.ts'
import { fine, probeSink, problem, problemOf, type Finding } from '../sinks/probe.ts'
import { attachEmbedded, embeddedDataDir } from '../store/embedded/index.ts'
import { createPool, describeUrl } from '../store/pool.ts'

export interface Connection extends Finding {
  /** `database`, `gemini`, or `sink` and its name. */
  to: string
}

/** Of a statement and of a call, in milliseconds. */
const limitMs = 5_000

/** All at once: what is away is waited for, and once is enough. */
export async function checkConnections(
  { config, file }: LoadedConfig,
  { env, log }: { env: NodeJS.ProcessEnv; log: Log },
): Promise<Connection[]> {
  const { url, finding } = await databaseOf()
  const sinks = Object.keys(config.sinks).map(async (name) => {
    return { to: `sink ${name}`, ...(await probeSink(name, { config, relayUrl: finding.state === 'ok' ? url : undefined, log })) }
  })
  return [{ to: 'database', ...finding }, ...(await Promise.all([...gemini(), ...sinks]))]

  async function databaseOf(): Promise<{ url?: string; finding: Finding }> {
    if (config.database.url !== 'embedded') return { url: config.database.url, finding: await askDatabase(config.database.url) }
    try {
      const { url: embedded } = await attachEmbedded({ dataDir: embeddedDataDir({ configFile: file, env }) })
      return { url: embedded, finding: await askDatabase(embedded) }
    } catch (error) {
      if (!(error instanceof RelayError) || error.code !== 'embedded_unavailable') throw error
      return { finding: { state: 'skipped', message: 'the embedded Postgres runs while the relay does: it does not run now' } }
    }
  }

  async function askDatabase(address: string): Promise<Finding> {
    const pool = createPool({ url: address, part: 'check', max: 1, statementTimeoutMs: limitMs, log })
    try {
      const { rows } = await pool.query<{ version: string }>(`select current_setting('server_version') as version`)
      return fine(`Postgres ${rows[0]?.version} at ${describeUrl(address)}`)
    } catch (error) {
      const advice = 'start it, or correct database.url'
      return problem(`no usable Postgres at ${describeUrl(address)}: ${messageOf(error)}: ${advice}`)
    } finally {
      await pool.end()
    }
  }

  function gemini(): Promise<Connection>[] {
    const { webhooks, reconcile } = config.gemini
    const isUsed = Object.keys(webhooks).length > 0 || reconcile !== undefined || anyEnriches(config)
    return isUsed ? [askGemini().then((asked) => ({ to: 'gemini', ...asked }))] : []
  }

  async function askGemini(): Promise<Finding> {
    const what = 'listing a batch'
    try {
      await createGeminiRest(geminiAccess(config.gemini, env)).get('batches', {
        what,
        query: { pageSize: '1' },
        timeoutMs: limitMs,
      })
      return fine('the Gemini API takes the key')
    } catch (error) {
      return problemOf(error)
    }
  }
}
