import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { migrate } from '../../src/store/migrate.ts'
import { createPool, type Pool } from '../../src/store/pool.ts'
import { silent } from '../setup/accepted.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startRelay } from '../setup/relay.ts'
import { root } from '../setup/root.ts'
import { eventually } from '../setup/sender.ts'

let database: TestDatabase
let db: pg.Pool
const pools: Pool[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 4 })
})
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.end()))
  await db.end()
  await database.drop()
})

function newPool(): Pool {
  const pool = createPool({ url: database.url, part: 'admin', max: 1, statementTimeoutMs: 30_000, log: silent })
  pools.push(pool)
  return pool
}

async function tables(): Promise<string[]> {
  const { rows } = await db.query<{ name: string }>(
    `select table_name as name from information_schema.tables where table_schema = 'gemini_relay' order by 1`,
  )
  return rows.map(({ name }) => name)
}

const allTables =
  'attempts deliveries delivery_groups delivery_rows events job_ends leases migrations signing_secrets sink_pauses slack_messages token_uses webhook_endpoints webhook_intents'.split(
    ' ',
  )
const allMigrations = readdirSync(join(root, 'src/store/migrations'))
  .map((file) => file.replace('.sql', ''))
  .toSorted()
/** The number of a later version's first one. */
const next = allMigrations.length + 1

it('makes the schema in an empty database, and has nothing to do the second time', async () => {
  expect(await migrate(newPool())).toEqual(allMigrations)
  expect(await migrate(newPool())).toEqual([])
  expect(await tables()).toEqual(allTables)
  expect((await db.query('select number, name, min_binary from gemini_relay.migrations')).rows).toEqual(
    allMigrations.map((name) => ({ number: Number.parseInt(name, 10), name, min_binary: '0.1.0' })),
  )
})

it('is done once by 20 processes that start at the same time', async () => {
  const applied = await Promise.all(Array.from({ length: 20 }, () => migrate(newPool())))
  expect(applied.flat()).toEqual(allMigrations)
  expect(await tables()).toEqual(allTables)
})

it('touches nothing outside of its own schema', async () => {
  await db.query('create table public.events (mine text); create table public.deliveries (mine text)')
  await migrate(newPool())
  const { rows } = await db.query(
    `select table_schema, table_name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema', 'gemini_relay') order by 2`,
  )
  expect(rows).toEqual([
    { table_schema: 'public', table_name: 'deliveries' },
    { table_schema: 'public', table_name: 'events' },
  ])
})

it('leaves nothing behind when its process dies half-way, and the next one does it', async () => {
  await db.query('create schema gemini_relay')
  const blocker = await db.connect()
  try {
    // The last table of the migrations has to wait for this one, with all others made.
    await blocker.query('begin; create table gemini_relay.slack_messages ()')
    const dying = migrate(newPool()).catch((error: unknown) => error)
    const pids = await eventually(waiting, (found) => found.length > 0)
    await db.query('select pg_terminate_backend($1)', [pids[0]])
    expect(await dying).toMatchObject({ code: '57P01' })
    await blocker.query('rollback')
  } finally {
    blocker.release()
  }
  expect(await tables()).toEqual([])
  expect(await migrate(newPool())).toEqual(allMigrations)
})

it('refuses a schema whose newest migration needs a newer relay, and changes nothing', async () => {
  await migrate(newPool())
  await db.query(
    `insert into gemini_relay.migrations (number, name, min_binary) values (${next}, 'later', '0.10.0'), (${next + 1}, 'more', '0.9.9')`,
  )
  await expect(migrate(newPool())).rejects.toMatchObject({
    code: 'schema_too_new',
    message: expect.stringMatching(/0\.10\.0 or newer/),
    hint: expect.stringMatching(/newer version/),
  })
  expect((await db.query('select from gemini_relay.migrations')).rowCount).toBe(allMigrations.length + 2)
  const yaml = `{ server: { host: 127.0.0.1, port: 0 }, database: { url: "\${DATABASE_URL}" }, sources: { gemini: { path: /hook, static: {} } } }`
  await expect(startRelay({ yaml, env: { DATABASE_URL: database.url } })).rejects.toMatchObject({ code: 'schema_too_new' })
})

it('runs on a newer schema that states that this relay still can', async () => {
  await migrate(newPool())
  await db.query(`insert into gemini_relay.migrations (number, name, min_binary) values (${next}, 'later', '0.1.0')`)
  expect(await migrate(newPool())).toEqual([])
})

it('leaves its subject to one of two deliveries of it that are leased already, and to no second one from then on', async () => {
  await migrate(newPool())
  await db.query(`
    drop index gemini_relay.delivery_rows_turn;
    delete from gemini_relay.migrations where name = '0007_turns';
    insert into gemini_relay.delivery_rows (event_id, rule, sink, subject, state, lease, expires_at)
      select n, 'all', 'ops', 'job_' || n / 2, 'leased', n, now() + interval '1 hour' from generate_series(2, 6) n`)
  expect(await migrate(newPool())).toEqual(['0007_turns'])
  const { rows } = await db.query('select event_id, subject, state from gemini_relay.delivery_rows order by id')
  expect(rows.map(({ subject }) => subject)).toEqual(['job_1', null, 'job_2', null, 'job_3'])
  expect(rows.every(({ state }) => state === 'leased')).toBe(true)
  const second = db.query(`update gemini_relay.delivery_rows set subject = 'job_1' where event_id = 3`)
  await expect(second).rejects.toMatchObject({ code: '23505', constraint: 'delivery_rows_turn' })
})

async function waiting(): Promise<number[]> {
  const { rows } = await db.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return rows.map(({ pid }) => pid)
}
