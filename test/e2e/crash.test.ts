import pg from 'pg'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startLoad } from '../setup/load.ts'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

let database: TestDatabase
let db: pg.Pool
let receiver: Receiver
const relays: RelayProcess[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 3 })
  receiver = await startReceiver()
  // The sync table exists before, with a trigger that remembers every write.
  await db.query(`
    create table jobs (id text primary key, type text, relay_event_time timestamptz, relay_event_seq bigint);
    create table audit (id text not null, at timestamptz not null default clock_timestamp());
    create function remember() returns trigger language plpgsql as $$ begin insert into audit (id) values (new.id); return new; end $$;
    create trigger remember after insert or update on jobs for each row execute function remember();
  `)
})
afterEach(async () => {
  for (const relay of relays.splice(0)) await relay.kill()
  await receiver.close()
  await db.end()
  await database.drop()
})

async function startOne(): Promise<RelayProcess> {
  const started = await spawnRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  jobs: { type: table, table: jobs, key: [id], columns: { id: event.webhook_id, type: event.type } }
  forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true, retry: { initial: 100ms } }
rules: [{ name: all, to: [jobs, forward] }]
`,
    env: { DATABASE_URL: database.url, SECRET: secret },
  })
  relays.push(started)
  return started
}

it('delivers everything it acknowledged after kill -9 under load, and writes each row once', async () => {
  // Half of the answers of the http sink never come, so that plenty is under way when the relay dies.
  let calls = 0
  receiver.respond((response) => {
    if (calls++ % 2 === 0) response.writeHead(204).end()
  })
  const first = await startOne()
  const load = startLoad(() => `${first.url}/hook`, 300)
  await eventually(
    () => load.acknowledged().length,
    (acknowledged) => acknowledged > 300,
  )
  await first.kill()
  await load.stop()
  const owed = load.acknowledged()

  receiver.respond((response) => {
    response.writeHead(204).end()
  })
  await startOne()
  await eventually(
    () => deliveryStates(),
    (states) => Object.keys(states).every((state) => state === 'delivered'),
    50_000,
  )
  const rows = await db.query<{ id: string }>('select id from jobs')
  const written = new Set(rows.rows.map(({ id }) => id))
  const forwarded = new Set(receiver.requests.map(({ headers }) => headers['webhook-id']))
  expect(owed.filter((id) => !written.has(id))).toEqual([])
  expect(owed.filter((id) => !forwarded.has(id))).toEqual([])
  expect((await db.query('select id, count(*) from audit group by id having count(*) > 1')).rows).toEqual([])
}, 90_000)

it('changes nothing that was taken over while it was stopped past its lease', async () => {
  // The table is locked while the first relay holds its deliveries, and the http sink does not answer it.
  receiver.respond(() => {})
  const first = await startOne()
  const locker = await db.connect()
  await locker.query('begin')
  await locker.query('lock table jobs in access exclusive mode')
  const ids = await Promise.all(
    Array.from({ length: 20 }, async (_, n) => {
      const id = `msg_stopped_${n}`
      await post(`${first.url}/hook`, { id, body: envelope('batch.failed') })
      return id
    }),
  )
  first.child.kill('SIGSTOP')
  await locker.query('commit')
  locker.release()
  receiver.respond((response) => {
    response.writeHead(204).end()
  })
  const second = await startOne()
  await eventually(
    () => deliveryStates(),
    (states) => Object.keys(states).join() === 'delivered',
    55_000,
  )
  const before = await snapshot()

  first.child.kill('SIGCONT')
  await eventually(
    () => first.log(),
    (log) => log.includes('taken over'),
    20_000,
  )
  await new Promise((resolve) => setTimeout(resolve, 2_000))
  expect(await snapshot()).toEqual(before)
  expect((await db.query('select id from audit group by id having count(*) > 1')).rows).toEqual([])
  const { rows } = await db.query<{ id: string }>('select id from jobs order by id')
  expect(rows.map(({ id }) => id)).toEqual(ids.toSorted())
  expect(second.log()).toContain('took over deliveries of an expired lease')
}, 100_000)

async function deliveryStates(): Promise<Record<string, number>> {
  const { rows } = await db.query<{ state: string; count: string }>(
    'select state, count(*) from gemini_relay.deliveries group by state',
  )
  return Object.fromEntries(rows.map(({ state, count }) => [state, Number(count)]))
}

async function snapshot(): Promise<unknown> {
  const { rows } = await db.query('select id, state, lease, attempts, ended_at, code from gemini_relay.deliveries order by id')
  return rows
}
