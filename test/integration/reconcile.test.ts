/** What is made of a batch's end, and what becomes of webhooks that tell the same end. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startReconciling, type NewBatch, type Reconciling } from '../setup/reconciling.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { envelope, eventually, post } from '../setup/sender.ts'
import { pruneBatch } from '../../src/store/prune.ts'
import { createPool } from '../../src/store/pool.ts'
import { silent } from '../setup/accepted.ts'
import { signedHeaders } from '../setup/sender.ts'

/** Every way in which deliveries are kept: in groups, as rows that wait for their turn, and as rows that are dead from the beginning. */
const rules = `
  ordered: { type: http, url: "\${RECEIVER}", order: subject, allow_private: true }
rules:
  - { name: ends, when: { type: batch.* }, to: [jobs, forward] }
  - { name: turns, when: { type: batch.expired }, to: [ordered] }
  - { name: odd, when: { type: batch.cancelled }, if: 'event.data.id + 1 > 2', to: [forward] }
`

let at: Reconciling
let relay: TestRelay

beforeAll(async () => {
  at = await startReconciling({ yaml: rules })
  relay = await startRelay(at.config)
  await at.sendTo(relay.url)
})
afterAll(async () => {
  await relay?.stop()
  await at?.close()
})

beforeEach(async () => {
  await at.emulator.steer('POST', '/settings', { batch_ids: 'name' })
  await pause(true)
})

const pause = (paused: boolean) => at.emulator.steer('POST', '/sender', { paused })

interface Event {
  webhook_id: string
  scheme: string
  type: string
  subject: string
  body: { type: string; version: string; timestamp: string; data: Record<string, unknown> }
  /** Of deliveries, whatever became of them. */
  owed: number
}

/** By the batch's number, however it is spelled. */
async function eventsOf(name: string): Promise<Event[]> {
  const { rows } = await at.db.query<Event & { body: Buffer }>(
    `select webhook_id, scheme, type, subject, body, (select count(*)::int from gemini_relay.deliveries d where d.event_id = e.id) as owed
     from gemini_relay.events e where subject in ($1, $2) order by id`,
    [name, name.replace('batches/', '')],
  )
  return rows.map((row) => ({ ...row, body: JSON.parse(row.body.toString()) }))
}

async function ended(batch: NewBatch = {}): Promise<string> {
  const [name = ''] = await at.batches(1, { after: '1ms', ...batch })
  await eventually(
    async () => JSON.stringify((await at.emulator.steer('GET', '/jobs')).body.jobs),
    (jobs) => !jobs.includes('"end":null'),
  )
  return name
}

async function arrived(name: string, count = 1): Promise<Event[]> {
  await pause(false)
  return await eventually(
    () => eventsOf(name),
    ({ length }) => length === count,
  )
}

/** A webhook of our own. */
const send = (type: string, id: string) => post(`${relay.url}/webhooks/gemini`, { ...signed(envelope(type, { id })) })

function signed(body: string) {
  const id = `msg_${Math.random()}`
  return { id, body, headers: signedHeaders({ id, body }, at.config.env.SECRET) }
}

describe('an event that is made', () => {
  it.each([
    ['succeeded, with its input in a file', { end: 'succeeded', file: 'files/input' }],
    ['succeeded, with its requests in the call', { end: 'succeeded' }],
    ['failed', { end: 'failed' }],
    ['cancelled', { end: 'cancelled' }],
    ['expired', { end: 'expired' }],
  ] as const)('of a batch that %s says what its webhook says', async (_, batch) => {
    const told = await ended(batch)
    const [webhook] = await arrived(told)
    await pause(true)
    const name = await ended(batch)
    await at.reconciled()
    const [made, ...more] = await eventsOf(name)
    expect(more).toEqual([])
    expect(made).toMatchObject({
      webhook_id: `reconciled:batch.${batch.end}:${name}`,
      scheme: 'reconciled',
      type: `batch.${batch.end}`,
      subject: name,
      owed: webhook?.owed,
    })
    expect(made?.owed).toBeGreaterThanOrEqual(2)
    const asTold = JSON.stringify(webhook?.body.data).replaceAll(told.replace('batches/', ''), name.replace('batches/', ''))
    expect(made?.body).toEqual({
      type: `batch.${batch.end}`,
      version: 'v1',
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
      data: JSON.parse(asTold),
    })
  })

  it('of a batch that was to be told elsewhere is made too', async () => {
    const name = await ended({ webhookConfig: { uris: ['https://elsewhere.example.com/'], userMetadata: { team: 'a' } } })
    await at.reconciled()
    expect(await eventsOf(name)).toMatchObject([{ scheme: 'reconciled', owed: 2 }])
  })

  it('has the moment of the end for its time', async () => {
    const name = await ended()
    await at.reconciled()
    const answer = await fetch(`${at.emulator.url}/v1beta/${name}`, { headers: { 'x-goog-api-key': 'test-key' } })
    const { metadata }: { metadata: { endTime: string } } = JSON.parse(await answer.text())
    const [made] = await eventsOf(name)
    expect(made?.body.timestamp).toBe(metadata.endTime)
  })

  it('spells the id as the last webhook of a batch did', async () => {
    await at.emulator.steer('POST', '/settings', { batch_ids: 'bare' })
    const told = await ended()
    const [webhook] = await arrived(told)
    expect(webhook?.subject).toBe(told.replace('batches/', ''))
    await pause(true)
    const name = await ended()
    await at.reconciled()
    expect(await eventsOf(name)).toMatchObject([
      { webhook_id: `reconciled:batch.succeeded:${name}`, subject: name.replace('batches/', '') },
    ])
    // Nothing is learnt from what we made, nor from what is no batch's end.
    await arrived(name, 2)
    await send('batch.succeeded', 'batches/as-usual')
    await send('interaction.completed', 'bare')
    await pause(true)
    const other = await ended()
    await at.reconciled()
    expect(await eventsOf(other)).toMatchObject([{ subject: other }])
  })
})

describe('a webhook that comes after the event was made', () => {
  it.each(['succeeded', 'failed', 'cancelled', 'expired'] as const)('is stored, and owes nothing: %s', async (end) => {
    const name = await ended({ end })
    await at.reconciled()
    const [made] = await eventsOf(name)
    const all = await arrived(name, 2)
    expect(all).toMatchObject([
      { scheme: 'reconciled', owed: made?.owed },
      { scheme: 'hmac', owed: 0 },
    ])
  })

  it('is so in every spelling, however many come, alone or together', async () => {
    const name = await ended()
    const bare = name.replace('batches/', '')
    await at.reconciled()
    const sent = [
      ['batch.succeeded', name],
      ['batch.completed', name],
      ['batch.succeeded', bare],
      ['batch.completed', bare],
    ] as const
    for (const [type, id] of sent) expect(await send(type, id)).toMatchObject({ status: 200, body: { status: 'received' } })
    await Promise.all(Array.from({ length: 10 }, () => sent.map(([type, id]) => send(type, id))).flat())
    const events = await eventsOf(name)
    expect(events.map(({ owed }) => owed)).toEqual([2, ...Array.from({ length: 44 }, () => 0)])
  })

  it('owes what it owes where it tells another end, or comes to another source', async () => {
    const name = await ended()
    await at.reconciled()
    await send('batch.failed', name)
    await send('batch.succeeded', `${name}0`)
    await send('batch.started', name)
    expect((await eventsOf(name)).map(({ type, owed }) => [type, owed])).toEqual([
      ['batch.succeeded', 2],
      ['batch.failed', 2],
      ['batch.started', 2],
    ])
    expect(await eventsOf(`${name}0`)).toMatchObject([{ owed: 2 }])
    await at.db.query(`update gemini_relay.job_ends set source = 'another' where subject = $1`, [name])
    await send('batch.succeeded', name)
    expect((await eventsOf(name)).at(-1)).toMatchObject({ owed: 2 })
  })
})

describe('a webhook that came before', () => {
  it.each([
    ['batch.succeeded', 'batches/'],
    ['batch.completed', 'batches/'],
    ['batch.succeeded', ''],
    ['batch.completed', ''],
  ])('as %s of %s… leaves nothing to make', async (type, prefix) => {
    const name = await ended()
    await send(type, prefix + name.replace('batches/', ''))
    const { made } = await at.reconciled()
    expect(made).toBe(0)
    expect(await eventsOf(name)).toMatchObject([{ scheme: 'hmac', owed: 2 }])
  })

  it('as another end, or of another source, is no event of this one', async () => {
    const name = await ended()
    await send('batch.expired', name)
    expect(await at.reconciled()).toMatchObject({ made: 1 })
    expect(await eventsOf(name)).toMatchObject([{ type: 'batch.expired' }, { type: 'batch.succeeded', owed: 2 }])
  })

  it('keeps its deliveries when another one tells the same end', async () => {
    await send('batch.succeeded', 'batches/twice')
    await send('batch.completed', 'twice')
    expect((await eventsOf('batches/twice')).map(({ owed }) => owed)).toEqual([2, 2])
  })
})

it('has its row of job_ends go with its event, when that is pruned', async () => {
  await ended()
  await at.reconciled()
  const pool = createPool({ url: at.database.url, part: 'test', max: 1, statementTimeoutMs: 10_000, log: silent })
  await eventually(
    () => at.count(`gemini_relay.deliveries where state in ('pending', 'leased')`),
    (open) => open === 0,
  )
  expect(await at.count('gemini_relay.job_ends')).toBeGreaterThan(0)
  expect(await at.count('(select distinct event_id from gemini_relay.job_ends) e')).toBe(
    await at.count(`gemini_relay.events where scheme = 'reconciled'`),
  )
  await at.db.query(`update gemini_relay.events set received_at = received_at - interval '40 days'`)
  // Delivery groups go with their leases, some seconds after their deliveries.
  await eventually(
    async () => {
      for (let next: string | undefined = '0'; next !== undefined;) ({ next } = await pruneBatch(pool, 86_400_000, next))
      return await at.count('gemini_relay.job_ends')
    },
    (left) => left === 0,
  )
  expect(await at.count('gemini_relay.events')).toBe(0)
  await pool.end()
})
