/** A Postgres server of the run's own, which it kills and starts again on the same data and port. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, openSync, closeSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { findPackage, prepareBinaries } from '../../src/store/embedded/binaries.ts'
import { ensureCluster } from '../../src/store/embedded/cluster.ts'
import { embeddedUrl, waitUntilReady } from '../../src/store/embedded/connect.ts'
import { makeDataDir } from '../../src/store/embedded/layout.ts'
import { serverUser } from '../../src/store/embedded/server-user.ts'
import type { Guard } from './guard.ts'

export interface ChaosPostgres {
  port: number
  /** @param port of a proxy, or the server's own */
  url(database: string, port?: number): string
  isUp(): boolean
  /** kill -9 of the postmaster. */
  kill(): Promise<void>
  /** `pg_ctl stop --mode=immediate`: no checkpoint, no goodbye. */
  stopImmediately(): Promise<void>
  /** kill -9 of one backend of the relays. @returns whether there was one */
  killBackend(choose: (count: number) => number): Promise<boolean>
  /** Again, on the same data and port. */
  start(): Promise<void>
  stop(): Promise<void>
}

/** Ports below those that the system gives to outgoing connections: what dies comes back to its own. */
const stablePorts = { first: 20_000, last: 30_000 }

const settings = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  // A 2xx means committed: the run is about just that.
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  max_connections: 200,
  shared_buffers: '128MB',
  timezone: 'UTC',
  log_timezone: 'UTC',
}

const startTries = 20

export async function startPostgres({ dir, logs, guard }: { dir: string; logs: string; guard: Guard }): Promise<ChaosPostgres> {
  const layout = makeDataDir(join(dir, 'postgres'))
  const user = serverUser(layout.cluster)
  const own = (path: string) => (user === undefined ? undefined : chownSync(path, user.uid, user.gid))
  const binaries = await prepareBinaries(findPackage(), layout, user)
  const password = await ensureCluster({ layout, binaries, own, log: () => {} })
  const port = await stablePort()
  const args = Object.entries({ ...settings, port }).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  let child: ChildProcess | undefined

  function launch(): ChildProcess {
    const log = openSync(join(logs, 'postgres.log'), 'a')
    const launched = spawn(binaries.postgres, ['-D', layout.cluster, ...args], { ...binaries.spawn, stdio: ['ignore', log, log] })
    closeSync(log)
    const { pid } = launched
    if (pid !== undefined) guard.watch(pid)
    launched.once('exit', () => {
      if (pid !== undefined) guard.ended(pid)
      if (child === launched) child = undefined
    })
    return launched
  }

  /** The backends of a server that was killed live on for moments, and keep the next one from starting. */
  async function start(): Promise<void> {
    for (let tries = 1; tries <= startTries; tries++) {
      const launched = launch()
      child = launched
      const readiness = await waitUntilReady({
        address: () => ({ host: '127.0.0.1', port }),
        password,
        hasEnded: () => launched.exitCode !== null || launched.signalCode !== null,
        onRecovering: () => {},
      })
      if (readiness === 'ready') return
      launched.kill('SIGKILL')
      await sleep(250)
    }
    throw new Error(`Postgres did not come back; see ${join(logs, 'postgres.log')}`)
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    if (child === undefined) return
    const exited = once(child, 'exit')
    child.kill(signal)
    await exited
  }

  const url = (database: string, at = port): string => embeddedUrl({ host: '127.0.0.1', port: at }, password, database)

  await start()
  return {
    port,
    url,
    isUp: () => child !== undefined,
    kill: () => end('SIGKILL'),
    stopImmediately: () => end('SIGQUIT'),
    async killBackend(choose) {
      const client = new pg.Client({ connectionString: url('postgres') })
      client.on('error', () => {})
      await client.connect()
      const { rows } = await client.query<{ pid: number }>(
        `select pid from pg_stat_activity where application_name like 'gemini-relay%' and backend_type = 'client backend' order by pid`,
      )
      const victim = rows[choose(rows.length)]
      if (victim !== undefined) process.kill(victim.pid, 'SIGKILL')
      await client.end().catch(() => {})
      return victim !== undefined
    },
    start,
    stop: () => end('SIGINT'),
  }
}

async function stablePort(): Promise<number> {
  for (;;) {
    const port = stablePorts.first + Math.floor(Math.random() * (stablePorts.last - stablePorts.first))
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}
