/** Where the embedded Postgres keeps what it has. */
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, lstatSync, mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, extname, join, resolve } from 'node:path'
import process from 'node:process'
import { RelayError } from '../../errors.ts'
import { firstClosedTo, type ServerUser } from './server-user.ts'

/** What a root relay uses: home directories and checkouts are often closed to the user that Postgres runs as. */
const rootBase = '/var/lib/gemini-relay'

/**
 * Names the data directory of a configuration. Two configurations never share one, unless both are told to by
 * `RELAY_DATA_DIR`.
 */
export function embeddedDataDir({ configFile, env }: { configFile: string; env: NodeJS.ProcessEnv }): string {
  const chosen = env['RELAY_DATA_DIR']
  if (chosen !== undefined && chosen !== '') return resolve(chosen)
  const config = resolve(configFile)
  const name = basename(config, extname(config))
  const beside = join(dirname(config), '.relay', name)
  return process.getuid?.() === 0 ? join(rootBase, `${name}-${shortHash(beside)}`) : beside
}

/** Absolute paths. */
export interface Layout {
  root: string
  /** Postgres' own data directory. */
  cluster: string
  password: string
  ownerLock: string
  serverLog: string
}

export function layoutOf(dataDir: string): Layout {
  const root = existsSync(dataDir) ? realpathSync(dataDir) : resolve(dataDir)
  return {
    root,
    cluster: join(root, 'cluster'),
    password: join(root, 'password'),
    ownerLock: join(root, 'owner.lock'),
    serverLog: join(root, 'postgres.log'),
  }
}

/** Makes the directory. Ours alone; for a server user it can be passed through, but not read. */
export function makeDataDir(dataDir: string): Layout {
  const first = mkdirSync(dataDir, { recursive: true, mode: 0o711 })
  const isRoot = process.getuid?.() === 0
  if (first !== undefined) {
    const parents = ancestorsFrom(resolve(dataDir), resolve(first))
    if (isRoot) for (const made of parents) chmodSync(made, 0o711)
    // The password lies here, and `.relay` is often inside a checkout.
    writeFileSync(join(dataDir, '.gitignore'), '*\n')
  }
  const { mode, uid } = statSync(dataDir)
  if (!isRoot) chmodSync(dataDir, 0o700)
  if (isRoot && uid === 0) chmodSync(dataDir, (mode & 0o777) | 0o011)
  return layoutOf(dataDir)
}

/** @throws RelayError when the server's user cannot get at the data */
export function checkReach(layout: Layout, user: ServerUser | undefined): void {
  const closed = user === undefined ? undefined : firstClosedTo(user, layout.root)
  if (user === undefined || closed === undefined) return
  throw new RelayError(
    'embedded_unavailable',
    `${layout.root} cannot hold the embedded Postgres: as root it runs under uid ${user.uid}, to which ${closed} is closed`,
    { hint: `set RELAY_DATA_DIR to a directory under ${rootBase}, or open the way: chmod o+x ${closed}` },
  )
}

/** Longest path of a Unix socket in bytes, without the closing NUL: 104 on macOS and the BSDs, 108 on Linux. */
const maxSocketPath = process.platform === 'linux' ? 107 : 103

/** The port names the socket's file and nothing else. */
export const socketPort = 5432

/**
 * Makes the directory of the socket: beside the data, or where that path is too long for a socket, a short one among
 * the temporary files, named after the data directory. It can be entered by the server's user alone.
 */
export function makeSocketDir(layout: Layout, chown: (path: string) => void): string {
  const beside = join(layout.root, 'run')
  if (fits(beside)) return makePrivate(beside, chown)
  const name = `gemini-relay-${process.getuid?.() ?? 0}-${shortHash(layout.root)}`
  const outer = [tmpdir(), '/tmp'].map((base) => join(base, name)).find((candidate) => fits(join(candidate, 'run')))
  if (outer === undefined) throw new RelayError('embedded_unavailable', `the path ${beside} is too long for a Unix socket`)
  mkdirSync(outer, { recursive: true, mode: 0o711 })
  const { uid, mode } = lstatSync(outer)
  // Everybody may write to /tmp: whoever made the directory could put another server in the place of ours.
  if (!lstatSync(outer).isDirectory() || uid !== process.getuid?.() || (mode & 0o022) !== 0) {
    throw new RelayError(
      'embedded_unavailable',
      `${outer} is somebody else's, so the embedded Postgres cannot keep its socket there`,
      {
        hint: `remove it, or set RELAY_DATA_DIR to a path of fewer than ${maxSocketPath - 25} characters`,
      },
    )
  }
  chmodSync(outer, 0o711)
  return makePrivate(join(outer, 'run'), chown)
}

function makePrivate(dir: string, chown: (path: string) => void): string {
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  chmodSync(dir, 0o700)
  chown(dir)
  return dir
}

function fits(dir: string): boolean {
  return Buffer.byteLength(join(dir, `.s.PGSQL.${socketPort}`)) <= maxSocketPath
}

function shortHash(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** `dir` and its parents up to `top`. */
function ancestorsFrom(dir: string, top: string): string[] {
  return dir === top || dirname(dir) === dir ? [dir] : [dir, ...ancestorsFrom(dirname(dir), top)]
}
