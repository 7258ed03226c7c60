/** Reconciles at start, which may be the end of an outage, and from then on as often as the configuration says. */
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Reconciled } from './reconcile.ts'
import { doubtsIn, summaryOf } from './summary.ts'

/** Of what ended so short a time ago, the webhook is probably on its way. */
export const settledMs = 600_000

export interface ReconcileSchedule {
  start(): void
  stop(): Promise<void>
}

export interface ScheduleOptions {
  everyMs: number
  run: (signal: AbortSignal) => Promise<Reconciled>
  log: Log
}

/** Several instances do so without knowing of each other: whoever comes second finds the events there. */
export function createReconcileSchedule({ everyMs, run, log }: ScheduleOptions): ReconcileSchedule {
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let running = Promise.resolve()

  async function runOnce(): Promise<void> {
    try {
      const reconciled = await run(stopping.signal)
      log.info(summaryOf(reconciled))
      for (const doubt of doubtsIn(reconciled)) log.warn(doubt)
    } catch (error) {
      if (stopping.signal.aborted) return
      log.warn({ error: messageOf(error) }, `reconciling failed: next try in ${Math.round(everyMs / 1_000)} s`)
    }
    if (stopping.signal.aborted) return
    timer = setTimeout(start, Math.min(everyMs, longestTimerMs))
    timer.unref()
  }

  function start(): void {
    running = runOnce()
  }

  return {
    start,
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      await running
    },
  }
}

/** Node's timers end at 2^31 ms, 24 days. */
const longestTimerMs = 2_147_483_647
