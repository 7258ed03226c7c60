/** The database cluster on disk: made once, of the version that runs, with a password that only we know. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf, RelayError } from '../../errors.ts'
import type { Binaries } from './binaries.ts'
import { superuser } from './connect.ts'
import type { Layout } from './layout.ts'

const run = promisify(execFile)

/** initdb takes under a second; a slow disk syncs longer. */
const initdbMs = 120_000
const draftPrefix = 'initdb-'

/**
 * Makes the cluster if there is none. It is made under another name and moved, so that one whose making was interrupted
 * is never taken for a whole one.
 *
 * @param own gives a path to the server's user
 * @returns the superuser's password
 */
export async function ensureCluster(options: {
  layout: Layout
  binaries: Binaries
  own: (path: string) => void
  log: (line: string) => void
}): Promise<string> {
  const { layout, binaries, log } = options
  for (const entry of readdirSync(layout.root)) if (entry.startsWith(draftPrefix)) discard(join(layout.root, entry))
  if (existsSync(layout.cluster)) {
    checkVersion(layout, binaries)
    return readPassword(layout)
  }
  log(`making a database for the relay in ${layout.root}`)
  const password = existsSync(layout.password) ? readPassword(layout) : writePassword(layout)
  await initdb(password, options)
  return password
}

async function initdb(password: string, { layout, binaries, own }: Parameters<typeof ensureCluster>[0]): Promise<void> {
  const draft = mkdtempSync(join(layout.root, draftPrefix))
  const passwordFile = join(draft, 'password')
  writeFileSync(passwordFile, `${password}\n`, { mode: 0o600 })
  own(draft)
  own(passwordFile)
  const identity = [`--username=${superuser}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256']
  // Text is ordered by code point and cased by Unicode, the same on every system whatever its locales.
  const locale = ['--encoding=UTF8', '--no-locale', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  try {
    await run(binaries.initdb, ['-D', join(draft, 'cluster'), ...identity, ...locale, '--no-instructions'], {
      ...binaries.spawn,
      timeout: initdbMs,
    })
    renameSync(join(draft, 'cluster'), layout.cluster)
  } catch (cause) {
    throw new RelayError('embedded_unavailable', `could not make a database in ${layout.root}: ${messageOf(cause).trim()}`, {
      cause,
      hint: 'see that the disk has space and the directory is ours, or set DATABASE_URL to a Postgres server',
    })
  } finally {
    discard(draft)
  }
}

/** An initdb that outlived its relay may still be writing: what cannot be removed now is removed at another start. */
function discard(draft: string): void {
  try {
    rmSync(draft, { recursive: true, force: true, maxRetries: 5 })
  } catch {
    return
  }
}

function checkVersion(layout: Layout, binaries: Binaries): void {
  const made = readFileSync(join(layout.cluster, 'PG_VERSION'), 'utf8').trim()
  if (made === String(binaries.major)) return
  throw new RelayError(
    'database_unsupported',
    `the data in ${layout.root} was made by Postgres ${made}; this relay brings Postgres ${binaries.major}`,
    {
      hint: 'dump it with the relay that made it and restore it into a fresh RELAY_DATA_DIR, or run a Postgres server and set DATABASE_URL',
    },
  )
}

/** @throws RelayError `embedded_unavailable` when it is missing or not ours to read */
export function readPassword(layout: Layout): string {
  try {
    return readFileSync(layout.password, 'utf8').trim()
  } catch (cause) {
    throw new RelayError('embedded_unavailable', `cannot read the password of the embedded Postgres: ${messageOf(cause)}`, {
      cause,
      hint: 'run this as the user who runs the relay; if the file was deleted, restore it from a backup',
    })
  }
}

function writePassword(layout: Layout): string {
  const password = randomBytes(24).toString('base64url')
  const draft = `${layout.password}.draft`
  rmSync(draft, { force: true })
  writeFileSync(draft, `${password}\n`, { mode: 0o600, flag: 'wx', flush: true })
  renameSync(draft, layout.password)
  return password
}
