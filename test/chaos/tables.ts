/** The tables of the run, made before the relays: an audit trigger remembers every write. */
import pg from 'pg'

export const relayDatabase = 'relay'
export const otherDatabase = 'other'

/** Row by row, whoever writes: an upsert that changes nothing is a write too. */
const ownTables = `
create table seen (webhook_id text primary key, type text, subject text, note text, relay_event_time timestamptz, relay_event_seq bigint);
create table seen_writes (id bigint generated always as identity primary key, webhook_id text not null, at timestamptz not null default clock_timestamp());
create function remember() returns trigger language plpgsql as $$ begin insert into seen_writes (webhook_id) values (new.webhook_id); return new; end $$;
create trigger remember after insert or update on seen for each row execute function remember();
create table bare (id text primary key, relay_event_time timestamptz, relay_event_seq bigint);
create table state (subject text primary key, webhook_id text, type text, note text, relay_event_time timestamptz, relay_event_seq bigint);
`

export async function createTables(url: (database: string) => string): Promise<void> {
  await withClient(url('postgres'), async (client) => {
    for (const name of [relayDatabase, otherDatabase]) await client.query(`create database ${name}`)
  })
  await withClient(url(relayDatabase), (client) => client.query(ownTables))
}

export async function withClient<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url, application_name: 'chaos' })
  // It may break at any moment; whoever queries on it hears of it.
  client.on('error', () => {})
  await client.connect()
  try {
    return await use(client)
  } finally {
    await client.end().catch(() => {})
  }
}

/** Locks a table of the sinks; a Postgres that dies meanwhile has released it. */
export async function lockTable(url: string, table: string, held: Promise<unknown>): Promise<void> {
  await withClient(url, async (client) => {
    await client.query(`begin; lock table ${table} in access exclusive mode`)
    await held
    await client.query('rollback')
  })
}
