/** From one configuration to the next in a running relay: what cannot be used changes nothing. */
import { isDeepStrictEqual } from 'node:util'
import { ConfigError } from './config/issues.ts'
import type { LoadedConfig } from './config/load.ts'
import type { Stamps } from './config/stamp.ts'
import { messageOf, RelayError } from './errors.ts'
import { whenAborted } from './lifecycle.ts'
import { logWarnings } from './log-warnings.ts'
import type { Log } from './log.ts'

/** What `/readyz` says of the configuration. */
export interface ConfigState {
  /** Of the one that runs. */
  hash: string
  /** Since when it runs, ISO 8601. */
  since: string
  reloads: { applied: number; refused: number }
  /** The last one that was refused, while none was applied since. */
  refused?: { at: string; reason: string }
}

export interface Reloader {
  /** Reads the configuration and goes by it. Never throws: @returns whether it is the one that runs now */
  reload: (why: string) => Promise<boolean>
  state: () => ConfigState
  /** Files and directories whose change is worth a reload. */
  looked: () => Stamps
  /** Whether a reload is under way. */
  reading: () => boolean
  /** Waits for one that is under way, until `deadline` aborts. */
  stop: (deadline: AbortSignal) => Promise<void>
}

export interface ReloaderOptions {
  /** The one that runs. */
  first: LoadedConfig
  /** @throws RelayError */
  load: () => Promise<LoadedConfig>
  /** Puts it to use, or throws and leaves everything as it was. */
  use: (loaded: LoadedConfig) => Promise<void>
  log: Log
}

/** What is away now (a database, say) may be back then. */
const retryMs = 10_000

export function createReloader({ first, load, use, log }: ReloaderOptions): Reloader {
  let current = first
  let looked = first.looked
  let since = new Date()
  let refused: ConfigState['refused']
  const reloads = { applied: 0, refused: 0 }
  let running: Promise<boolean> | undefined
  /** Asked for while another is under way, which may have read the files before they changed. */
  let next: Promise<boolean> | undefined
  let retrying: NodeJS.Timeout | undefined
  let stopped = false

  async function run(why: string): Promise<boolean> {
    clearTimeout(retrying)
    try {
      const loaded = await load()
      looked = loaded.looked
      if (refused === undefined && isDeepStrictEqual(loaded.config, current.config)) {
        log.info({ config: loaded.hash, why }, 'the configuration says what it said before')
        current = loaded
        return true
      }
      await use(loaded)
      log.info({ config: loaded.hash, before: current.hash, why }, 'the configuration was reloaded')
      logWarnings(log, loaded.warnings)
      current = loaded
      since = new Date()
      reloads.applied += 1
      refused = undefined
      return true
    } catch (error) {
      if (error instanceof ConfigError) looked = new Map([...current.looked, ...error.looked])
      const hint = error instanceof RelayError && error.hint !== undefined ? `: ${error.hint}` : ''
      log.error(
        { config: current.hash, why, error: `${messageOf(error)}${hint}` },
        'the configuration was not reloaded: the one before stays',
      )
      reloads.refused += 1
      // Anybody may ask for it: its first line names the file and no more.
      refused = { at: new Date().toISOString(), reason: messageOf(error).split('\n')[0] ?? '' }
      if (mayPass(error) && !stopped) {
        retrying = setTimeout(() => void reload('what was away may be back'), retryMs)
        retrying.unref()
      }
      return false
    }
  }

  function reload(why: string): Promise<boolean> {
    if (stopped) return Promise.resolve(false)
    if (running === undefined) {
      running = run(why).finally(() => (running = undefined))
      return running
    }
    next ??= running.then(() => {
      next = undefined
      return reload(why)
    })
    return next
  }

  return {
    reload,
    state: () => ({ hash: current.hash, since: since.toISOString(), reloads: { ...reloads }, ...(refused && { refused }) }),
    looked: () => looked,
    reading: () => running !== undefined,
    async stop(deadline) {
      stopped = true
      clearTimeout(retrying)
      const late = new Promise<void>((resolve) => whenAborted(deadline, resolve))
      await Promise.race([running, late])
    },
  }
}

/** Nothing in the files has to change for the next try to end otherwise. */
function mayPass(error: unknown): boolean {
  return !(error instanceof RelayError) || error.code === 'database_unreachable'
}
