/** The database is away: answer 503 at once instead of trying for every request, and try again with growing pauses. */
import { Refusal, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'

export interface Outage {
  /** @throws Refusal `database_unavailable` until the next try is due */
  refuseWhileDown(): void
  /** Notes a failed write and makes the refusal for it. */
  refusal(error: unknown): Refusal
  /** Notes a write that went through. */
  ended(): void
}

const firstPauseMs = 50
/** The longest time for which a database that is back goes unnoticed. */
const longestPauseMs = 1_000

export function createOutage({ log, now = () => performance.now() }: { log: Log; now?: () => number }): Outage {
  let failures = 0
  let retryAt = 0

  return {
    refuseWhileDown() {
      if (now() < retryAt) throw new Refusal('database_unavailable', 'the event store is not available')
    },
    refusal(error) {
      if (error instanceof Refusal) return error
      failures++
      if (failures === 1) log.error({ error: messageOf(error) }, 'storing events failed: answering 503 until it works again')
      retryAt = now() + Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - 1))
      return new Refusal('database_unavailable', 'the event store is not available', { cause: error })
    },
    ended() {
      if (failures > 0) log.info({ failed_groups: failures }, 'storing events works again')
      failures = 0
      retryAt = 0
    },
  }
}
