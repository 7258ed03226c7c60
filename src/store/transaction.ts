import type { PoolClient } from 'pg'
import type { Pool } from './pool.ts'

/** Commits what `work` did, or nothing: after an error the connection is closed, and with it what was begun. */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const result = await work(client)
    await client.query('commit')
    client.release()
    return result
  } catch (error) {
    client.release(true)
    throw error
  }
}
