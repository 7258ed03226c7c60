import { messageOf, Refusal } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Clock } from '../types.ts'
import { fetchJwks, type Fetch } from './jwks-fetch.ts'
import type { KeySet } from './key-set.ts'

/** The cached keys of one JWKS. Keys once had are served until an answer with usable keys replaces them. */
export interface Jwks {
  /**
   * The keys, fetched now if there are none yet.
   *
   * @throws Refusal `keys_unavailable`
   */
  keys(): Promise<KeySet>
  /** After `tried` had no key that fits: newer keys, or undefined when there are none or the cooldown is not over. */
  newerThan(tried: KeySet): Promise<KeySet | undefined>
  /** Fetches now and goes on in the background: at the answer's `max-age`, and with growing delays while it fails. */
  start(): void
  stop(): void
  readiness(): { ready: boolean; reason?: string }
}

/** A sender is waiting for its answer meanwhile, and gives up within a few seconds. */
const fetchTimeoutMs = 5_000

/** Anybody can send an unknown key: so often at most it makes us ask. */
const missCooldownMs = 30_000

/** While there are no keys at all a request may ask again, but not each of them. */
const emptyCooldownMs = 1_000

const firstRetryMs = 1_000
const maxRetryMs = 60_000

export interface JwksDeps {
  uri: string
  source: string
  clock: Clock
  fetch: Fetch
  log: Log
  /** In [0, 1). */
  random?: () => number
}

export function createJwks({ uri, source, clock, fetch, log, random = Math.random }: JwksDeps): Jwks {
  let current: KeySet | undefined
  let failure: string | undefined
  let failures = 0
  let fetching: Promise<void> | undefined
  let fetchedAt = Number.NEGATIVE_INFINITY
  let missedAt = Number.NEGATIVE_INFINITY
  let controller = new AbortController()
  let running = false
  let timer: NodeJS.Timeout | undefined
  const stopped = new Error('the relay is stopping')

  /** One fetch at a time: who asks meanwhile waits for that one. Never rejects. */
  function refresh(): Promise<void> {
    fetching ??= load().finally(() => (fetching = undefined))
    return fetching
  }

  async function load(): Promise<void> {
    fetchedAt = clock()
    controller = new AbortController()
    const { signal } = controller
    const timeout = setTimeout(() => controller.abort(new Error(`no answer within ${fetchTimeoutMs} ms`)), fetchTimeoutMs)
    try {
      const { keys, maxAgeMs } = await fetchJwks({ uri, fetch, signal })
      if (failures > 0) log.info({ source }, 'the JWKS was fetched again')
      current = keys
      failures = 0
      failure = undefined
      schedule(maxAgeMs)
    } catch (error) {
      if (error === stopped) return
      failures += 1
      failure = describe(error)
      log.warn({ source, failures, error: failure, cached: current !== undefined }, 'the JWKS could not be fetched')
      schedule(retryDelayMs(failures, random()))
    } finally {
      clearTimeout(timeout)
    }
  }

  function schedule(delayMs: number): void {
    clearTimeout(timer)
    if (running) timer = setTimeout(() => void refresh(), delayMs).unref()
  }

  return {
    async keys() {
      if (current !== undefined) return current
      if (fetching !== undefined || isOver(emptyCooldownMs, fetchedAt, clock())) await refresh()
      if (current !== undefined) return current
      throw new Refusal('keys_unavailable', 'the keys that would verify this request cannot be had now')
    },
    async newerThan(tried) {
      if (current === tried && fetching === undefined) {
        if (!isOver(missCooldownMs, missedAt, clock())) return undefined
        missedAt = clock()
      }
      if (current === tried) await refresh()
      return current === tried ? undefined : current
    },
    start() {
      running = true
      void refresh()
    },
    stop() {
      running = false
      clearTimeout(timer)
      controller.abort(stopped)
    },
    readiness() {
      if (current !== undefined) return { ready: true }
      return {
        ready: false,
        reason: failure === undefined ? 'the JWKS has not been fetched yet' : `the JWKS cannot be fetched: ${failure}`,
      }
    },
  }
}

/** A clock that was set back ends a cooldown rather than prolonging it. */
function isOver(cooldownMs: number, since: number, now: number): boolean {
  return now - since >= cooldownMs || now < since
}

/** Doubles from one second to one minute; up to half of it is taken off at random, so that many relays do not ask in step. */
function retryDelayMs(failures: number, random: number): number {
  return Math.min(firstRetryMs * 2 ** (failures - 1), maxRetryMs) * (1 - random / 2)
}

/** fetch says `fetch failed` and keeps the reason in its cause. */
function describe(error: unknown): string {
  return error instanceof TypeError && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
}
