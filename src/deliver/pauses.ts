/**
 * Which sinks are paused, as far as this process knows. Postgres holds it for every relay; who changes it notifies, and polling is
 * the backstop where LISTEN does not pass (PgBouncer).
 */
import type { SinkConfig } from '../config/schema.ts'
import { sinkAddress } from '../config/sink-address.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Listener } from '../store/listener.ts'
import type { Pool } from '../store/pool.ts'
import { holdsAt, pauseSink, readPauses, resumeMovedSinks, sinksChannel, type SinkPause } from '../store/sink-pauses.ts'

export interface PausesOptions {
  /** Of the configuration as it is at the moment. */
  sinks: () => Readonly<Record<string, SinkConfig>>
  pool: Pool
  listener: Listener
  log: Log
  pollMs?: number
}

export interface Pauses {
  isPaused(sink: string): boolean
  /** Of the configured sinks, by name. */
  list(): SinkPause[]
  /** The sink said that it wants no more: from now on here, and for every relay once it is stored, which is tried until it holds. */
  gone(sink: string, reason: string): void
  /** Called with a sink that was paused or resumed elsewhere. One callback. */
  onChange(changed: (sink: string) => void): void
  /** Resumes the sinks that have another address than the one that answered 410, and reads what is paused. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** A statement on a table of a few rows, so often in each process. */
const defaultPollMs = 2_000

export function createPauses({ sinks, pool, listener, log, pollMs = defaultPollMs }: PausesOptions): Pauses {
  let known = new Map<string, SinkPause>()
  /** Those that Postgres does not have yet. */
  const unwritten = new Map<string, SinkPause>()
  let changed: (sink: string) => void = () => {}
  let syncing: Promise<void> | undefined
  let again = false
  let stopped = false
  let timer: NodeJS.Timeout | undefined

  listener.on(sinksChannel, sync)

  function addressOf(sink: string): string | null {
    const config = sinks()[sink]
    return config === undefined ? null : sinkAddress(config)
  }

  /** One at a time: what was read before a pause was written must not undo it. */
  function sync(): void {
    if (stopped) return
    again = syncing !== undefined
    syncing ??= syncOnce().finally(() => {
      syncing = undefined
      if (again) sync()
    })
  }

  async function syncOnce(): Promise<void> {
    try {
      for (const [sink, pause] of unwritten) {
        await pauseSink(pool, { ...pause, current: pause.address })
        unwritten.delete(sink)
      }
      take(await readPauses(pool))
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'paused sinks could not be read: what is known holds')
    }
  }

  function take(stored: readonly SinkPause[]): void {
    const before = new Set([...known.keys()].filter(isPaused))
    known = new Map([...stored, ...unwritten.values()].map((pause) => [pause.sink, pause]))
    for (const [sink, { reason }] of known) {
      if (before.has(sink) || !isPaused(sink)) continue
      log.warn({ sink, reason }, 'sink paused: its deliveries wait until it is resumed')
      changed(sink)
    }
    for (const sink of before) {
      if (isPaused(sink)) continue
      log.info({ sink }, 'sink resumed')
      changed(sink)
    }
  }

  function isPaused(sink: string): boolean {
    const pause = known.get(sink)
    return pause !== undefined && holdsAt(pause, addressOf(sink))
  }

  return {
    isPaused,
    list: () => [...known.values()].filter(({ sink }) => Object.hasOwn(sinks(), sink) && isPaused(sink)),
    gone(sink, reason) {
      if (isPaused(sink)) return
      const pause = { sink, reason, address: addressOf(sink), pausedAt: new Date() }
      known.set(sink, pause)
      unwritten.set(sink, pause)
      log.warn({ sink, reason }, 'sink paused: its receiver wants no more, and its deliveries wait until it is resumed')
      sync()
    },
    onChange(callback) {
      changed = callback
    },
    async start() {
      const addresses = new Map(Object.entries(sinks()).map(([name, sink]) => [name, sinkAddress(sink)]))
      for (const sink of await resumeMovedSinks(pool, addresses))
        log.info({ sink }, 'sink resumed: its address is not the one that answered 410')
      take(await readPauses(pool))
      timer = setInterval(sync, pollMs)
      timer.unref()
    },
    async stop() {
      stopped = true
      clearInterval(timer)
      await syncing
    },
  }
}
