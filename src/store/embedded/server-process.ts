/** One start of the Postgres server: its arguments, its log, its leftovers. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, rmSync, statfsSync, statSync, truncateSync } from 'node:fs'
import { createServer } from 'node:net'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { RelayError } from '../../errors.ts'
import type { Binaries } from './binaries.ts'
import type { Address } from './connect.ts'
import { socketPort, type Layout } from './layout.ts'
import { pidFile, pidOf, type Postmaster } from './postmaster.ts'
import { processStarted } from './process-identity.ts'
import { defaultSettings, settingArgs, type Settings } from './settings.ts'

/** The server's log is cut at the next start once it is larger. */
const maxLogBytes = 10_485_760
const shownLogLines = 10

/** Undefined of `postmaster`: it had ended before we looked. */
export interface Spawned {
  postmaster: Postmaster | undefined
  /** Last lines of what this start wrote to the server's log. */
  logTail: () => string
}

/**
 * Starts the server in a session of its own: a terminal's Ctrl-C reaches the relay alone, which drains before it stops
 * Postgres.
 */
export async function spawnServer(options: {
  layout: Layout
  binaries: Binaries
  address: Address
  settings: Settings
}): Promise<Spawned> {
  const { layout, binaries, address } = options
  removeLeftovers(layout, address)
  const settings = { ...(await settingsHere(layout, binaries)), ...options.settings, ...listenSettings(address) }
  const logStart = cutLog(layout.serverLog)
  const output = openSync(layout.serverLog, 'a', 0o600)
  const args = ['-D', layout.cluster, ...settingArgs(settings)]
  const child = spawn(binaries.postgres, args, {
    ...binaries.spawn,
    detached: true,
    stdio: ['ignore', output, output],
    windowsHide: true,
  })
  closeSync(output)
  await once(child, 'spawn')
  child.unref()
  const started = child.pid === undefined ? undefined : processStarted(child.pid)
  return {
    postmaster: child.pid === undefined || started === undefined ? undefined : { pid: child.pid, started },
    logTail: () =>
      readFileSync(layout.serverLog).subarray(logStart).toString().trimEnd().split('\n').slice(-shownLogLines).join('\n'),
  }
}

/**
 * Removes what a dead server left and a new one would take for a live one, because the pid in it belongs to somebody
 * else by now. A pid file whose pid is dead stays: Postgres looks through it for backends that outlived their server.
 */
function removeLeftovers(layout: Layout, address: Address): void {
  const pid = pidOf(layout.cluster)
  if (pid !== undefined && processStarted(pid) !== undefined) rmSync(join(layout.cluster, pidFile), { force: true })
  if (!address.host.startsWith('/')) return
  for (const suffix of ['', '.lock']) rmSync(join(address.host, `.s.PGSQL.${address.port}${suffix}`), { force: true })
}

async function settingsHere(layout: Layout, binaries: Binaries): Promise<Settings> {
  const { bavail, bsize } = statfsSync(layout.root)
  // Undefined, 0 or an absurdly large number where no limit is set.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY
  return defaultSettings({ memory: Math.min(totalmem(), limit), freeDisk: bavail * bsize, lz4: await hasLz4(layout, binaries) })
}

/** Whether the server was built with lz4: it refuses the setting if not. */
async function hasLz4(layout: Layout, binaries: Binaries): Promise<boolean> {
  const args = ['-D', layout.cluster, '-c', 'wal_compression=lz4', '-C', 'wal_compression']
  return promisify(execFile)(binaries.postgres, args, binaries.spawn).then(
    () => true,
    () => false,
  )
}

function listenSettings({ host, port }: Address): Settings {
  if (!host.startsWith('/')) return { listen_addresses: host, port }
  // A list of quoted names: the path may hold a comma or a space.
  const quoted = `"${host.replaceAll('"', '""')}"`
  return { listen_addresses: '', unix_socket_directories: quoted, unix_socket_permissions: '0700', port }
}

/** Where the server will listen: a Unix socket in `socketDir`, or on Windows a free port of the loopback. */
export async function chooseAddress(socketDir: () => string): Promise<Address> {
  if (process.platform !== 'win32') return { host: socketDir(), port: socketPort }
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  server.close()
  if (bound === null || typeof bound === 'string') throw new RelayError('embedded_unavailable', 'no free port on 127.0.0.1')
  return { host: '127.0.0.1', port: bound.port }
}

/** @returns the log's size in bytes */
function cutLog(file: string): number {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size <= maxLogBytes) return size
  truncateSync(file)
  return 0
}
