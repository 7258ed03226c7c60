/**
 * One relay owns one data directory. The lock is a file that names its owner; an owner that is no longer alive holds
 * nothing.
 *
 * A lock appears by link(2), whole or not at all and never over another. A dead owner's file is removed only under a
 * second lock of the same kind, named after that owner: of several relays that find the same dead owner one removes the
 * file, after looking again, and none removes the file of a relay that came in between. A guard whose own holder died is
 * taken over in the same way.
 */
import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { RelayError } from '../../errors.ts'
import { bootId, processStarted } from './process-identity.ts'

const holderSchema = z.object({ pid: z.int().positive(), started: z.string(), boot: z.string(), nonce: z.string() })
type Holder = z.output<typeof holderSchema>

/** How long to stand back while another relay removes a dead owner's file, which takes it far less; and how often. */
const guardWaitMs = 10
const guardWaits = 500

/**
 * Takes the lock at `path`, or says who has it.
 *
 * @returns the release
 * @throws RelayError `embedded_in_use` when its owner is alive
 */
export async function acquireOwnerLock({ path, dataDir }: { path: string; dataDir: string }): Promise<() => void> {
  const holder = self()
  for (let waits = 0; waits < guardWaits; waits++) {
    const other = take(path, holder)
    if (other === undefined) return () => release(path, holder)
    if (other !== 'busy') throw inUse(other, dataDir)
    await sleep(guardWaitMs)
  }
  throw new RelayError(
    'embedded_in_use',
    `another relay is taking over the embedded Postgres in ${dataDir} and does not finish`,
    {
      hint: `see which process the files beginning with ${path} name`,
    },
  )
}

/** Undefined when the lock is ours now, else its live holder, or `busy` while somebody else removes a dead one. */
function take(path: string, holder: Holder): Holder | 'busy' | undefined {
  for (;;) {
    if (create(path, holder)) return undefined
    const other = read(path)
    if (other === undefined) continue
    if (isAlive(other)) return other
    const guard = `${path}.${other.nonce}`
    if (take(guard, holder) !== undefined) return 'busy'
    if (read(path)?.nonce === other.nonce) rmSync(path, { force: true })
    release(guard, holder)
  }
}

function create(path: string, holder: Holder): boolean {
  const draft = `${path}.draft-${holder.nonce}`
  writeFileSync(draft, `${JSON.stringify(holder)}\n`, { mode: 0o600 })
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function release(path: string, holder: Holder): void {
  if (read(path)?.nonce === holder.nonce) rmSync(path, { force: true })
}

/** Undefined when there is none. One that cannot be read is nobody's: we write none that way. */
function read(path: string): Holder | undefined {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return parse(text) ?? { pid: 1, started: '', boot: '', nonce: 'unreadable' }
}

function parse(text: string): Holder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

function isAlive(holder: Holder): boolean {
  return holder.boot === bootId() && processStarted(holder.pid) === holder.started
}

function self(): Holder {
  return { pid: process.pid, started: processStarted(process.pid) ?? '', boot: bootId(), nonce: randomBytes(8).toString('hex') }
}

function inUse(holder: Holder, dataDir: string): RelayError {
  const whose = holder.pid === process.pid ? 'this process' : `another relay, pid ${holder.pid}`
  return new RelayError('embedded_in_use', `the embedded Postgres in ${dataDir} belongs to ${whose}, which is running`, {
    hint: 'stop that relay, or give this one its own database: set RELAY_DATA_DIR to another directory, or DATABASE_URL to a Postgres server',
  })
}
