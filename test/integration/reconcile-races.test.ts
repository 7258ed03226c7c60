/** One end, one event with deliveries: also when webhook and reconciler come at the same time, and when a reconciler dies or freezes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { PoolClient } from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { startAcceptor, verified } from '../setup/accepted.ts'
import { binary, writeConfig } from '../setup/relay-process.ts'
import { startReconciling, type Reconciling } from '../setup/reconciling.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { envelope, eventually, post, signedHeaders } from '../setup/sender.ts'

let at: Reconciling
let relays: TestRelay[]

beforeAll(async () => {
  at = await startReconciling()
  // What a careful administrator may have done: nothing here may depend on it.
  const [{ name } = { name: '' }] = (await at.db.query<{ name: string }>('select current_database() as name')).rows
  await at.db.query(`alter database ${name} set default_transaction_isolation = 'repeatable read'`)
  relays = await Promise.all([startRelay(at.config), startRelay(at.config)])
  await at.sendTo(relays[0]?.url ?? '')
})
afterAll(async () => {
  await Promise.all(relays.map((relay) => relay.stop()))
  await at?.close()
})

async function send(type: string, subject: string, id = `msg_${Math.random()}`) {
  const body = envelope(type, { id: subject })
  return await post(`${relays[0]?.url}/webhooks/gemini`, { id, body, headers: signedHeaders({ id, body }, at.config.env.SECRET) })
}

const waiting = () => at.count(`pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)

const reconcilerWaiting = () =>
  at.count(
    `pg_stat_activity where datname = current_database() and application_name = 'gemini-relay cli' and wait_event_type = 'Lock'`,
  )

const owedBy = (subject: string, scheme: string) =>
  at.count(
    `gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where e.subject = '${subject}' and e.scheme ${scheme}`,
  )

/** Its transaction ends with the test. */
async function connected(): Promise<PoolClient> {
  const client = await at.db.connect()
  onTestFinished(() => client.release(true))
  return client
}

/** What the reconciler does in its transaction, up to its commit. */
async function claimed(client: PoolClient, name: string): Promise<void> {
  await client.query('begin isolation level read committed; lock table gemini_relay.job_ends in exclusive mode')
  await client.query(
    `with made as (
       insert into gemini_relay.events (source, webhook_id, scheme, type, subject, received_at, body)
       values ('gemini', 'reconciled:batch.succeeded:' || $1, 'reconciled', 'batch.succeeded', $1, now(), '{}') returning id
     ) insert into gemini_relay.job_ends
       select 'gemini', subject, type, id from made cross join unnest(array[$1, $2]) s (subject) cross join unnest(array['batch.succeeded', 'batch.completed']) t (type)`,
    [name, name.replace('batches/', '')],
  )
}

describe('a webhook that waits for the reconciler', () => {
  // The first of its form and one whose statement is prepared: they take their locks at different moments.
  it.each(['a', 'b', 'c'])('alone, sees what it made (%s)', async (name) => {
    const client = await connected()
    await claimed(client, `batches/alone-${name}`)
    const answer = send('batch.succeeded', `batches/alone-${name}`)
    await eventually(waiting, (count) => count === 1)
    await client.query('commit')
    expect(await answer).toMatchObject({ status: 200, body: { status: 'received' } })
    expect(await owedBy(`batches/alone-${name}`, '= $$hmac$$')).toBe(0)
  })

  it.each(['a', 'b', 'c'])('in a group, sees what it made, and the others owe what they owe (%s)', async (name) => {
    const [holder, client] = [await connected(), await connected()]
    const subject = `batches/group-${name}`
    await claimed(client, subject)
    // A request that waits for something else, so that those behind it come as a group.
    const first = `msg_first_${name}`
    await holder.query(`begin; insert into gemini_relay.events (source, webhook_id, scheme, received_at, body)
      values ('gemini', '${first}', 'hmac', now(), '')`)
    const answers = [send('interaction.completed', 'first', first)]
    await eventually(waiting, (count) => count === 1)
    for (const [type, id] of [
      ['batch.succeeded', subject],
      ['batch.completed', `group-${name}`],
      ['batch.failed', subject],
      ['interaction.completed', subject],
      ['batch.succeeded', `${subject}-another`],
    ] as const)
      answers.push(send(type, id))
    await new Promise((resolve) => setTimeout(resolve, 100))
    await holder.query('rollback')
    await eventually(waiting, (count) => count === 1)
    await client.query('commit')
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
    const { rows } = await at.db.query(
      `select e.type, e.subject, (select count(*)::int from gemini_relay.deliveries d where d.event_id = e.id) as owed
       from gemini_relay.events e where e.scheme = 'hmac' and e.subject like $1 order by 1, 2`,
      [`%group-${name}%`],
    )
    expect(rows).toEqual([
      { type: 'batch.completed', subject: `group-${name}`, owed: 0 },
      { type: 'batch.failed', subject, owed: 2 },
      { type: 'batch.succeeded', subject, owed: 0 },
      { type: 'batch.succeeded', subject: `${subject}-another`, owed: 2 },
      { type: 'interaction.completed', subject, owed: 0 },
    ])
  })
})

it('gives back the places that were kept for what is not owed, and hands nothing over', async () => {
  const held = new Map<string, number>()
  const add = (what: string, count = 1) => void held.set(what, (held.get(what) ?? 0) + count)
  const accepting = await startAcceptor(at.database.url, {
    desk: {
      reserve: () => (add('reserved'), true),
      cancel: () => add('cancelled'),
      overflowed: () => add('overflowed'),
      handOver: (deliveries) => add('handed over', deliveries.length),
    },
  })
  const client = await connected()
  await claimed(client, 'batches/places')
  await client.query('commit')
  const end = (id: string) => accepting.acceptor.accept(verified({ body: envelope('batch.succeeded', { id }) }))
  await end('places')
  expect(Object.fromEntries(held)).toEqual({ reserved: 1, cancelled: 1 })
  await Promise.all(['first', 'places', 'other', 'batches/places', 'another'].map(end))
  expect(Object.fromEntries(held)).toEqual({ reserved: 6, cancelled: 3, 'handed over': 3 })
  await accepting.close()
})

describe('a reconciler', () => {
  it('waits for webhooks that are being stored, and makes nothing of what they tell', async () => {
    await at.emulator.steer('POST', '/sender', { paused: true })
    const [name = ''] = await at.batches(1, { after: '1ms' })
    const client = await connected()
    // A webhook that was inserted and not committed: accept's own statement, held up.
    await client.query('begin; lock table gemini_relay.leases in exclusive mode')
    const answer = send('batch.succeeded', name)
    await eventually(waiting, (count) => count === 1)
    const reconciled = at.reconciled()
    await eventually(reconcilerWaiting, (count) => count === 1)
    await client.query('commit')
    expect(await answer).toMatchObject({ status: 200 })
    await reconciled
    expect(await at.count(`gemini_relay.events where subject = '${name}' and scheme = 'reconciled'`)).toBe(0)
    expect(await owedBy(name, '= $$hmac$$')).toBe(2)
  })

  it('makes one event with deliveries of each end, of webhooks and reconcilers that run at the same time on two relays', async () => {
    await at.reconciled()
    for (let round = 0; round < 3; round++) {
      await at.emulator.steer('POST', '/sender', { paused: true })
      const uris = [`${relays[1]?.url}/webhooks/gemini`]
      const [here, there] = await Promise.all([
        at.batches(100, { after: '1ms' }),
        at.batches(100, { after: '1ms', webhookConfig: { uris } }),
      ])
      const names = [...here, ...there]
      const reconcilers = [at.reconciled(), at.reconciled()]
      // They take a while to start: it is then that the webhooks begin to come.
      await eventually(
        () => at.count(`pg_stat_activity where datname = current_database() and application_name = 'gemini-relay cli'`),
        (count) => count > 0,
      )
      await at.emulator.steer('POST', '/sender', { paused: false })
      await Promise.all(reconcilers)
      await eventually(
        async () =>
          (await at.db.query(`select from gemini_relay.events where scheme <> 'reconciled' and subject = any ($1)`, [names]))
            .rowCount,
        (rows) => rows === 200,
      )
      const { rows } = await at.db.query<{ subject: string; events: string; owed: string }>(
        `select e.subject, count(distinct d.event_id) as events, count(*) as owed
         from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where e.subject = any ($1) group by 1`,
        [names],
      )
      expect(rows.filter(({ events, owed }) => events !== '1' || owed !== '2')).toEqual([])
      expect(rows.length).toBe(200)
    }
  })
})

describe('a reconciler that comes to harm', () => {
  afterEach(async () => {
    await at.db.query('drop function if exists public.hold_up() cascade')
  })

  /** Makes it wait inside its fourth transaction. */
  async function holdUp(seconds: number): Promise<number> {
    const before = await at.count('gemini_relay.job_ends')
    await at.db.query(`
      create function public.hold_up() returns trigger language plpgsql as $$
      begin
        if (select count(*) from gemini_relay.job_ends) > ${before + 3 * 400} then perform pg_sleep(${seconds}); end if;
        return null;
      end $$;
      create trigger hold_up after insert on gemini_relay.job_ends execute function public.hold_up()`)
    return before
  }

  const asleep = () => at.count(`pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'`)

  async function stuck(batches: number, seconds: number) {
    await at.emulator.steer('POST', '/sender', { paused: true })
    await at.reconciled()
    await at.batches(batches, { after: '1ms' })
    await holdUp(seconds)
    const config = writeConfig(at.config.yaml)
    const env = { PATH: process.env.PATH, ...at.config.env }
    const child = spawn(process.execPath, [binary, 'reconcile', '-c', config.file], { env, stdio: 'ignore' })
    const exited = once(child, 'exit').then(() => config.remove())
    await eventually(asleep, (count) => count === 1)
    return { child, exited }
  }

  it('by a kill half-way, leaves whole events, and the next one makes the rest', async () => {
    const { child, exited } = await stuck(500, 60)
    child.kill('SIGKILL')
    await exited
    await at.db.query(`select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'PgSleep'`)
    await at.db.query('drop function public.hold_up() cascade')
    expect(await at.reconciled()).toMatchObject({ made: 200 })
    expect(await at.reconciled()).toMatchObject({ made: 0 })
    const made = `gemini_relay.events e where scheme = 'reconciled' and body <> '{}'`
    expect(await at.count(`${made} and (select count(*) from gemini_relay.deliveries d where d.event_id = e.id) <> 2`)).toBe(0)
    expect(await at.count(`${made} and id not in (select event_id from gemini_relay.job_ends)`)).toBe(0)
  })

  it('by being stopped with its lock, does not keep webhooks away', async () => {
    const { child, exited } = await stuck(400, 0.5)
    child.kill('SIGSTOP')
    try {
      expect(
        await eventually(
          () => send('batch.succeeded', 'batches/meanwhile'),
          ({ status }) => status === 200,
        ),
      ).toMatchObject({
        body: { status: 'received' },
      })
      expect(await owedBy('batches/meanwhile', '= $$hmac$$')).toBe(2)
    } finally {
      child.kill('SIGKILL')
      await exited
    }
  })
})
