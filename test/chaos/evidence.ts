/** What the databases hold after a run, read past all proxies. */
import { rowText } from './messages.ts'
import { otherDatabase, relayDatabase, withClient } from './tables.ts'

export interface StoredRow {
  /** The event's number. */
  id: string
  webhookId: string
  /** SHA-256 of the body, in hex. */
  digest: string
  /** Of the envelope, else of the receipt; milliseconds since the epoch. */
  timeMs: number
}

export interface DeliveryRow {
  webhookId: string
  rule: string
  sink: string
  state: string
  code: string | null
}

/** A row of a table sink. */
export interface SyncedRow {
  key: string
  webhookId: string
  payload: string
}

export interface Evidence {
  events: StoredRow[]
  deliveries: DeliveryRow[]
  /** Attempts that failed by a bug of ours. */
  internal: string[]
  seen: SyncedRow[]
  state: SyncedRow[]
  mirror: SyncedRow[]
  /** How often the audit trigger saw each webhook-id. */
  writes: Map<string, number>
  leases: { id: string; holder: string }[]
  /** Connections of the relays, by part, and how many of them idle in a transaction. */
  connections: { part: string; count: number; inTransaction: number }[]
}

export async function readEvidence(url: (database: string) => string): Promise<Evidence> {
  const own = await withClient(url(relayDatabase), async (client) => {
    const list = async <T extends unknown[]>(text: string): Promise<T[]> =>
      (await client.query<T>({ text, rowMode: 'array' })).rows
    const events = await list<[string, string, string, number]>(
      `select id::text, webhook_id, encode(sha256(body), 'hex'), (extract(epoch from coalesce(event_time, received_at)) * 1000)::float8
       from gemini_relay.events order by gemini_relay.events.id`,
    )
    const deliveries = await list<[string, string, string, string, string | null]>(
      `select e.webhook_id, d.rule, d.sink, d.state, d.code from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id`,
    )
    const internal = await list<[string]>(
      `select e.webhook_id || ': ' || a.message from gemini_relay.attempts a join gemini_relay.delivery_rows d on d.id = a.delivery_id
       join gemini_relay.events e on e.id = d.event_id where a.code = 'internal'`,
    )
    const writes = await list<[string, number]>('select webhook_id, count(*)::int from seen_writes group by webhook_id')
    const leases = await list<[string, string]>('select id::text, holder from gemini_relay.leases')
    const connections = await list<[string, number, number]>(
      `select application_name, count(*)::int, (count(*) filter (where state like 'idle in transaction%'))::int
       from pg_stat_activity where application_name like 'gemini-relay%' group by application_name`,
    )
    return {
      events: events.map(([id, webhookId, digest, timeMs]) => ({ id, webhookId, digest, timeMs })),
      deliveries: deliveries.map(([webhookId, rule, sink, state, code]) => ({ webhookId, rule, sink, state, code })),
      internal: internal.map(([text]) => text),
      seen: syncedRows(await list(synced('seen', 'webhook_id'))),
      state: syncedRows(await list(synced('state', 'subject'))),
      writes: new Map(writes),
      leases: leases.map(([id, holder]) => ({ id, holder })),
      connections: connections.map(([part, count, inTransaction]) => ({ part, count, inTransaction })),
    }
  })
  const mirror = await withClient(url(otherDatabase), async (client) => {
    const { rows } = await client.query<SyncedValues>({ text: synced('mirror', 'webhook_id'), rowMode: 'array' })
    return syncedRows(rows)
  })
  return { ...own, mirror }
}

type SyncedValues = [key: string, webhookId: string, type: string, subject: string, note: string | null]

function synced(table: string, key: string): string {
  return `select ${key}, webhook_id, type, subject, note from ${table}`
}

function syncedRows(rows: readonly SyncedValues[]): SyncedRow[] {
  return rows.map(([key, webhookId, type, subject, note]) => ({ key, webhookId, payload: rowText(type, subject, note) }))
}

/** What is still to be done. */
export async function readOpen(url: (database: string) => string): Promise<{ deliveries: number; leases: number }> {
  return await withClient(url(relayDatabase), async (client) => {
    const { rows } = await client.query<{ deliveries: number; leases: number }>(
      `select (select count(*) from gemini_relay.deliveries where state in ('pending', 'leased'))::int as deliveries,
         (select count(*) from gemini_relay.leases)::int as leases`,
    )
    return rows[0] ?? { deliveries: 0, leases: 0 }
  })
}
