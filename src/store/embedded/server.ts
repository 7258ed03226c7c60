/** Keeps a server up on the cluster: adopts one that a dead relay left running, else starts one; again if it crashes. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, RelayError } from '../../errors.ts'
import type { Binaries } from './binaries.ts'
import { waitUntilReady, type Address, type Readiness } from './connect.ts'
import type { Layout } from './layout.ts'
import { addressOf, findPostmaster, isRunning, pidFile, stopPostmaster, type Postmaster } from './postmaster.ts'
import { chooseAddress, spawnServer } from './server-process.ts'
import type { Settings } from './settings.ts'

export interface Server {
  /** @returns whether the server was there already, and where it listens */
  start(): Promise<{ address: Address; adopted: boolean }>
  stop(): Promise<void>
}

interface Running {
  postmaster: Postmaster
  address: Address
  adopted: boolean
}

/** Backends that outlived their server block the next one until they notice, which they do within moments. */
const startTries = 10
const startAgainMs = 500
/** How soon a crash is noticed. Starts that fail after one are twice as far apart each time, up to the longest. */
const watchEveryMs = 1_000
const longestPauseMs = 30_000

export function createServer(deps: {
  layout: Layout
  binaries: Binaries
  password: string
  settings: Settings
  log: (line: string) => void
  makeSocketDir: () => string
}): Server {
  const { layout, binaries, password, settings, log } = deps
  let running: Running | undefined
  const halt = new AbortController()
  let watch: NodeJS.Timeout | undefined
  let restart: Promise<void> | undefined

  async function bringUp(): Promise<Running> {
    for (let tries = 1; ; tries++) {
      const orphan = findPostmaster(layout.cluster)
      const adopted = orphan === undefined ? undefined : await adopt(orphan)
      if (adopted !== undefined) return adopted
      const address = running?.address ?? (await chooseAddress(deps.makeSocketDir))
      const { postmaster, logTail } = await spawnServer({ layout, binaries, address, settings })
      const readiness = postmaster === undefined ? 'ended' : await ready(postmaster, () => address)
      if (postmaster !== undefined && readiness === 'ready') return { postmaster, address, adopted: false }
      const mayClear = readiness === 'ended' && existsSync(join(layout.cluster, pidFile)) && tries < startTries
      if (!mayClear) {
        if (postmaster !== undefined) await stopPostmaster(postmaster, layout.cluster, binaries)
        throw startFailed(readiness, layout, logTail())
      }
      await sleep(startAgainMs)
    }
  }

  /** Undefined when it ended meanwhile, or did not answer and was stopped. */
  async function adopt(postmaster: Postmaster): Promise<Running | undefined> {
    const address = () => addressOf(layout.cluster)
    const readiness = await ready(postmaster, address)
    const known = address()
    if (readiness === 'ready' && known !== undefined) return { postmaster, address: known, adopted: true }
    if (readiness !== 'ended') await stopPostmaster(postmaster, layout.cluster, binaries)
    return undefined
  }

  function ready(postmaster: Postmaster, address: () => Address | undefined): Promise<Readiness> {
    return waitUntilReady({
      address,
      password,
      hasEnded: () => !isRunning(postmaster),
      onRecovering: () => log('the embedded Postgres is recovering from an unclean stop'),
    })
  }

  /** A crash leaves the pid file behind. Where it is gone somebody stopped the server by hand, and may start it again. */
  function look(): void {
    if (halt.signal.aborted || restart !== undefined || running === undefined || isRunning(running.postmaster)) return
    if (!existsSync(join(layout.cluster, pidFile))) return
    log(
      `the embedded Postgres, pid ${running.postmaster.pid}, ended unexpectedly and is started again; its log is ${layout.serverLog}`,
    )
    restart = bringUpAgain().finally(() => (restart = undefined))
  }

  async function bringUpAgain(): Promise<void> {
    for (let pauseMs = watchEveryMs; !halt.signal.aborted; pauseMs = Math.min(pauseMs * 2, longestPauseMs)) {
      try {
        running = await bringUp()
        return
      } catch (error) {
        log(messageOf(error))
      }
      await sleep(pauseMs, undefined, { signal: halt.signal }).catch(() => {})
    }
  }

  return {
    async start() {
      running = await bringUp()
      watch = setInterval(look, watchEveryMs).unref()
      return running
    },
    async stop() {
      halt.abort()
      clearInterval(watch)
      await restart
      const current = findPostmaster(layout.cluster) ?? running?.postmaster
      if (current !== undefined) await stopPostmaster(current, layout.cluster, binaries)
    },
  }
}

function startFailed(readiness: Readiness, layout: Layout, logTail: string): RelayError {
  const what = readiness === 'ended' ? 'ended while starting' : 'did not answer within 30 s of its start'
  return new RelayError('embedded_unavailable', `the embedded Postgres ${what}; the end of ${layout.serverLog}:\n${logTail}`, {
    hint: 'or set DATABASE_URL to a Postgres server',
  })
}
