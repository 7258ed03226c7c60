/** Reconciling on a schedule, by whatever configuration runs at the time. */
import { acceptSettings } from './accept/commit-statement.ts'
import type { LoadedConfig } from './config/load.ts'
import type { GeminiAccess } from './gemini/access.ts'
import { createGeminiRest } from './gemini/rest.ts'
import type { Log } from './log.ts'
import { reconcile } from './reconcile/reconcile.ts'
import { createReconcileSchedule, settledMs } from './reconcile/schedule.ts'
import { createPool } from './store/pool.ts'

export interface Reconciling {
  /** Once there is a current configuration. A second time it changes nothing. */
  start: () => void
  stop: () => Promise<void>
}

export interface ReconcilingOptions {
  access: GeminiAccess
  /** How often, in milliseconds. */
  every: number
  /** Batches that ended so long ago at most, in milliseconds. */
  since: number
  /** Whose events are made. */
  source: string
  /** Of the database. */
  url: string
  /** Undefined until the first one runs. */
  current: () => LoadedConfig | undefined
  log: Log
}

export function createReconciling({ access, every, since, source, url, current, log }: ReconcilingOptions): Reconciling {
  const rest = createGeminiRest(access)
  const pool = createPool({ url, part: 'reconcile', max: 1, statementTimeoutMs: 15_000, settings: acceptSettings, log })
  const schedule = createReconcileSchedule({
    everyMs: every,
    async run(signal) {
      const loaded = current()
      if (loaded === undefined) throw new Error('no configuration runs yet')
      const { config, plan } = loaded
      return reconcile({ rest, pool, config, plan, source, sinceMs: since, settledMs, signal })
    },
    log,
  })
  let started = false
  return {
    start() {
      if (!started) schedule.start()
      started = true
    },
    async stop() {
      await schedule.stop()
      await pool.end()
    },
  }
}
