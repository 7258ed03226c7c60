/** Whatever is acquired pushes its release; releases run in reverse order, each once, one failure not stopping the rest. */
import { messageOf } from './errors.ts'
import type { Log } from './log.ts'

export interface Lifecycle {
  onStop: (what: string, release: () => unknown) => void
  stop(): Promise<void>
}

export function createLifecycle(log: Log): Lifecycle {
  const releases: { what: string; release: () => unknown }[] = []
  let stopped: Promise<void> | undefined

  async function releaseAll(): Promise<void> {
    for (let next = releases.pop(); next !== undefined; next = releases.pop()) {
      try {
        await next.release()
      } catch (error) {
        log.warn({ what: next.what, error: messageOf(error) }, 'could not be stopped cleanly')
      }
    }
  }

  return {
    onStop(what, release) {
      releases.push({ what, release })
    },
    stop: () => (stopped ??= releaseAll()),
  }
}

/** Calls `act` when the signal aborts, at once if it has. */
export function whenAborted(signal: AbortSignal, act: () => void): void {
  if (signal.aborted) act()
  else signal.addEventListener('abort', act, { once: true })
}
