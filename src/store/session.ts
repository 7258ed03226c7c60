import type { PoolClient } from 'pg'
import type { Pool } from './pool.ts'

/**
 * One connection, kept from use to use: a statement is on its way at once, not when the event loop comes to hand a connection
 * out. For what writes one thing after the other.
 */
export interface Session {
  /** One at a time. After a rejection the connection is closed, and with it what was begun; the next use gets another. */
  use<T>(work: (client: PoolClient) => Promise<T>): Promise<T>
  /** Gives the connection back to its pool. Not while it is in use. */
  release(): void
}

export function createSession(pool: Pool): Session {
  let held: PoolClient | undefined

  function drop(client: PoolClient): void {
    if (held !== client) return
    held = undefined
    client.release(true)
  }

  async function connect(): Promise<PoolClient> {
    const client = await pool.connect()
    held = client
    // Also when it breaks between two uses: the next one then connects anew, as it would with a pool.
    client.once('error', () => drop(client))
    return client
  }

  return {
    async use(work) {
      const client = held ?? (await connect())
      try {
        return await work(client)
      } catch (error) {
        drop(client)
        throw error
      }
    },
    release() {
      held?.release()
      held = undefined
    },
  }
}
