/** The Postgres server process, ours or left behind by a relay that died: found, watched and stopped by its pid. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { RelayError } from '../../errors.ts'
import type { Binaries } from './binaries.ts'
import type { Address } from './connect.ts'
import { worksIn, processStarted } from './process-identity.ts'

/** The file by which Postgres itself guards its data directory. */
export const pidFile = 'postmaster.pid'

export interface Postmaster {
  pid: number
  /** See `processStarted`: tells it from a later process of the same pid. */
  started: string
}

/** The server that runs on this cluster. Undefined where none does, whatever an old pid file says. */
export function findPostmaster(cluster: string): Postmaster | undefined {
  const pid = pidOf(cluster)
  if (pid === undefined || !worksIn(pid, cluster)) return undefined
  const started = processStarted(pid)
  return started === undefined ? undefined : { pid, started }
}

/** What the pid file says, whether or not it is still true. */
export function pidOf(cluster: string): number | undefined {
  const pid = Number(pidLines(cluster)?.[0])
  return Number.isInteger(pid) && pid > 0 ? pid : undefined
}

/** Where the server listens, from its pid file: line 4 is the port, 5 the socket's directory, 6 the TCP address. Undefined until it says. */
export function addressOf(cluster: string): Address | undefined {
  const lines = pidLines(cluster)
  const port = Number(lines?.[3])
  const host = lines?.[4] || lines?.[5]
  return host === undefined || host === '' || !(port > 0) ? undefined : { host, port }
}

export function isRunning({ pid, started }: Postmaster): boolean {
  return processStarted(pid) === started
}

/** Fast shutdown rolls back what is open and writes a checkpoint; longer than this and something hangs. */
const fastMs = 20_000
/** Immediate shutdown writes nothing; the next start recovers. Postgres itself kills its children after 5 s of it. */
const immediateMs = 10_000
const lookEveryMs = 10

/** Stops the server and returns when its process is gone. */
export async function stopPostmaster(postmaster: Postmaster, cluster: string, binaries: Binaries): Promise<void> {
  await request('fast', postmaster, cluster, binaries)
  if (await gone(postmaster, fastMs)) return
  await request('immediate', postmaster, cluster, binaries)
  if (await gone(postmaster, immediateMs)) return
  throw new RelayError('embedded_unavailable', `the embedded Postgres, pid ${postmaster.pid}, does not stop`)
}

/** Windows has no signals: there pg_ctl asks through a named pipe. */
async function request(mode: 'fast' | 'immediate', postmaster: Postmaster, cluster: string, binaries: Binaries): Promise<void> {
  if (process.platform === 'win32') {
    await promisify(execFile)(binaries.pgCtl, ['stop', '-D', cluster, '-m', mode, '-W'], binaries.spawn).catch(() => {})
    return
  }
  if (isRunning(postmaster)) signal(postmaster.pid, mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

async function gone(postmaster: Postmaster, withinMs: number): Promise<boolean> {
  const deadline = performance.now() + withinMs
  while (isRunning(postmaster)) {
    if (performance.now() > deadline) return false
    await sleep(lookEveryMs)
  }
  return true
}

function pidLines(cluster: string): string[] | undefined {
  try {
    return readFileSync(join(cluster, pidFile), 'utf8').split('\n')
  } catch {
    return undefined
  }
}
