/** Postgres refuses to run as root: who runs it instead, and what that user can reach. */
import { readFileSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import process from 'node:process'
import { RelayError } from '../../errors.ts'

/** Numeric, for spawn and chown. */
export interface ServerUser {
  uid: number
  gid: number
}

/**
 * Undefined when the relay's own user will do. As root: the owner of the data that is there, else `nobody`, since initdb
 * wants a user that has a name and making one is not ours to do.
 *
 * @param clusterDir Postgres' data directory, which may not exist yet
 */
export function serverUser(clusterDir: string): ServerUser | undefined {
  if (process.getuid?.() !== 0) return undefined
  const owner = statSync(clusterDir, { throwIfNoEntry: false })
  if (owner !== undefined && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid }
  const nobody = nobodyIn(readFileSync('/etc/passwd', 'utf8'))
  if (nobody !== undefined) return nobody
  throw new RelayError(
    'embedded_unavailable',
    'Postgres does not run as root, and /etc/passwd names no user `nobody` to run it as',
    {
      hint: 'start the relay as an unprivileged user, or set DATABASE_URL to a Postgres server',
    },
  )
}

function nobodyIn(passwd: string): ServerUser | undefined {
  const fields = passwd
    .split('\n')
    .find((line) => line.startsWith('nobody:'))
    ?.split(':')
  const uid = Number(fields?.[2])
  const gid = Number(fields?.[3])
  return Number.isInteger(uid) && Number.isInteger(gid) && uid !== 0 ? { uid, gid } : undefined
}

/** The outermost part of an absolute `path` that `user` can neither enter nor, where it is the last, read. Undefined when all is open. */
export function firstClosedTo(user: ServerUser, path: string): string | undefined {
  const parent = dirname(path)
  if (parent !== path) {
    const closed = firstClosedTo(user, parent)
    if (closed !== undefined) return closed
  }
  const { mode, uid, gid } = statSync(path)
  const shift = uid === user.uid ? 6 : gid === user.gid ? 3 : 0
  return ((mode >> shift) & 1) === 1 ? undefined : path
}
