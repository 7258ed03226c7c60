/** The embedded default: a real Postgres that the relay starts and stops, for those who have not set up a server yet. */
import { accessSync, chownSync, constants } from 'node:fs'
import { messageOf, RelayError } from '../../errors.ts'
import { findPackage, prepareBinaries } from './binaries.ts'
import { ensureCluster, readPassword } from './cluster.ts'
import { embeddedUrl, ensureDatabase, probe } from './connect.ts'
import { checkReach, layoutOf, makeDataDir, makeSocketDir } from './layout.ts'
import { acquireOwnerLock } from './owner-lock.ts'
import { addressOf, findPostmaster } from './postmaster.ts'
import { serverUser } from './server-user.ts'
import { createServer } from './server.ts'
import type { Settings } from './settings.ts'

export { embeddedDataDir } from './layout.ts'
export type { Settings } from './settings.ts'

export interface Embedded {
  /** A connection string for `pg`. It holds the password. */
  url: string
  /** Whether the server was there already, left behind by a relay that died. */
  adopted: boolean
  /** Stops the server, whoever started it, and gives the data directory up. */
  stop(): Promise<void>
}

/**
 * Starts Postgres on `dataDir`, which is made if it is not there, and returns when it takes connections.
 *
 * @param settings Postgres settings over our own, by name
 * @throws RelayError `embedded_in_use` when another live relay has the directory, `database_unsupported` when another
 *   version of Postgres made it, else `embedded_unavailable`
 */
export async function startEmbedded({
  dataDir,
  log = () => {},
  settings = {},
}: {
  dataDir: string
  log?: (line: string) => void
  settings?: Settings
}): Promise<Embedded> {
  try {
    return await start(dataDir, log, settings)
  } catch (error) {
    if (error instanceof RelayError) throw error
    throw new RelayError('embedded_unavailable', `the embedded Postgres cannot use ${dataDir}: ${messageOf(error)}`, {
      cause: error,
      hint: 'set RELAY_DATA_DIR to a directory that is ours to write, or DATABASE_URL to a Postgres server',
    })
  }
}

async function start(dataDir: string, log: (line: string) => void, settings: Settings): Promise<Embedded> {
  const source = findPackage()
  const layout = makeDataDir(dataDir)
  const releaseLock = await acquireOwnerLock({ path: layout.ownerLock, dataDir: layout.root })
  try {
    const user = serverUser(layout.cluster)
    checkReach(layout, user)
    const own = (path: string) => (user === undefined ? undefined : chownSync(path, user.uid, user.gid))
    const binaries = await prepareBinaries(source, layout, user)
    const password = await ensureCluster({ layout, binaries, own, log })
    const server = createServer({ layout, binaries, password, settings, log, makeSocketDir: () => makeSocketDir(layout, own) })
    const { address, adopted } = await server.start()
    await ensureDatabase(address, password).catch(async (error: unknown) => {
      await server.stop()
      throw error
    })
    let stopped: Promise<void> | undefined
    return { url: embeddedUrl(address, password), adopted, stop: () => (stopped ??= server.stop().finally(releaseLock)) }
  } catch (error) {
    releaseLock()
    throw error
  }
}

/**
 * Finds the server that a relay runs on `dataDir`, for a command that wants to look: never starts it, never stops it.
 *
 * @throws RelayError `embedded_unavailable` when none runs
 */
export async function attachEmbedded({ dataDir }: { dataDir: string }): Promise<{ url: string }> {
  const layout = layoutOf(dataDir)
  checkReadable(layout.cluster)
  const address = findPostmaster(layout.cluster) === undefined ? undefined : addressOf(layout.cluster)
  if (address !== undefined) {
    const url = embeddedUrl(address, readPassword(layout))
    if ((await probe(url)) === 'ready') return { url }
  }
  throw new RelayError('embedded_unavailable', `no embedded Postgres is running on ${layout.root}`, {
    hint: 'start the relay with this configuration (gemini-relay serve), or set DATABASE_URL to the database it uses',
  })
}

/** So that another user is not told that nothing runs. */
function checkReadable(cluster: string): void {
  try {
    accessSync(cluster, constants.R_OK | constants.X_OK)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) return
    throw new RelayError('embedded_unavailable', `the embedded Postgres in ${cluster} is another user's`, {
      cause: error,
      hint: 'run this as the user who runs the relay',
    })
  }
}
