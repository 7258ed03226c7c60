import type { QueryArrayConfig } from 'pg'
import type { Pool } from './pool.ts'
import { isUnavailable } from './sqlstate.ts'

/**
 * One statement that is waited for no longer than until `signal` aborts. Its connection is closed then; the server notices
 * that when the statement ends, at the latest by its own timeouts. Until then it may still commit.
 *
 * @returns its rows
 */
export async function queryUntil<R extends unknown[]>(signal: AbortSignal, pool: Pool, query: QueryArrayConfig): Promise<R[]> {
  const client = await pool.connect()
  let held = true
  const release = (broken: boolean) => {
    if (held) client.release(broken)
    held = false
  }
  const abort = () => release(true)
  signal.addEventListener('abort', abort, { once: true })
  try {
    signal.throwIfAborted()
    const { rows } = await client.query<R>(query)
    release(false)
    return rows
  } catch (error) {
    release(isUnavailable(error))
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
