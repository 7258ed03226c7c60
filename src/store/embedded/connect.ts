/** How the embedded Postgres is reached, and when it can be. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Client, DatabaseError } from 'pg'
import { messageOf, RelayError } from '../../errors.ts'

/** Owner of the cluster and of everything in it. */
export const superuser = 'gemini_relay'
const database = 'gemini_relay'

/** `host` is the directory of a Unix socket, or a loopback address. */
export interface Address {
  host: string
  port: number
}

/** Says everything, so that no `PG…` variable of the relay's environment changes where it leads. */
export function embeddedUrl(address: Address, password: string, name = database): string {
  const host = address.host.startsWith('/') ? '' : `${address.host}:${address.port}`
  const socket = host === '' ? `host=${encodeURIComponent(address.host)}&port=${address.port}&` : ''
  return `postgres://${superuser}:${encodeURIComponent(password)}@${host}/${name}?${socket}sslmode=disable`
}

/** Longest silence of a server that is coming up. One that says it is recovering may take {@link recoveryMs}. */
const readyMs = 30_000
/** Replaying a full `max_wal_size` after a power cut takes minutes on a slow disk. */
const recoveryMs = 600_000
const probeEveryMs = 25
const connectTimeoutMs = 2_000

export type Readiness = 'ready' | 'ended' | 'silent'

/**
 * Waits until the server takes connections, or has ended, or says nothing for 30 s.
 *
 * @param address undefined while it is not known yet
 * @param hasEnded whether the process is gone
 */
export async function waitUntilReady(options: {
  address: () => Address | undefined
  password: string
  hasEnded: () => boolean
  onRecovering: () => void
}): Promise<Readiness> {
  const begun = performance.now()
  let lastSign = begun
  let told = false
  for (;;) {
    if (options.hasEnded()) return 'ended'
    const address = options.address()
    const answer = address === undefined ? 'silent' : await probe(embeddedUrl(address, options.password, 'postgres'))
    if (answer === 'ready') return 'ready'
    const now = performance.now()
    if (answer === 'starting' && now - begun < recoveryMs) lastSign = now
    if (now - lastSign > readyMs) return 'silent'
    if (!told && now - begun > 5_000 && answer === 'starting') {
      told = true
      options.onRecovering()
    }
    await sleep(probeEveryMs)
  }
}

/** One try. Undefined of a server means `silent`: nothing there, or nothing that answers. */
export async function probe(url: string): Promise<'ready' | 'starting' | 'silent'> {
  try {
    await withClient(url, async () => {})
    return 'ready'
  } catch (error) {
    const code = error instanceof DatabaseError ? error.code : undefined
    if (code === undefined) return 'silent'
    if (code === '28P01' || code === '28000') {
      throw new RelayError('embedded_unavailable', 'the embedded Postgres refuses the password that is kept beside its data', {
        cause: error,
      })
    }
    // cannot_connect_now: starting, recovering or shutting down; too_many_connections, and whatever else it may say.
    return 'starting'
  }
}

/** Makes the relay's database on the first start, or after one that did not come so far. */
export async function ensureDatabase(address: Address, password: string): Promise<void> {
  await withClient(embeddedUrl(address, password, 'postgres'), async (client) => {
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database])
    if (rowCount === 0) await client.query(`CREATE DATABASE ${database}`)
  })
}

async function withClient(url: string, use: (client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: connectTimeoutMs })
  let broken: unknown
  client.on('error', (error) => (broken = error))
  try {
    await client.connect()
    await use(client)
  } finally {
    await client.end().catch((error: unknown) => (broken ??= error))
  }
  if (broken !== undefined) throw new Error(`the connection broke: ${messageOf(broken)}`, { cause: broken })
}
