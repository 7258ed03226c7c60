/** One bounded call of a sink: whatever the sink does, there is an outcome for each delivery soon after the timeout. */
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { failed, internalFailure, type Sink } from '../sinks/sink.ts'
import type { LeasedDelivery, Outcome } from '../types.ts'

/** A sink that ignores its signal is given up so long after it, in milliseconds. */
const graceMs = 1_000

export interface Attempt {
  outcomes: Promise<readonly Outcome[]>
  abort(): void
}

export function attempt(sink: Sink, batch: readonly LeasedDelivery[], timeoutMs: number, log: Log): Attempt {
  const controller = new AbortController()
  const timeout = setTimeout(() => controller.abort(), timeoutMs)
  let grace: NodeJS.Timeout | undefined

  const gaveUp = new Promise<Outcome[]>((resolve) => {
    controller.signal.addEventListener('abort', () => {
      grace = setTimeout(() => resolve(batch.map(() => failed('timeout', `no outcome within ${timeoutMs} ms`))), graceMs)
    })
  })

  async function run(): Promise<readonly Outcome[]> {
    try {
      return await Promise.race([sink.deliver(batch, controller.signal), gaveUp])
    } catch (error) {
      log.error({ error: messageOf(error), stack: error instanceof Error ? error.stack : undefined }, 'a sink threw')
      return batch.map(() => internalFailure(error))
    } finally {
      clearTimeout(timeout)
      clearTimeout(grace)
    }
  }

  return { outcomes: run(), abort: () => controller.abort() }
}
