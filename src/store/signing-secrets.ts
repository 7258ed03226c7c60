/** Signing secrets as they are kept: encrypted, several live at once. Who may read them in the clear is managed-secrets.ts. */
import { wrongKey, type Encrypted, type Encryption } from '../encryption.ts'
import type { Pool } from './pool.ts'
import { inTransaction } from './transaction.ts'
import type { ClientBase } from 'pg'

/** NOTIFY: secrets or intents of a source changed. */
export const secretsChannel = 'gemini_relay_secrets'

/** How long a relay believes what it read of secrets and intents, in milliseconds: who opens an intent waits longer before it acts. */
export const believedMs = 2_000

/** So long after its end a secret is still known to have been one. */
const rememberedMs = 60_000

export interface KeptSecret {
  id: string
  source: string
  webhook: string
  encrypted: Encrypted
  /** Milliseconds from now, by Postgres' clock; not above 0: it ended, a minute ago at most. Null: no end is known. */
  expiresInMs: number | null
  createdAt: Date
}

export interface KeptState {
  secrets: KeptSecret[]
  /** Sources with an intent, each with the age of its oldest in milliseconds. */
  open: Map<string, number>
}

interface StateRow {
  source: string
  id: string | null
  webhook: string
  key_id: string
  secret: Buffer
  ms: number | null
  created_at: Date
}

// One snapshot: a secret appears as its intent goes.
const state = `
select source, id, webhook, key_id, secret, created_at, date_part('epoch', expires_at - clock_timestamp()) * 1000 as ms
from gemini_relay.signing_secrets
where source = any ($1::text[]) and (expires_at is null or expires_at > clock_timestamp() - $2 * interval '1 millisecond')
union all
select source, null, null, null, null, min(opened_at), date_part('epoch', clock_timestamp() - min(opened_at)) * 1000
from gemini_relay.webhook_intents where source = any ($1::text[]) group by source`

/** Newest first. */
export async function readState(db: Pool | ClientBase, sources: readonly string[]): Promise<KeptState> {
  const { rows } = await db.query<StateRow>(`${state} order by 2 desc nulls last`, [sources, rememberedMs])
  const secrets = rows.flatMap(({ id, source, webhook, key_id, secret, ms, created_at }): KeptSecret[] => {
    if (id === null) return []
    return [{ id, source, webhook, encrypted: { keyId: key_id, bytes: secret }, expiresInMs: ms, createdAt: created_at }]
  })
  return { secrets, open: new Map(rows.flatMap(({ id, source, ms }) => (id === null ? [[source, ms ?? 0]] : []))) }
}

/** @throws RelayError `encryption_key` where a secret that is live was encrypted with another key */
export async function assertKeysKnown(db: Pool | ClientBase, { keyIds }: Encryption): Promise<void> {
  const { rows } = await db.query<{ key_id: string }>(
    `select distinct key_id from gemini_relay.signing_secrets
     where key_id <> all ($1::text[]) and (expires_at is null or expires_at > clock_timestamp()) order by 1`,
    [keyIds],
  )
  if (rows.length > 0)
    throw wrongKey(
      rows.map(({ key_id: id }) => id),
      keyIds,
    )
}

/** What the text is encrypted for: a row copied to another webhook does not open. */
export function secretContext({ source, webhook }: { source: string; webhook: string }): string {
  return `the signing secret of webhook ${webhook} of source ${source}`
}

/** The newest of its webhook; those before it end `previousForMs` from now, or when they would have. */
export async function insertSecret(
  client: ClientBase,
  { source, webhook, encrypted, previousForMs }: { source: string; webhook: string; encrypted: Encrypted; previousForMs: number },
): Promise<void> {
  await client.query(
    `update gemini_relay.signing_secrets
     set expires_at = least(expires_at, clock_timestamp() + $2 * interval '1 millisecond') where webhook = $1`,
    [webhook, previousForMs],
  )
  await client.query('insert into gemini_relay.signing_secrets (source, webhook, key_id, secret) values ($1, $2, $3, $4)', [
    source,
    webhook,
    encrypted.keyId,
    encrypted.bytes,
  ])
  // Nobody signs with these any more, and nobody asks for them.
  await client.query(`delete from gemini_relay.signing_secrets where expires_at < clock_timestamp() - interval '1 day'`)
}

/** Of a webhook that is no more. */
export async function endSecrets(db: Pool | ClientBase, webhook: string): Promise<void> {
  await db.query('update gemini_relay.signing_secrets set expires_at = least(expires_at, clock_timestamp()) where webhook = $1', [
    webhook,
  ])
}

export async function notifySecrets(db: Pool | ClientBase): Promise<void> {
  await db.query(`select pg_notify($1, '')`, [secretsChannel])
}

/** Encrypts with the current key what another one of `encryption` had encrypted. @returns how many */
export async function rekeySecrets(pool: Pool, encryption: Encryption): Promise<number> {
  return await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ id: string; source: string; webhook: string; key_id: string; secret: Buffer }>(
      'select id, source, webhook, key_id, secret from gemini_relay.signing_secrets where key_id <> $1 order by id for update',
      [encryption.keyId],
    )
    for (const { id, key_id: keyId, secret, ...owner } of rows) {
      const context = secretContext(owner)
      const encrypted = encryption.encrypt(encryption.decrypt({ keyId, bytes: secret }, context), context)
      await client.query('update gemini_relay.signing_secrets set key_id = $2, secret = $3 where id = $1', [
        id,
        encrypted.keyId,
        encrypted.bytes,
      ])
    }
    await notifySecrets(client)
    return rows.length
  })
}
