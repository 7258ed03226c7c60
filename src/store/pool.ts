/** Connections to Postgres. Each part of the relay has a pool of its own, so that none can starve another. */
import pg from 'pg'
import type { Log } from '../log.ts'
import { messageOf } from '../errors.ts'

export type Pool = pg.Pool

export interface PoolOptions {
  url: string
  /** Shows in pg_stat_activity as `gemini-relay <part>`. */
  part: string
  max: number
  /** Server-side bound of one statement, in milliseconds. */
  statementTimeoutMs: number
  /** Server-side bound of waiting for a lock, in milliseconds. */
  lockTimeoutMs?: number
  /** More settings of each session: `-c name=value`. */
  settings?: string
  log: Log
}

/** A statement whose server went silent is given up this long after the server should have ended it. */
const silenceMs = 2_000

/**
 * A 2xx is a promise: no role or database default may turn the commit behind it asynchronous. Nor may one turn the snapshot of a statement into
 * one taken before it waited for a lock: see reconcile/make-events.ts. Statements are short: compiling one (where `enable_nestloop=off` makes
 * it look dear) takes longer than running it.
 */
const ourSettings = '-c synchronous_commit=on -c timezone=UTC -c default_transaction_isolation=read\\ committed -c jit=off'

export function createPool({ url, part, max, statementTimeoutMs, lockTimeoutMs, settings = '', log }: PoolOptions): Pool {
  const pool = new pg.Pool({
    connectionString: withSettings(url, `${ourSettings} ${settings}`.trim()),
    application_name: `gemini-relay ${part}`,
    max,
    connectionTimeoutMillis: 3_000,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + silenceMs,
    ...(lockTimeoutMs === undefined ? {} : { lock_timeout: lockTimeoutMs }),
  })
  // Without a listener an idle connection that breaks would end the process; the next query reconnects.
  pool.on('error', (error) => log.debug({ part, error: messageOf(error) }, 'an idle database connection broke'))
  // Likewise for one that breaks while somebody has it checked out: whoever queries next on it gets the error.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}

/**
 * For sessions that reach rows by number or by a short ordered range of an index, hundreds at once: one plan, made once; no table read
 * from end to end, and no backlog sorted to find its oldest, because either looked small when the plan was made.
 */
export const keptPlans = '-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_sort=off'

/** In the URL, because what a URL says goes before what the client's options say: ours follow those it holds. */
function withSettings(url: string, settings: string): string {
  const parsed = new URL(withHost(url))
  parsed.searchParams.set('options', [parsed.searchParams.get('options') ?? '', settings].join(' ').trim())
  // Ours are what keeps a slow database from holding up a sender.
  for (const bound of ['statement_timeout', 'lock_timeout', 'query_timeout']) parsed.searchParams.delete(bound)
  return parsed.href.replace(`@${noHost}/`, '@/')
}

/** Stands where a Unix socket's URL names no host, which WHATWG URLs do not take. */
const noHost = 'socket'

function withHost(url: string): string {
  return url.replace('@/', `@${noHost}/`)
}

/** Host, port and database of a URL, for messages: never the password. */
export function describeUrl(url: string): string {
  try {
    const { hostname, port, pathname, searchParams } = new URL(withHost(url))
    return `${searchParams.get('host') ?? (hostname || 'localhost')}${port ? `:${port}` : ''}${pathname}`
  } catch {
    return 'the configured database'
  }
}
