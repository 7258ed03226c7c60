/**
 * Tells other processes that a sink has a backlog they can help with. NOTIFY serializes commits database-wide, so it is
 * never part of accept and at most ten a second; polling is the backstop where LISTEN does not pass (PgBouncer).
 */
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Pool } from '../store/pool.ts'

export const backlogChannel = 'gemini_relay_backlog'

const coalesceMs = 100

export interface Notifier {
  /** Asynchronous and coalesced. */
  notify(sink: string): void
  stop(): void
}

export function createNotifier({ pool, log }: { pool: Pool; log: Log }): Notifier {
  const waiting = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  async function send(): Promise<void> {
    timer = undefined
    const sinks = [...waiting]
    waiting.clear()
    await notifyBacklog(pool, sinks).catch((error: unknown) => log.debug({ error: messageOf(error) }, 'cannot notify'))
  }

  return {
    notify(sink) {
      waiting.add(sink)
      if (stopped || timer !== undefined) return
      timer = setTimeout(() => void send(), coalesceMs)
      timer.unref()
    },
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}

export async function notifyBacklog(pool: Pool, sinks: readonly string[]): Promise<void> {
  await pool.query('select pg_notify($1, sink) from unnest($2::text[]) as t (sink)', [backlogChannel, sinks])
}
