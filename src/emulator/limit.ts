/** Runs at most so many tasks at the same time, the others in their order. */

export interface Limit {
  (task: () => Promise<void>): Promise<void>
  /** Settles when nothing runs or waits. */
  idle: () => Promise<void>
}

export function createLimit(max: number): Limit {
  const waiting: (() => void)[] = []
  const running = new Set<Promise<void>>()

  async function run(task: () => Promise<void>): Promise<void> {
    while (running.size >= max) await new Promise<void>((resolve) => waiting.push(resolve))
    const started = task()
    running.add(started)
    try {
      await started
    } finally {
      running.delete(started)
      waiting.shift()?.()
    }
  }

  return Object.assign(run, {
    async idle() {
      while (running.size > 0) await Promise.allSettled(running)
    },
  })
}
