/** Waiting for Postgres at start, with a line that says so. */
import { setTimeout as sleep } from 'node:timers/promises'
import { RelayError, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { describeUrl, type Pool } from './pool.ts'
import { sqlState } from './sqlstate.ts'

export interface WaitOptions {
  pool: Pool
  url: string
  /** How long to wait before giving up, in milliseconds. */
  limitMs: number
  log: Log
  signal?: AbortSignal
}

/** SQLSTATE classes that waiting does not mend: wrong password, no such role, no such database. */
const hopeless = new Set(['28000', '28P01', '3D000'])

/** @throws RelayError `database_unreachable` */
export async function waitForDatabase({ pool, url, limitMs, log, signal }: WaitOptions): Promise<void> {
  const deadline = performance.now() + limitMs
  for (let tries = 1; ; tries++) {
    try {
      await pool.query('select 1')
      if (tries > 1) log.info({ database: describeUrl(url) }, 'the database answers')
      return
    } catch (error) {
      const state = sqlState(error)
      if ((state !== undefined && hopeless.has(state)) || performance.now() >= deadline || signal?.aborted) {
        throw new RelayError('database_unreachable', `no usable Postgres at ${describeUrl(url)}: ${messageOf(error)}`, {
          cause: error,
          hint: 'start it, correct database.url (DATABASE_URL), or leave it out for the embedded one',
        })
      }
      const secondsLeft = Math.ceil((deadline - performance.now()) / 1_000)
      log.warn({ database: describeUrl(url), error: messageOf(error) }, `waiting for Postgres, ${secondsLeft}s left`)
      await sleep(Math.min(2_000, 250 * tries), undefined, signal ? { signal } : {}).catch(() => {})
    }
  }
}
