/** Runs at most so many tasks at the same time, the others in their order. */

export interface Limit {
  run: (task: () => Promise<void>) => void
  /** Forgets what waits; settles when nothing runs. */
  stop: () => Promise<void>
}

export interface LimitOptions {
  max: number
  /** A task that threw: a bug. */
  failed: (error: unknown) => void
}

export function createLimit({ max, failed }: LimitOptions): Limit {
  const waiting: (() => Promise<void>)[] = []
  const running = new Set<Promise<void>>()

  function startNext(): void {
    while (running.size < max) {
      const task = waiting.shift()
      if (task === undefined) return
      const run = task()
        .catch(failed)
        .finally(() => {
          running.delete(run)
          startNext()
        })
      running.add(run)
    }
  }

  return {
    run(task) {
      waiting.push(task)
      startNext()
    },
    async stop() {
      waiting.length = 0
      await Promise.all(running)
    },
  }
}
