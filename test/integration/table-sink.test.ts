import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { RelayError } from '../../src/errors.ts'
import type { Sink } from '../../src/sinks/sink.ts'
import { createTableSink } from '../../src/sinks/table.ts'
import type { LeasedDelivery, Outcome } from '../../src/types.ts'
import { silent, startAcceptor, type TestAcceptor } from '../setup/accepted.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { envelope, eventually, type Sent } from '../setup/sender.ts'
import { makeSingleRows } from '../setup/single-rows.ts'
import { sinkConfig, targetsOf } from '../sinks/config.ts'
import { sinkConformance, type SinkUnderTest } from '../sinks/conformance.ts'

const never = new AbortController().signal

interface OddSink {
  name?: string
  relayUrl: string
  config?: Record<string, unknown>
  /** By rule what it says of the sink. */
  rules?: Record<string, Record<string, unknown>>
}

function tableSink({ name = 'jobs', relayUrl, config = {}, rules = { all: {} } }: OddSink): Sink {
  return createTableSink({
    name,
    config: sinkConfig('table', {
      table: 'jobs',
      key: ['id'],
      create: true,
      timeout: '20s',
      columns: { id: 'event.subject', type: 'event.type' },
      ...config,
    }),
    targets: targetsOf(name, rules),
    relayUrl,
    log: silent,
  })
}

describe.each(["the relay's own database", 'a database of its own'])('in %s', (where) => {
  sinkConformance('table', {
    neverLimits: 'Postgres has no such answer',
    async make(): Promise<SinkUnderTest> {
      const relayDatabase = await createTestDatabase()
      const own = where === 'a database of its own' ? await createTestDatabase() : undefined
      const accepting = await startAcceptor(relayDatabase.url)
      const deliveries: LeasedDelivery[] = []
      for (const n of [1, 2, 3])
        deliveries.push(await accepting.accept({ id: `msg_${n}`, body: envelope('batch.failed', { id: `job_${n}` }) }))
      const db = new pg.Client({ connectionString: own?.url ?? relayDatabase.url, options: '-c search_path=public' })
      await db.connect()
      const lock = () => db.query('begin; lock table jobs in access exclusive mode')
      return {
        sink: tableSink({ relayUrl: relayDatabase.url, config: own === undefined ? {} : { url: own.url } }),
        delivery(n) {
          const delivery = deliveries[n - 1]
          if (delivery === undefined) throw new Error(`no delivery ${n}`)
          return delivery
        },
        received: async () => (await db.query<{ id: string }>('select id from jobs')).rows.map(({ id }) => ({ identity: id })),
        failRetryably: async () => void (await lock()),
        failPermanently: async () => void (await db.query('alter table jobs add constraint nothing check (false) not valid')),
        stall: async () => void (await lock()),
        recover: async () => void (await db.query('rollback')),
        async dispose() {
          await db.end()
          await accepting.close()
          await relayDatabase.drop()
          await own?.drop()
        },
      }
    },
  })
})

describe('the table sink', () => {
  let database: TestDatabase
  let accepting: TestAcceptor
  let db: pg.Pool
  const sinks: Sink[] = []

  beforeAll(async () => {
    database = await createTestDatabase()
    accepting = await startAcceptor(database.url)
    // Not "$user": the role of the embedded server is named like the relay's schema.
    db = new pg.Pool({ connectionString: database.url, max: 4, options: '-c search_path=public' })
  })
  afterAll(async () => {
    await db.end()
    await accepting.close()
    await database.drop()
  })
  beforeEach(async () => {
    await db.query('drop schema public cascade; create schema public')
  })
  afterEach(async () => {
    for (const sink of sinks.splice(0)) await sink.close()
  })

  /** Started, on the relay's own database. */
  async function started(config: Record<string, unknown> = {}, rules?: OddSink['rules']): Promise<Sink> {
    const sink = tableSink({ relayUrl: database.url, config, ...(rules && { rules }) })
    sinks.push(sink)
    await sink.start()
    return sink
  }

  async function acceptAll(...sent: Sent[]): Promise<LeasedDelivery[]> {
    const deliveries: LeasedDelivery[] = []
    for (const one of sent) deliveries.push(await accepting.accept(one))
    return deliveries
  }

  /** One event with this data through a sink with these columns: its outcome, and the rows there are then. */
  async function write(
    data: Record<string, unknown>,
    config: Record<string, unknown>,
  ): Promise<{ outcome: Outcome | undefined; rows: unknown[] }> {
    const sink = await started(config)
    const [outcome] = await sink.deliver(await acceptAll({ body: envelope('batch.failed', data) }), never)
    return { outcome, rows: await rows() }
  }

  async function rows(table = 'jobs'): Promise<Record<string, unknown>[]> {
    return (await db.query(`select * from ${table} order by 1`)).rows
  }

  async function stateOf(delivery: LeasedDelivery | undefined): Promise<string | undefined> {
    const { rows: found } = await db.query<{ state: string }>('select state from gemini_relay.deliveries where id = $1', [
      delivery?.id,
    ])
    return found[0]?.state
  }

  /** Runs `work` while the table is locked and at least one statement waits for it. */
  async function whileLocked<T>(attempt: () => Promise<T>, work: (waiting: number) => Promise<void> | void): Promise<T> {
    const locker = await db.connect()
    try {
      await locker.query('begin; lock table jobs')
      const attempting = attempt()
      const { rows: waiting } = await eventually(
        () =>
          db.query<{ pid: number }>(
            `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
          ),
        (found) => found.rows.length > 0,
      )
      await work(waiting[0]?.pid ?? 0)
      return await attempting
    } finally {
      await locker.query('rollback')
      locker.release()
    }
  }

  async function complaint(config: Record<string, unknown>): Promise<RelayError> {
    const sink = tableSink({ relayUrl: database.url, config })
    sinks.push(sink)
    const error: unknown = await sink.start().catch((thrown: unknown) => thrown)
    if (!(error instanceof RelayError)) throw new Error(`not a RelayError: ${String(error)}`)
    return error
  }

  describe('a rule with columns of its own', () => {
    const config = {
      columns: {
        id: 'event.subject',
        at: { type: 'timestamptz', value: 'event.timestamp' },
        note: 'event.type',
        n: { type: 'int', value: '1' },
      },
    }
    const rules = {
      all: {},
      own: { columns: { note: '"own: " + event.type', n: 'event.data.n' } },
      keyed: { columns: { id: '"job " + event.subject' } },
    }

    function ofRules(names: readonly string[], deliveries: readonly LeasedDelivery[]): LeasedDelivery[] {
      return deliveries.map((delivery, n) => ({ ...delivery, rule: names[n] ?? 'all' }))
    }

    it('fills the columns of the sink by them, in one batch and one statement with others', async () => {
      const sink = await started(config, rules)
      const body = (id: string, n?: number) => envelope('batch.failed', { id, ...(n === undefined ? {} : { n }) })
      const sent = [{ body: body('a') }, { body: body('b', 7) }, { body: body('c') }, { body: body('d') }]
      const batch = ofRules(['all', 'own', 'keyed', 'own'], await acceptAll(...sent))
      const recorded = { status: 'recorded' }
      expect(await sink.deliver(batch, never)).toEqual([
        recorded,
        recorded,
        recorded,
        { status: 'failed', code: 'expression_error', message: expect.stringContaining('column n: ') },
      ])
      expect((await rows()).map(({ id, note, n }) => ({ id, note, n }))).toEqual([
        { id: 'a', note: 'batch.failed', n: 1 },
        { id: 'b', note: 'own: batch.failed', n: 7 },
        { id: 'job c', note: 'batch.failed', n: 1 },
      ])
      const { rows: ended } = await db.query<{ rule: string }>(
        'select rule from gemini_relay.delivery_rows where id = any ($1) order by id',
        [batch.map(({ id }) => id)],
      )
      expect(ended.map(({ rule }) => rule)).toEqual(['all', 'own', 'keyed'])
    })

    it('writes the row of another rule where both give the same key: the newest event stays', async () => {
      const sink = await started(config, rules)
      const sent = [2, 3].map((n) => ({ body: envelope('batch.failed', { id: 'a', n }) }))
      await sink.deliver(ofRules(['all', 'own'], await acceptAll(...sent)), never)
      expect((await rows()).map(({ id, n }) => ({ id, n }))).toEqual([{ id: 'a', n: 3 }])
    })
  })

  describe('with create: true', () => {
    const columns = {
      id: 'event.subject',
      at: { type: 'timestamptz', value: 'event.timestamp' },
      cost: { type: 'numeric(12,2)', value: 'event.data.?cost.orValue(null)' },
      tags: { type: 'text[]', value: 'event.data.?tags.orValue([])' },
    }

    it('makes the table with the declared types, and finds it as it is the next time', async () => {
      await started({ columns })
      await started({ columns })
      const { rows: found } = await db.query(
        `select attname, format_type(atttypid, atttypmod) as type from pg_attribute where attrelid = 'jobs'::regclass and attnum > 0 order by attnum`,
      )
      expect(found).toEqual([
        { attname: 'id', type: 'text' },
        { attname: 'at', type: 'timestamp with time zone' },
        { attname: 'cost', type: 'numeric(12,2)' },
        { attname: 'tags', type: 'text[]' },
        { attname: 'relay_event_time', type: 'timestamp with time zone' },
        { attname: 'relay_event_seq', type: 'bigint' },
      ])
    })

    it('makes it once when many processes start at the same time', async () => {
      for (let round = 0; round < 5; round++) {
        await db.query('drop table if exists jobs')
        await Promise.all(Array.from({ length: 8 }, () => started({ columns })))
      }
      expect(await rows()).toEqual([])
    })

    it('says which sink and what is wrong when it cannot be made', async () => {
      const unknownType = await complaint({ columns: { id: { type: 'tetx', value: 'event.subject' } } })
      expect([unknownType.code, unknownType.message]).toEqual([
        'sink_misconfigured',
        expect.stringMatching(/sink jobs: .*type "tetx" does not exist/),
      ])
      const unknownSchema = await complaint({ table: 'nowhere.jobs' })
      expect([unknownSchema.code, unknownSchema.message]).toEqual([
        'sink_misconfigured',
        expect.stringMatching(/sink jobs: .*schema "nowhere" does not exist/),
      ])
    })

    it('makes it in another schema, and in one of mixed case', async () => {
      await db.query('create schema "Sync"')
      const sink = await started({ table: 'Sync.Jobs' })
      const deliveries = await acceptAll({ body: envelope('batch.failed', { id: 'in schema' }) })
      expect(await sink.deliver(deliveries, never)).toEqual([{ status: 'recorded' }])
      expect(await rows('"Sync"."Jobs"')).toMatchObject([{ id: 'in schema', type: 'batch.failed' }])
      await db.query('drop schema "Sync" cascade')
    })
  })

  describe('with a table that is there', () => {
    it('names the missing table and how to make it', async () => {
      const error = await complaint({ create: false })
      expect(error).toMatchObject({ code: 'sink_misconfigured', message: 'sink jobs: there is no table jobs' })
      expect(error.hint).toContain('create: true')
      await db.query(error.hint?.replace(/^.*run: /, '') ?? '')
      await started({ create: false })
    })

    it('names every missing column, the unique index, and columns that nothing fills, all at once', async () => {
      await db.query(
        'create table jobs (type text, owner text not null, made timestamptz not null default now(), n bigint generated always as identity)',
      )
      const error = await complaint({ create: false })
      expect(error.code).toBe('sink_misconfigured')
      for (const part of [
        'column id ',
        'column relay_event_time ',
        'column relay_event_seq ',
        'unique index on (id)',
        'column owner ',
      ]) {
        expect(error.message).toContain(part)
      }
      for (const part of ['column type', 'column made', 'column n ']) expect(error.message).not.toContain(part)
    })

    it.each([
      ['a partial index', 'create unique index on jobs (id) where type is not null'],
      ['an index over more columns', 'create unique index on jobs (id, type)'],
      ['an index over an expression', 'create unique index on jobs (lower(id))'],
      ['a deferrable constraint', 'alter table jobs add unique (id) deferrable'],
      ['an index that is not unique', 'create index on jobs (id)'],
    ])('does not take %s for the unique index', async (_, statement) => {
      await db.query(`create table jobs (id text, type text, relay_event_time timestamptz, relay_event_seq bigint); ${statement}`)
      expect((await complaint({ create: false })).message).toContain('unique index on (id) is missing')
    })

    it('takes a unique index that has the key in another order and further columns beside it', async () => {
      await db.query(`create table jobs (id text, type text, note text, relay_event_time timestamptz, relay_event_seq bigint);
        create unique index on jobs (type, id) include (note)`)
      const sink = await started({ create: false, key: ['id', 'type'] })
      expect(await sink.deliver(await acceptAll({ body: envelope('batch.failed') }), never)).toEqual([{ status: 'recorded' }])
    })

    it('refuses order columns that are of another type', async () => {
      await db.query('create table jobs (id text primary key, type text, relay_event_time text, relay_event_seq boolean)')
      const { message } = await complaint({ create: false })
      expect(message).toContain('column relay_event_time is text')
      expect(message).toContain('column relay_event_seq is boolean')
    })

    it('writes a view that Postgres can write through only if it has the key: otherwise it says so', async () => {
      await db.query(`create table real_jobs (id text primary key, type text, relay_event_time timestamptz, relay_event_seq bigint);
        create view jobs as select * from real_jobs`)
      expect((await complaint({ create: false })).message).toContain('unique index on (id) is missing')
    })
  })

  describe('the order of events', () => {
    const early = '2026-11-21T10:00:00Z'
    const late = '2026-11-21T11:00:00Z'
    const body = (type: string, timestamp: string) => envelope(type, { id: 'job' }, timestamp)

    it('keeps the newer row when an older event comes after it', async () => {
      const sink = await started()
      const [newer, older] = await acceptAll({ body: body('batch.succeeded', late) }, { body: body('batch.failed', early) })
      if (newer === undefined || older === undefined) throw new Error('no delivery')
      for (const delivery of [newer, older]) expect(await sink.deliver([delivery], never)).toEqual([{ status: 'recorded' }])
      expect(await rows()).toMatchObject([
        { id: 'job', type: 'batch.succeeded', relay_event_time: new Date(late), relay_event_seq: newer.stored.id },
      ])
      expect(await stateOf(older)).toBe('delivered')
    })

    it('goes by the number of the event where the timestamps are the same', async () => {
      const sink = await started()
      const [first, second] = await acceptAll({ body: body('batch.failed', early) }, { body: body('batch.succeeded', early) })
      for (const delivery of [second, first]) if (delivery) await sink.deliver([delivery], never)
      expect(await rows()).toMatchObject([{ type: 'batch.succeeded', relay_event_seq: second?.stored.id }])
    })

    it('writes the row again for a replay of the event that wrote it', async () => {
      const sink = await started()
      const [delivery] = await acceptAll({ body: body('batch.failed', early) })
      if (delivery === undefined) throw new Error('no delivery')
      await sink.deliver([delivery], never)
      await db.query(`update jobs set type = 'somebody else wrote this'`)
      const { rows: replayed } = await db.query<{ id: string }>(
        `insert into gemini_relay.delivery_rows (event_id, rule, sink, replay, state, lease, expires_at)
         select event_id, rule, sink, 1, 'leased', lease, expires_at from gemini_relay.deliveries where id = $1 returning id`,
        [delivery.id],
      )
      const { group: _, ...single } = delivery
      expect(await sink.deliver([{ ...single, id: replayed[0]?.id ?? '', replay: 1 }], never)).toEqual([{ status: 'recorded' }])
      expect(await rows()).toMatchObject([{ type: 'batch.failed' }])
    })

    it.each([
      ['relay_event_time', 'null, 7'],
      ['relay_event_seq', `'${early}', null`],
    ])('overwrites a row that was there before the relay, with null in %s', async (_, order) => {
      await db.query(`create table jobs (id text primary key, type text, relay_event_time timestamptz, relay_event_seq bigint);
        insert into jobs values ('job', 'by hand', ${order})`)
      const sink = await started({ create: false })
      await sink.deliver(await acceptAll({ body: body('batch.failed', early) }), never)
      expect(await rows()).toMatchObject([{ type: 'batch.failed' }])
    })

    it('uses the receipt of an event without a timestamp', async () => {
      const sink = await started()
      const [delivery] = await acceptAll({ body: JSON.stringify({ type: 'batch.failed', data: { id: 'job' } }) })
      if (delivery === undefined) throw new Error('no delivery')
      await sink.deliver([delivery], never)
      expect(await rows()).toMatchObject([{ relay_event_time: new Date(delivery.stored.event.received_at) }])
    })

    it('writes the newest of several deliveries of one key in a batch, whatever their order, and counts all as delivered', async () => {
      const sink = await started()
      const sent = [3, 9, 1, 7].map((hour) => ({ body: body(`batch.at_${hour}`, `2026-11-21T0${hour}:00:00Z`) }))
      const deliveries = await acceptAll(...sent, { body: envelope('batch.other', { id: 'other job' }) })
      expect(await sink.deliver(deliveries, never)).toEqual(deliveries.map(() => ({ status: 'recorded' })))
      expect(await rows()).toMatchObject([
        { id: 'job', type: 'batch.at_9' },
        { id: 'other job', type: 'batch.other' },
      ])
      for (const delivery of deliveries) expect(await stateOf(delivery)).toBe('delivered')
    })
  })

  describe('values', () => {
    const one = (type: string, value: string, data: Record<string, unknown>) =>
      write({ id: 'job', ...data }, { columns: { id: 'event.subject', value: { type, value } } })

    it.each<[what: string, type: string, data: unknown, stored: unknown]>([
      ['null in text', 'text', null, null],
      ['null in jsonb', 'jsonb', null, null],
      ['text', 'text', `it's "quoted" \\ {} \n`, `it's "quoted" \\ {} \n`],
      ['empty text', 'text', '', ''],
      ['text with \\u0000', 'text', 'a\0b', 'a\uFFFDb'],
      ['text with half a surrogate pair', 'text', 'a\uD800b', 'a\uFFFDb'],
      ['text of four-byte characters', 'text', '🚀', '🚀'],
      ['a number in text', 'text', 1.5, '1.5'],
      ['an integer', 'integer', -7, -7],
      ['a large integer in bigint', 'bigint', 9_007_199_254_740_991, '9007199254740991'],
      ['digits in bigint', 'bigint', '9223372036854775807', '9223372036854775807'],
      ['a huge number in numeric', 'numeric', 1e30, '1000000000000000000000000000000'],
      ['a fraction in numeric(12,2)', 'numeric(12,2)', 2.345, '2.35'],
      ['a small number in float8', 'double precision', 5e-324, 5e-324],
      ['a boolean', 'boolean', true, true],
      ['a boolean in text', 'text', false, 'false'],
      ['an object in jsonb', 'jsonb', { a: [1, { b: null }], 'c"': 'ü' }, { a: [1, { b: null }], 'c"': 'ü' }],
      ['an object in json', 'json', { b: 1, a: 2 }, { b: 1, a: 2 }],
      ['an object in text', 'text', { a: 1 }, '{"a":1}'],
      ['a list in jsonb', 'jsonb', [1, 'two', null, [true]], [1, 'two', null, [true]]],
      ['text in jsonb', 'jsonb', 'just "text"', 'just "text"'],
      ['a number in jsonb', 'jsonb', 12.5, 12.5],
      ['\\u0000 in jsonb, in a key too', 'jsonb', { 'k\0': 'v\0' }, { 'k\uFFFD': 'v\uFFFD' }],
      ['half a surrogate pair in jsonb', 'jsonb', ['\uD800x', 'x\uDFFF', '🚀'], ['\uFFFDx', 'x\uFFFD', '🚀']],
      [
        'the six characters of an escape in jsonb',
        'jsonb',
        ['\\u0000', '\\\\u0000', '\\\0', '\\ud800'],
        ['\\u0000', '\\\\u0000', '\\\uFFFD', '\\ud800'],
      ],
      [
        'a list in text[]',
        'text[]',
        ['a', '', 'NULL', null, '{"}', 'b\\c,d', 'x\0'],
        ['a', '', 'NULL', null, '{"}', 'b\\c,d', 'x\uFFFD'],
      ],
      ['an empty list in text[]', 'text[]', [], []],
      [
        'a list of lists in integer[]',
        'integer[]',
        [
          [1, 2],
          [3, null],
        ],
        [
          [1, 2],
          [3, null],
        ],
      ],
      ['a list in jsonb[]', 'jsonb[]', [{ a: 1 }, 'text', null], [{ a: 1 }, 'text', null]],
      ['a list in text', 'text', ['a'], '["a"]'],
      ['a time in timestamptz', 'timestamptz', '2026-11-21T10:00:00.123456+02:00', new Date('2026-11-21T08:00:00.123Z')],
      ['a time without an offset, as UTC', 'timestamptz', '2026-11-21T10:00:00', new Date('2026-11-21T10:00:00Z')],
      ['exactly as many characters as fit', 'varchar(3)', 'äöü', 'äöü'],
    ])('keeps %s', async (_, type, data, stored) => {
      const { outcome, rows: found } = await one(type, 'event.data.value', { value: data })
      expect([outcome, found]).toMatchObject([{ status: 'recorded' }, [{ id: 'job', value: stored }]])
    })

    it.each<[what: string, type: string, data: unknown]>([
      ['text in a number', 'integer', 'seven'],
      ['a fraction in an integer', 'integer', 7.5],
      ['a number over its range', 'smallint', 40_000],
      ['no date in timestamptz', 'timestamptz', 'yesterday-ish'],
      ['text that is too long: it is not cut', 'varchar(3)', 'four'],
      ['text that is too long for char(n)', 'char(3)', 'four'],
      ['an object in a number', 'integer', { a: 1 }],
      ['one bad element in a list', 'integer[]', [1, 'two']],
      ['lists of unlike length', 'integer[]', [[1, 2], [3]]],
    ])('rejects %s', async (_, type, data) => {
      const { outcome, rows: found } = await one(type, 'event.data.value', { value: data })
      expect(outcome).toMatchObject({ status: 'failed', code: 'value_rejected', message: expect.stringContaining('sink jobs') })
      expect(found).toEqual([])
    })

    it('does not take two long keys for one', async () => {
      const sink = await started({ columns: { id: { type: 'varchar(4)', value: 'event.subject' } } })
      const deliveries = await acceptAll(...['job_1', 'job_2'].map((id) => ({ body: envelope('batch.failed', { id }) })))
      expect(await sink.deliver(deliveries, never)).toMatchObject([{ code: 'value_rejected' }, { code: 'value_rejected' }])
    })

    it('writes keys that become one only in the table', async () => {
      const sink = await started({ columns: { id: { type: 'numeric(9,0)', value: 'event.data.n' }, type: 'event.type' } })
      const deliveries = await acceptAll(
        { body: envelope('batch.failed', { n: 1.2 }, '2026-11-21T11:00:00Z') },
        { body: envelope('batch.succeeded', { n: 1.4 }, '2026-11-21T10:00:00Z') },
      )
      expect(await sink.deliver(deliveries, never)).toEqual([{ status: 'recorded' }, { status: 'recorded' }])
      expect(await rows()).toMatchObject([{ id: '1', type: 'batch.failed' }])
    })

    it('keeps columns of any name apart', async () => {
      const { outcome, rows: found } = await write(
        { id: 'job' },
        {
          key: ['order'],
          columns: {
            order: 'event.subject',
            Select: "'S'",
            select: "'s'",
            t: "'t'",
            excluded: "'e'",
            incoming: "'i'",
            relay_delivery: "'d'",
            relay_lease: "'l'",
          },
        },
      )
      expect(outcome).toEqual({ status: 'recorded' })
      expect(found).toMatchObject([
        { order: 'job', Select: 'S', select: 's', t: 't', excluded: 'e', incoming: 'i', relay_delivery: 'd', relay_lease: 'l' },
      ])
    })

    it('upserts on a key of several columns', async () => {
      const sink = await started({ key: ['id', 'type'] })
      const sent = ['batch.failed', 'batch.succeeded', 'batch.failed'].map((type) => ({ body: envelope(type, { id: 'job' }) }))
      expect(await sink.deliver(await acceptAll(...sent), never)).toEqual(sent.map(() => ({ status: 'recorded' })))
      expect(await rows()).toMatchObject([
        { id: 'job', type: 'batch.failed' },
        { id: 'job', type: 'batch.succeeded' },
      ])
    })

    it('rejects a null in the key, and names the column', async () => {
      const { outcome } = await write(
        { id: 'job' },
        { key: ['id', 'part'], columns: { id: 'event.subject', part: 'event.data.?part' } },
      )
      expect(outcome).toMatchObject({ code: 'value_rejected', message: 'sink jobs: key column part is null' })
    })

    it('reports an expression that this event has no value for as expression_error, with the column', async () => {
      const { outcome } = await write({ id: 'job' }, { columns: { id: 'event.subject', part: 'event.data.part' } })
      expect(outcome).toMatchObject({ code: 'expression_error', message: expect.stringContaining('column part') })
    })
  })

  describe('one bad value in a batch of many', () => {
    /** 20 deliveries, of which the number 13 is odd. */
    const mixed = (odd: unknown) =>
      acceptAll(
        ...Array.from({ length: 20 }, (_, n) => ({
          body: envelope('batch.failed', { id: `job_${n}`, value: n === 13 ? odd : n }),
        })),
      )

    it('costs only its own delivery', async () => {
      const sink = await started({ columns: { id: 'event.subject', value: { type: 'integer', value: 'event.data.value' } } })
      const outcomes = await sink.deliver(await mixed('thirteen'), never)
      expect(outcomes.flatMap((outcome, n) => (outcome.status === 'recorded' ? [] : [[n, outcome]]))).toMatchObject([
        [13, { code: 'value_rejected' }],
      ])
      expect(await rows()).toHaveLength(19)
    })

    it('costs only its own delivery too when a trigger of the table refuses it', async () => {
      const sink = await started({ columns: { id: 'event.subject', value: { type: 'integer', value: 'event.data.value' } } })
      await db.query(`create function refuse() returns trigger language plpgsql as $$ begin
          if new.value = -1 then raise exception 'no negative values here'; end if; return new; end $$;
        create trigger refuse before insert or update on jobs for each row execute function refuse()`)
      const outcomes = await sink.deliver(await mixed(-1), never)
      const failures = outcomes.flatMap((outcome, n) => (outcome.status === 'recorded' ? [] : [[n, outcome]]))
      expect(failures).toMatchObject([[13, { code: 'rejected', message: expect.stringContaining('no negative values here') }]])
      expect(await rows()).toHaveLength(19)
    })
  })

  describe('a table that changes while the relay runs', () => {
    const columns = { id: 'event.subject', value: { type: 'text', value: 'event.data.value' } }
    const next = (value: unknown) => acceptAll({ body: envelope('batch.failed', { id: 'job', value }) })

    it('is column_missing when a column is dropped, and goes on when it is back, also as another type', async () => {
      const sink = await started({ columns })
      expect(await sink.deliver(await next('1'), never)).toEqual([{ status: 'recorded' }])
      await db.query('alter table jobs drop column value')
      expect(await sink.deliver(await next('2'), never)).toMatchObject([
        { code: 'column_missing', message: expect.stringContaining('value') },
      ])
      await db.query('alter table jobs add column value integer')
      expect(await sink.deliver(await next('3'), never)).toEqual([{ status: 'recorded' }])
      expect(await rows()).toMatchObject([{ value: 3 }])
    })

    it('goes on when a column gets another type', async () => {
      const sink = await started({ columns })
      await sink.deliver(await next('1'), never)
      await db.query('alter table jobs alter value type jsonb using to_jsonb(value)')
      expect(await sink.deliver(await next({ a: 1 }), never)).toEqual([{ status: 'recorded' }])
      expect(await rows()).toMatchObject([{ value: { a: 1 } }])
    })

    it('goes on when the table was made anew', async () => {
      const sink = await started({ columns })
      await sink.deliver(await next('1'), never)
      await db.query(
        `drop table jobs; create table jobs (id text primary key, value integer, relay_event_time timestamptz, relay_event_seq bigint)`,
      )
      expect(await sink.deliver(await next('2'), never)).toEqual([{ status: 'recorded' }])
      expect(await rows()).toMatchObject([{ value: 2 }])
    })

    it('is column_missing, naming the index, when the unique index is dropped', async () => {
      await db.query(
        'create table jobs (id text, value text, relay_event_time timestamptz, relay_event_seq bigint); create unique index by_id on jobs (id)',
      )
      const sink = await started({ columns, create: false })
      await sink.deliver(await next('1'), never)
      await db.query('drop index by_id')
      expect(await sink.deliver(await next('2'), never)).toMatchObject([
        { code: 'column_missing', message: expect.stringContaining('unique index on (id)') },
      ])
    })

    it('is column_missing when the table is dropped and may not be made', async () => {
      await started({ columns })
      const sink = await started({ columns, create: false })
      await sink.deliver(await next('1'), never)
      await db.query('drop table jobs')
      expect(await sink.deliver(await next('2'), never)).toMatchObject([
        { code: 'column_missing', message: expect.stringContaining('no table jobs') },
      ])
    })

    it('is unauthorized, row by row, when the table does not let the relay write one', async () => {
      const sink = await started({ columns })
      await db.query(`create function refuse() returns trigger language plpgsql as $$ begin
          if new.value = 'secret' then raise insufficient_privilege; end if; return new; end $$;
        create trigger refuse before insert or update on jobs for each row execute function refuse()`)
      const deliveries = await acceptAll(
        ...['a', 'secret', 'b'].map((value) => ({ body: envelope('batch.failed', { id: value, value }) })),
      )
      expect(await sink.deliver(deliveries, never)).toMatchObject([
        { status: 'recorded' },
        { code: 'unauthorized' },
        { status: 'recorded' },
      ])
    })
  })

  describe('exactly once', () => {
    beforeEach(async () => {
      await db.query(`create table jobs (id text primary key, type text, relay_event_time timestamptz, relay_event_seq bigint);
        create table audit (id text not null);
        create function remember() returns trigger language plpgsql as $$ begin insert into audit values (new.id); return new; end $$;
        create trigger remember after insert or update on jobs for each row execute function remember()`)
    })

    it('writes nothing when a delivery is attempted again, alone or among others', async () => {
      const sink = await started({ create: false })
      const [first, second] = await acceptAll(
        { body: envelope('batch.failed', { id: 'a' }) },
        { body: envelope('batch.failed', { id: 'b' }) },
      )
      if (first === undefined || second === undefined) throw new Error('no delivery')
      expect(await sink.deliver([first], never)).toEqual([{ status: 'recorded' }])
      expect(await sink.deliver([first], never)).toEqual([{ status: 'lost' }])
      expect(await sink.deliver([first, second], never)).toEqual([{ status: 'lost' }, { status: 'recorded' }])
      expect(await rows('audit')).toEqual([{ id: 'a' }, { id: 'b' }])
    })

    it('writes nothing for a lease that somebody took over', async () => {
      const sink = await started({ create: false })
      const [delivery] = await acceptAll({ body: envelope('batch.failed', { id: 'a' }) })
      if (delivery === undefined) throw new Error('no delivery')
      await db.query('delete from gemini_relay.leases where id = $1', [delivery.lease.id])
      expect(await sink.deliver([delivery], never)).toEqual([{ status: 'lost' }])
      expect(await rows('audit')).toEqual([])
      expect(await stateOf(delivery)).toBe('leased')
    })

    it('is unavailable when its connection is ended in mid-statement, and writes once after', async () => {
      const sink = await started({ create: false })
      const [delivery] = await acceptAll({ body: envelope('batch.failed', { id: 'a' }) })
      if (delivery === undefined) throw new Error('no delivery')
      const outcomes = await whileLocked(
        () => sink.deliver([delivery], never),
        async (pid) => void (await db.query('select pg_terminate_backend($1)', [pid])),
      )
      expect(outcomes).toMatchObject([{ code: 'unavailable' }])
      expect(await sink.deliver([delivery], never)).toEqual([{ status: 'recorded' }])
      expect(await rows('audit')).toEqual([{ id: 'a' }])
    })

    it('changes nothing after an attempt that was given up', async () => {
      const sink = await started({ create: false })
      const [delivery] = await acceptAll({ body: envelope('batch.failed', { id: 'a' }) })
      if (delivery === undefined) throw new Error('no delivery')
      const controller = new AbortController()
      const outcomes = await whileLocked(
        () => sink.deliver([delivery], controller.signal),
        async () => {
          controller.abort()
          // As the deliver loop would: the attempt failed, the delivery has its row and waits for its next.
          await makeSingleRows(db)
          await db.query(
            `update gemini_relay.delivery_rows set state = 'pending', due_at = now() where id = $1 and state = 'leased'`,
            [delivery.id],
          )
        },
      )
      expect(outcomes).toMatchObject([{ code: 'timeout' }])
      await eventually(
        () =>
          db.query(
            `select pid from pg_stat_activity where datname = current_database() and state = 'active' and pid <> pg_backend_pid() and query like '%into public.%'`,
          ),
        (found) => found.rows.length === 0,
      )
      expect([await rows('audit'), await stateOf(delivery)]).toEqual([[], 'pending'])
    })
  })

  it('is unavailable while the database of its own is away, from the start on, and checks the table when it is back', async () => {
    const away = await createTestDatabase()
    await away.drop()
    const sink = tableSink({ relayUrl: database.url, config: { url: 'postgres://nobody:secret@127.0.0.1:1/nowhere' } })
    sinks.push(sink)
    await sink.start()
    const outcomes = await sink.deliver(await acceptAll({ body: envelope('batch.failed') }), never)
    expect(outcomes).toMatchObject([{ code: 'unavailable', message: expect.stringContaining('127.0.0.1:1/nowhere') }])
    expect(JSON.stringify(outcomes)).not.toContain('secret')
  })
})
