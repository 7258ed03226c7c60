/**
 * Tells other processes that a sink has a backlog they can help with. NOTIFY serializes commits database-wide, so it is
 * never part of accept and at most ten a second; polling is the backstop where LISTEN does not pass (PgBouncer).
 */
import pg from 'pg'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Pool } from '../store/pool.ts'

export const channel = 'gemini_relay_backlog'

const coalesceMs = 100
const reconnectMs = 5_000

export interface Notifier {
  start(): void
  /** Asynchronous and coalesced. */
  notify(sink: string): void
  stop(): Promise<void>
}

export interface NotifierOptions {
  url: string
  pool: Pool
  /** A process, possibly this one, announced a backlog of this sink. */
  notified: (sink: string) => void
  log: Log
}

export function createNotifier({ url, pool, notified, log }: NotifierOptions): Notifier {
  const waiting = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let reconnecting: NodeJS.Timeout | undefined
  let listener: pg.Client | undefined
  let stopped = false

  async function listen(): Promise<void> {
    const client = new pg.Client({
      connectionString: url,
      application_name: 'gemini-relay listen',
      keepAlive: true,
      connectionTimeoutMillis: 3_000,
    })
    listener = client
    client.on('notification', ({ payload }) => {
      if (payload !== undefined) notified(payload)
    })
    client.on('error', (error) => log.debug({ error: messageOf(error) }, 'the listening connection broke'))
    client.on('end', () => {
      if (stopped) return
      reconnecting = setTimeout(() => void listen(), reconnectMs)
      reconnecting.unref()
    })
    try {
      await client.connect()
      await client.query(`listen ${channel}`)
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'cannot listen for notifications: polling meanwhile')
      await client.end().catch(() => {})
    }
  }

  async function send(): Promise<void> {
    timer = undefined
    const sinks = [...waiting]
    waiting.clear()
    await notifyBacklog(pool, sinks).catch((error: unknown) => log.debug({ error: messageOf(error) }, 'cannot notify'))
  }

  return {
    start: () => void listen(),
    notify(sink) {
      waiting.add(sink)
      if (stopped || timer !== undefined) return
      timer = setTimeout(() => void send(), coalesceMs)
      timer.unref()
    },
    async stop() {
      stopped = true
      clearTimeout(timer)
      clearTimeout(reconnecting)
      await listener?.end().catch(() => {})
    },
  }
}

export async function notifyBacklog(pool: Pool, sinks: readonly string[]): Promise<void> {
  await pool.query('select pg_notify($1, sink) from unnest($2::text[]) as t (sink)', [channel, sinks])
}
