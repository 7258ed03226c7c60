/** One connection that hears NOTIFY. It does not pass PgBouncer's transaction pooling: whoever listens polls as well. */
import pg from 'pg'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Pool } from './pool.ts'

export interface Listener {
  /** @returns what ends it */
  on: (channel: string, notified: (payload: string) => void) => () => void
  start: () => void
  stop: () => Promise<void>
}

const reconnectMs = 5_000

/** As pg_stat_activity shows it. */
const listenerName = 'gemini-relay listen'

export function createListener({ url, log }: { url: string; log: Log }): Listener {
  const heard = new Map<string, Set<(payload: string) => void>>()
  let reconnecting: NodeJS.Timeout | undefined
  let connection: pg.Client | undefined
  /** The connection, once it listens. */
  let listening: pg.Client | undefined
  let stopped = false

  async function listen(): Promise<void> {
    const client = new pg.Client({
      connectionString: url,
      application_name: listenerName,
      keepAlive: true,
      connectionTimeoutMillis: 3_000,
    })
    connection = client
    client.on('notification', ({ channel, payload = '' }) => heard.get(channel)?.forEach((notified) => notified(payload)))
    client.on('error', (error) => log.debug({ error: messageOf(error) }, 'the listening connection broke'))
    client.on('end', () => {
      listening = undefined
      if (stopped) return
      reconnecting = setTimeout(() => void listen(), reconnectMs)
      reconnecting.unref()
    })
    try {
      await client.connect()
      for (const channel of heard.keys()) await listenOn(client, channel)
      listening = client
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'cannot listen for notifications: polling meanwhile')
      await client.end().catch(() => {})
    }
  }

  return {
    on(channel, notified) {
      const known = heard.get(channel)
      const all = known ?? new Set()
      all.add(notified)
      heard.set(channel, all)
      // Where this fails the connection is gone, and the next one listens on all channels.
      if (known === undefined && listening !== undefined) listenOn(listening, channel).catch(() => {})
      return () => void all.delete(notified)
    },
    start: () => void listen(),
    async stop() {
      stopped = true
      clearTimeout(reconnecting)
      await connection?.end().catch(() => {})
    },
  }
}

async function listenOn(client: pg.Client, channel: string): Promise<void> {
  await client.query(`listen ${client.escapeIdentifier(channel)}`)
}

/** Whether some relay runs on this database: each of them listens. */
export async function hasListeningRelay(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query(
    'select from pg_stat_activity where datname = current_database() and application_name = $1 limit 1',
    [listenerName],
  )
  return rows.length > 0
}
