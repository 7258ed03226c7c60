/** Which webhooks at Gemini are ours, and what was about to be done with them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClientBase } from 'pg'
import type { Pool } from './pool.ts'

export interface Endpoint {
  /** Gemini's. */
  id: string
  source: string
  /** The declaration that made it; null: made by hand. */
  name: string | null
}

type Db = Pool | ClientBase

export async function listEndpoints(db: Db): Promise<Endpoint[]> {
  const { rows } = await db.query<Endpoint>('select id, source, name from gemini_relay.webhook_endpoints order by created_at, id')
  return rows
}

export async function saveEndpoint(db: Db, { id, source, name }: Endpoint): Promise<void> {
  await db.query(
    `insert into gemini_relay.webhook_endpoints as e (id, source, name) values ($1, $2, $3)
     on conflict (id) do update set source = excluded.source, name = coalesce(excluded.name, e.name)`,
    [id, source, name],
  )
}

export async function deleteEndpoint(db: Db, id: string): Promise<void> {
  await db.query('delete from gemini_relay.webhook_endpoints where id = $1', [id])
}

/** A call whose answer holds a secret, written down before it is made. */
export type Intent = { id: string; source: string; openedAt: Date } & (
  | { kind: 'create'; declared: string | null; uri: string; known: string[] }
  | { kind: 'rotate'; webhook: string; revocation: string }
)

type WithoutId<T> = T extends unknown ? Omit<T, 'id' | 'openedAt'> : never

/** @returns its id */
export async function openIntent(db: Db, intent: WithoutId<Intent>): Promise<string> {
  const { rows } = await db.query<{ id: string }>(
    `insert into gemini_relay.webhook_intents (source, webhook, declared, uri, known, revocation)
     values ($1, $2, $3, $4, $5, $6) returning id`,
    intent.kind === 'create'
      ? [intent.source, null, intent.declared, intent.uri, intent.known, null]
      : [intent.source, intent.webhook, null, null, null, intent.revocation],
  )
  const [row] = rows
  if (row === undefined) throw new Error('the insert returned no row')
  return row.id
}

/** Milliseconds since it was opened, by Postgres' clock. */
export async function intentAgeMs(db: Db, id: string): Promise<number> {
  const { rows } = await db.query<{ ms: number }>(
    `select date_part('epoch', clock_timestamp() - opened_at) * 1000 as ms from gemini_relay.webhook_intents where id = $1`,
    [id],
  )
  return rows[0]?.ms ?? Infinity
}

export async function closeIntent(db: Db, id: string): Promise<void> {
  await db.query('delete from gemini_relay.webhook_intents where id = $1', [id])
}

interface IntentRow {
  id: string
  source: string
  webhook: string | null
  declared: string | null
  uri: string | null
  known: string[] | null
  revocation: string | null
  opened_at: Date
}

/** Oldest first. */
export async function listIntents(db: Db): Promise<Intent[]> {
  const { rows } = await db.query<IntentRow>(
    'select id, source, webhook, declared, uri, known, revocation, opened_at from gemini_relay.webhook_intents order by id',
  )
  return rows.map(({ id, source, webhook, declared, uri, known, revocation, opened_at: openedAt }) =>
    webhook === null
      ? { kind: 'create', id, source, openedAt, declared, uri: uri ?? '', known: known ?? [] }
      : { kind: 'rotate', id, source, openedAt, webhook, revocation: revocation ?? 'after_h24' },
  )
}

/** Any fixed number: it only has to be the same in every relay. */
const advisoryLock = 4_738_216_052

const retryMs = 200

/**
 * Runs `work` while nobody else changes webhooks: what is found half done then was left by a process that died. The lock goes
 * with its connection, so that a dead process holds none.
 *
 * @param forMs how long to wait for somebody else
 * @returns undefined where somebody else had it all the time
 */
export async function exclusively<T>(pool: Pool, forMs: number, work: () => Promise<T>): Promise<T | undefined> {
  const client = await pool.connect()
  let broken = true
  try {
    await client.query('begin')
    await client.query('set local idle_in_transaction_session_timeout = 0')
    const result = (await locked(client, forMs)) ? await work() : undefined
    await client.query('commit')
    broken = false
    return result
  } finally {
    client.release(broken)
  }
}

async function locked(client: ClientBase, forMs: number): Promise<boolean> {
  for (const deadline = performance.now() + forMs; ; await sleep(retryMs)) {
    const { rows } = await client.query<{ got: boolean }>('select pg_try_advisory_xact_lock($1) as got', [advisoryLock])
    if (rows[0]?.got === true) return true
    if (performance.now() >= deadline) return false
  }
}
