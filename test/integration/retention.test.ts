import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createPruner, pruneBatch } from '../../src/store/prune.ts'
import { findJobMessage, saveJobMessage } from '../../src/store/slack-messages.ts'
import { insertReplayed } from '../../src/store/replay.ts'
import { silent, startAcceptor, type TestAcceptor } from '../setup/accepted.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startRelay } from '../setup/relay.ts'
import { makeSingleRows } from '../setup/single-rows.ts'
import { eventually, secret } from '../setup/sender.ts'

const day = 86_400_000
const retentionMs = 30 * day

let database: TestDatabase
let db: pg.Pool
let accepting: TestAcceptor

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 4 })
  accepting = await startAcceptor(database.url)
})
afterAll(async () => {
  await accepting.close()
  await db.end()
  await database.drop()
})
beforeEach(async () => {
  await db.query(
    'truncate gemini_relay.events, gemini_relay.delivery_rows, gemini_relay.delivery_groups, gemini_relay.token_uses, gemini_relay.leases cascade',
  )
})

/** An event of so many days ago, and its delivery in this state. */
async function event(days: number, state: 'pending' | 'leased' | 'delivered' | 'dead'): Promise<string> {
  const id = `msg_${state}_${days}_${randomUUID().slice(0, 4)}`
  const delivery = await accepting.accept({ id, body: '{}' })
  await db.query(`update gemini_relay.events set received_at = now() - $2 * interval '1 day' where webhook_id = $1`, [id, days])
  await makeSingleRows(db)
  await db.query(
    `update gemini_relay.delivery_rows set state = $2, due_at = case when $2 = 'pending' then now() + interval '1 hour' end,
       code = case when $2 = 'dead' then 'rejected' end where id = $1`,
    [delivery.id, state],
  )
  await db.query(`insert into gemini_relay.attempts (delivery_id, number, code, message) values ($1, 1, 'unavailable', 'once')`, [
    delivery.id,
  ])
  return id
}

/** @returns how many events went, at most one batch */
async function prune(): Promise<number> {
  const { events } = await pruneBatch(accepting.pool, retentionMs)
  return events
}

async function left(): Promise<string[]> {
  const { rows } = await db.query<{ webhook_id: string }>('select webhook_id from gemini_relay.events order by 1')
  return rows.map(({ webhook_id }) => webhook_id)
}

async function count(table: string): Promise<number> {
  const { rows } = await db.query<{ count: string }>(`select count(*) from gemini_relay.${table}`)
  return Number(rows[0]?.count)
}

describe('pruning', () => {
  it('takes what is past its retention, with its deliveries and attempts, and nothing that is younger', async () => {
    await event(31, 'delivered')
    await event(400, 'dead')
    const young = [await event(29, 'delivered'), await event(0, 'dead')].toSorted()
    expect(await prune()).toBe(2)
    expect(await left()).toEqual(young)
    expect([await count('deliveries'), await count('attempts')]).toEqual([2, 2])
    expect(await prune()).toBe(0)
  })

  it('never takes what is still owed, however old, and takes it once it is not', async () => {
    const owed = [await event(400, 'pending'), await event(400, 'leased')].toSorted()
    await event(400, 'delivered')
    expect(await prune()).toBe(1)
    expect(await left()).toEqual(owed)
    await db.query(`update gemini_relay.delivery_rows set state = 'dead', due_at = null`)
    expect(await prune()).toBe(2)
  })

  it('never takes what is owed by one rule of many, or again by a replay', async () => {
    const id = await event(400, 'delivered')
    const { rows } = await db.query<{ id: string }>('select id from gemini_relay.events where webhook_id = $1', [id])
    await insertReplayed(accepting.pool, [
      { eventId: rows[0]?.id ?? '', rule: 'all', sink: 'jobs', horizonMs: 60_000, ordered: false },
    ])
    expect(await prune()).toBe(0)
    expect(await left()).toEqual([id])
  })

  it('leaves an event that gets a replay while it is being pruned', async () => {
    const id = await event(400, 'delivered')
    const { rows } = await db.query<{ id: string }>('select id from gemini_relay.events where webhook_id = $1', [id])
    const replaying = await db.connect()
    try {
      await replaying.query('begin')
      await insertReplayed(replaying, [
        { eventId: rows[0]?.id ?? '', rule: 'all', sink: 'jobs', horizonMs: 60_000, ordered: false },
      ])
      const pruning = prune()
      expect(await pruning).toBe(0)
      await replaying.query('commit')
    } finally {
      replaying.release()
    }
    expect(await left()).toEqual([id])
  })

  it('forgets the Slack messages of jobs that had no event for the retention time, however old their first one is', async () => {
    const keys = ['idle', 'busy'].map((subject) => ({ sink: 'ops', channel: 'C1', source: 'gemini', subject }))
    const message = { channel: 'C1', ts: '1.2', shown: { id: '1', time: new Date() }, delivery: '1', lease: '1' }
    for (const key of keys) await saveJobMessage(db, key, message)
    await db.query(`update gemini_relay.slack_messages set used_at = now() - interval '31 days'`)
    await saveJobMessage(db, { sink: 'ops', channel: 'C1', source: 'gemini', subject: 'busy' }, message)
    await prune()
    expect(await Promise.all(keys.map((key) => findJobMessage(db, key)))).toEqual([undefined, message])
  })

  it('goes in small batches until nothing is left, and several processes may do it at once', async () => {
    await db.query(`insert into gemini_relay.events (source, webhook_id, scheme, received_at, body)
      select 'gemini', 'msg_bulk_' || n, 'hmac', now() - interval '31 days', '{}' from generate_series(1, 1600) n`)
    expect(await prune()).toBeLessThanOrEqual(500)
    const pruners = [1, 2].map(() => createPruner({ pool: accepting.pool, retentionMs: () => retentionMs, log: silent }))
    for (const pruner of pruners) pruner.start()
    await eventually(left, (ids) => ids.length === 0)
    await Promise.all(pruners.map((pruner) => pruner.stop()))
  })

  it('goes on behind what is owed and what came from a clock that is ahead', async () => {
    await db.query(`insert into gemini_relay.events (source, webhook_id, scheme, received_at, body)
      select 'gemini', 'msg_bulk_' || n, 'hmac', now() - interval '31 days' + case when n < 400 then interval '1 year' else '0' end, '{}'
      from generate_series(1, 1200) n`)
    const pruner = createPruner({ pool: accepting.pool, retentionMs: () => retentionMs, log: silent })
    pruner.start()
    expect(await eventually(left, (ids) => ids.length < 400)).toHaveLength(399)
    await pruner.stop()
  })

  it('forgets tokens an hour after they expired, and keeps those that never do', async () => {
    await db.query(`insert into gemini_relay.token_uses (source, digest, webhook_id, body_digest, expires_at) values
      ('gemini', 'old', 'a', '', now() - interval '61 minutes'), ('gemini', 'fresh', 'b', '', now() - interval '59 minutes'),
      ('gemini', 'later', 'c', '', now() + interval '1 day'), ('gemini', 'for ever', 'd', '', null)`)
    await prune()
    const { rows } = await db.query<{ digest: Buffer }>('select digest from gemini_relay.token_uses order by webhook_id')
    expect(rows.map(({ digest }) => digest.toString())).toEqual(['fresh', 'later', 'for ever'])
  })
})

describe('a relay', () => {
  let stop = () => Promise.resolve()
  afterEach(() => stop())

  it('prunes by its own retention, and goes on delivering what is old and owed', async () => {
    const owed = await event(400, 'pending')
    await db.query('update gemini_relay.delivery_rows set due_at = now()')
    await event(3, 'delivered')
    const young = await event(1, 'delivered')
    const relay = await startRelay({
      yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
retention: { events: 2d }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks: { jobs: { type: table, table: public.kept_jobs, key: [id], create: true, columns: { id: event.webhook_id } } }
rules: [{ name: all, to: [jobs] }]
`,
      env: { DATABASE_URL: database.url, SECRET: secret },
    })
    stop = () => relay.stop()
    await eventually(
      async () => (await db.query<{ id: string }>('select id from public.kept_jobs')).rows,
      (rows) => rows[0]?.id === owed,
    )
    await eventually(
      () => relay.log(),
      (log) => log.includes('pruned events'),
    )
    expect(await left()).toContain(young)
    expect((await left()).filter((id) => id.startsWith('msg_delivered_3'))).toEqual([])
  })
})
