import pg from 'pg'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { claimDeliveries, maxClaimBytes } from '../../src/store/claim.ts'
import { createPool, describeUrl } from '../../src/store/pool.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'

const log = pino({ level: 'silent' })
let database: TestDatabase
let db: pg.Pool

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 6 })
})
afterAll(async () => {
  await db.end()
  await database.drop()
})

describe('a connection', () => {
  it.each([
    ['', '4MB'],
    ['&options=-c%20work_mem%3D8MB%20-c%20synchronous_commit%3Doff&statement_timeout=0', '8MB'],
  ])('commits durably and gives slow statements up, whatever its URL adds: %j', async (added, workMem) => {
    const pool = createPool({
      url: `${database.url}${added}`,
      part: 'test',
      max: 1,
      statementTimeoutMs: 1_234,
      settings: '-c enable_nestloop=off',
      log,
    })
    const setting = async (name: string) =>
      (await pool.query<{ value: string }>('select current_setting($1) as value', [name])).rows[0]?.value
    expect([await setting('synchronous_commit'), await setting('statement_timeout'), await setting('enable_nestloop')]).toEqual([
      'on',
      '1234ms',
      'off',
    ])
    expect(await setting('work_mem')).toBe(workMem)
    await pool.end()
  })

  it.each([
    ['postgres://u:secret@db.example:5433/relay?sslmode=require', 'db.example:5433/relay'],
    ['postgres://u:secret@/relay?host=%2Frun%2Fpg&port=5432', '/run/pg/relay'],
  ])('is described without its password: %s', (url, described) => {
    expect(describeUrl(url)).toBe(described)
  })
})

describe('with a relay', () => {
  let relay: TestRelay
  let receiver: Receiver

  beforeAll(async () => {
    receiver = await startReceiver()
    relay = await startRelay({
      yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks: { forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true, breaker: { cooldown: 300ms } } }
rules: [{ name: all, to: [forward] }]
`,
      env: { DATABASE_URL: database.url, SECRET: secret },
    })
  })
  afterAll(async () => {
    await relay.stop()
    await receiver.close()
  })

  it('an outcome that Postgres refuses holds up no other', async () => {
    await db.query(`
      create function refuse_one() returns trigger language plpgsql as $$ begin
        if new.state = 'delivered' and exists (select from gemini_relay.events e where e.id = new.event_id and e.webhook_id = 'msg_refused')
        then raise exception using errcode = '23514'; end if; return new; end $$;
      create trigger refuse_one before insert on gemini_relay.delivery_rows for each row execute function refuse_one();
    `)
    const ids = ['msg_a', 'msg_refused', 'msg_b', 'msg_c']
    await Promise.all(ids.map((id) => post(`${relay.url}/hook`, { id, body: envelope('batch.failed') })))
    const states = await eventually(
      readStates,
      (found) => Object.values(found).filter((state) => state === 'delivered').length === 3,
    )
    expect(states).toEqual({ msg_a: 'delivered', msg_b: 'delivered', msg_c: 'delivered', msg_refused: 'leased' })
    expect(await post(`${relay.url}/hook`, { id: 'msg_d', body: envelope('batch.failed') })).toMatchObject({ status: 200 })
    await eventually(readStates, ({ msg_d }) => msg_d === 'delivered')
    await db.query('drop trigger refuse_one on gemini_relay.delivery_rows')
  })

  it('a claim is bounded by the bytes of its bodies, and the rest follows', async () => {
    receiver.respond((response) => {
      response.writeHead(503).end()
    })
    const body = envelope('batch.failed', { filler: 'x'.repeat(200_000) })
    const ids = Array.from({ length: 60 }, (_, n) => `msg_big_${n}`)
    for (const id of ids) await post(`${relay.url}/hook`, { id, body })
    await db.query(`update gemini_relay.delivery_rows set rule = 'other', due_at = created_at where state = 'pending'`)
    await db.query(`update gemini_relay.delivery_groups set rule = 'other' where lease is null`)
    const claim = () =>
      claimDeliveries(db, { sink: 'forward', rules: ['other'], limit: 1_000, holder: 'test', leaseMs: 60_000, leaseMarginMs: 0 })
    const waiting = await db.query(`select from gemini_relay.deliveries where rule = 'other' and state = 'pending'`)
    const { deliveries: first, more } = await claim()
    expect(more).toBe(true)
    const bytes = first.reduce((sum, { stored }) => sum + stored.body.length, 0)
    expect(bytes).toBeGreaterThanOrEqual(maxClaimBytes)
    expect(bytes).toBeLessThan(maxClaimBytes + 300_000)
    const { deliveries: second } = await claim()
    expect(first.length + second.length).toBe(waiting.rowCount)
  })

  it('claims of several processes at once cut groups between them, and none is given out twice', async () => {
    await db.query(`
      with e as (
        insert into gemini_relay.events (source, webhook_id, scheme, received_at, body)
        select 'gemini', 'msg_cut_' || n, 'hmac', now(), '{}' from generate_series(1, 2000) n returning id
      )
      insert into gemini_relay.delivery_groups (rule, sink, due_at, expires_at, ids, events)
      select 'cut', 'forward', clock_timestamp(), now() + interval '1 hour', array_agg(number order by number), array_agg(id order by number)
      from (select id, nextval('gemini_relay.delivery_rows_id_seq') as number, row_number() over (order by id) / 50 as part from e) d group by part`)
    const claimed: string[] = []
    async function claimAll(): Promise<void> {
      for (let idle = 0; idle < 20;) {
        const { deliveries } = await claimDeliveries(db, {
          sink: 'forward',
          rules: ['cut'],
          limit: 7,
          holder: 'test',
          leaseMs: 60_000,
          leaseMarginMs: 0,
        })
        claimed.push(...deliveries.map(({ stored }) => stored.event.webhook_id))
        idle = deliveries.length === 0 ? idle + 1 : 0
      }
    }
    await Promise.all(Array.from({ length: 6 }, claimAll))
    expect(new Set(claimed).size).toBe(2_000)
    expect(claimed).toHaveLength(2_000)
  })

  async function readStates(): Promise<Record<string, string>> {
    const { rows } = await db.query<{ webhook_id: string; state: string }>(
      'select e.webhook_id, d.state from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id',
    )
    return Object.fromEntries(rows.map(({ webhook_id, state }) => [webhook_id, state]))
  }
})
