/** `webhooks apply` is killed at each of its steps and run again: it converges, and no secret is lost. */
import type pg from 'pg'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { believedMs } from '../../src/store/signing-secrets.ts'
import { declaredRig, type DeclaredRig } from '../setup/declared.ts'
import { eventually } from '../setup/sender.ts'

const events = ['batch.succeeded', 'batch.failed']

/** The state that a declaration finds. */
const beginnings = {
  nothing: async () => {},
  /** Somebody else's with the same address, in no way as declared. */
  found: async ({ webhooks, uri }: DeclaredRig) => {
    const { id = '' } = await webhooks.create({ uri, subscribed_events: ['video.generated'], name: 'by hand' })
    await webhooks.update(id, { state: 'disabled', update_mask: 'state' })
  },
  /** Ours, gone at Gemini. */
  gone: async ({ run, webhooks }: DeclaredRig) => {
    expect(await run('apply')).toMatchObject({ code: 0 })
    const { webhooks: [one] = [] } = await webhooks.list()
    await webhooks.delete(one?.id ?? '')
  },
  /** Ours, and no longer declared under its old name. */
  renamed: async ({ run, declare, uri }: DeclaredRig) => {
    declare({ webhooks: `{ old: { uri: "${uri}/old", source: gemini } }` })
    expect(await run('apply')).toMatchObject({ code: 0 })
    declare({ webhooks: `{ relay: { uri: "${uri}", source: gemini } }` })
  },
} as const

async function from(beginning: keyof typeof beginnings, work: (rig: DeclaredRig) => Promise<void>): Promise<void> {
  const rig = await declaredRig((uri) => `{ relay: { uri: "${uri}", source: gemini } }`)
  try {
    await beginnings[beginning](rig)
    await work(rig)
  } finally {
    await rig.stop()
  }
}

/** What must hold however it was interrupted, once it was run again. */
async function converges({ run, webhooks, gemini, proxy, db, uri }: DeclaredRig): Promise<void> {
  const again = await run('apply', '--prune')
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('nothing to do') })

  const { webhooks: all = [] } = await webhooks.list()
  expect(all).toMatchObject([{ name: 'relay', uri, state: 'enabled', subscribed_events: events }])
  expect(await readRows(db, 'select count(*)::int as n from gemini_relay.webhook_intents')).toEqual([{ n: 0 }])
  const kept = await readRows(db, 'select id, source, name from gemini_relay.webhook_endpoints')
  expect(kept).toEqual([{ id: all[0]?.id, source: 'gemini', name: 'relay' }])
  const trusted = await readRows(
    db,
    'select distinct webhook from gemini_relay.signing_secrets where expires_at is null or expires_at > now()',
  )
  expect(trusted).toEqual([{ webhook: all[0]?.id }])

  await webhooks.ping(all[0]?.id ?? '')
  await eventually(
    () => readRows(db, `select count(*)::int as n from gemini_relay.events where scheme = 'hmac' and type = 'webhook.ping'`),
    ([row]) => row?.['n'] === 1,
  )
  expect((await gemini.steer('GET', '/deliveries?state=pending')).body['deliveries']).toEqual([])

  const before = proxy.changes.length
  expect(await run('apply', '--prune')).toMatchObject({
    code: 0,
    stdout: '= unchanged relay\nnothing to do: all webhooks are as declared\n',
  })
  expect(proxy.changes.slice(before)).toEqual([])
}

async function readRows(db: pg.Pool, sql: string): Promise<Record<string, unknown>[]> {
  return (await db.query<Record<string, unknown>>(sql)).rows
}

/** Of the only delivery. */
async function attempted({ gemini }: DeclaredRig, times: number): Promise<unknown[]> {
  const sent = z.array(z.object({ attempts: z.number(), last: z.string().nullable() }))
  return await eventually(
    async () => sent.parse((await gemini.steer('GET', '/deliveries')).body['deliveries']),
    ([one]) => one?.attempts === times && one.last !== null,
  )
}

/** Several run at once, each of several processes. */
const limitMs = 180_000

const calls = {
  create: /^POST .*\/webhooks$/,
  rotate: /^POST .*:rotateSigningSecret$/,
  update: /^PATCH .*update_mask=subscribed_events/,
  enable: /^PATCH .*update_mask=state/,
  delete: /^DELETE /,
}

describe('killed around a call', () => {
  it.concurrent.each([
    ['nothing', 'create', 'before'],
    ['nothing', 'create', 'after'],
    // It was on its way when the process died.
    ['nothing', 'create', 'until later'],
    ['found', 'update', 'before'],
    ['found', 'update', 'after'],
    ['found', 'rotate', 'before'],
    ['found', 'rotate', 'after'],
    ['found', 'enable', 'before'],
    ['found', 'enable', 'after'],
    ['gone', 'create', 'after'],
    ['renamed', 'delete', 'before'],
    ['renamed', 'delete', 'after'],
  ] as const)(
    'where there is %s: at %s, %s it',
    (beginning, call, when) =>
      from(beginning, async (rig) => {
        await rig.runAndKill(['apply', '--prune'], () => rig.proxy.hold(calls[call], when))
        await converges(rig)
      }),
    limitMs,
  )
})

/** Statements that wait for these locks are between the calls. */
const locks = {
  'to note what it is about to do': 'webhook_intents',
  'to note that a webhook is ours': 'webhook_endpoints',
  'to store the secret': 'signing_secrets',
} as const

describe('killed in the store', () => {
  it.concurrent.each([
    ['nothing', 'to note what it is about to do'],
    ['nothing', 'to note that a webhook is ours'],
    ['nothing', 'to store the secret'],
    ['found', 'to note that a webhook is ours'],
    ['found', 'to store the secret'],
    ['gone', 'to note that a webhook is ours'],
    ['gone', 'to store the secret'],
  ] as const)(
    'where there is %s: as it is about %s',
    (beginning, statement) =>
      from(beginning, async (rig) => {
        const unlock = await lock(rig, locks[statement])
        await rig.runAndKill(['apply'], () => waiting(rig))
        // Else it goes on with this one statement, as if the process had died a moment later.
        await readRows(rig.db, `select pg_terminate_backend(pid) from ${waitingBackends}`)
        await unlock()
        await converges(rig)
      }),
    limitMs,
  )
})

/** What reads goes on. */
async function lock({ db }: DeclaredRig, table: string): Promise<() => Promise<void>> {
  const client = await db.connect()
  await client.query('begin')
  await client.query(`lock table gemini_relay.${table} in exclusive mode`)
  return async () => {
    await client.query('rollback')
    client.release()
  }
}

const waitingBackends = `pg_stat_activity
  where datname = current_database() and application_name = 'gemini-relay cli' and wait_event_type = 'Lock'`

async function waiting({ db }: DeclaredRig): Promise<void> {
  await eventually(
    () => readRows(db, `select 1 from ${waitingBackends}`),
    ({ length }) => length > 0,
    30_000,
  )
}

describe('what Gemini sends while a secret is known to nobody', () => {
  it.concurrent.each([
    ['nothing', 'create'],
    ['found', 'rotate'],
  ] as const)('is answered 503 and arrives after the next run, where there was %s and %s was its last call', (beginning, call) =>
    from(beginning, async (rig) => {
      await rig.runAndKill(['apply'], async () => {
        await rig.proxy.hold(calls[call], 'after')
        // Every relay has read of it by then, also one that no notification reached.
        const age = 'extract(epoch from clock_timestamp() - opened_at)::float * 1000 as ms'
        const [intent] = await readRows(rig.db, `select ${age} from gemini_relay.webhook_intents`)
        expect(intent?.['ms']).toBeGreaterThan(believedMs)
      })
      const { webhooks: [webhook] = [] } = await rig.webhooks.list()
      await rig.webhooks.update(webhook?.id ?? '', { state: 'enabled', update_mask: 'state' })
      await rig.gemini.steer('POST', '/events', { type: 'batch.failed', data: { id: 'batches/1' } })
      expect(await attempted(rig, 1)).toEqual([expect.objectContaining({ last: expect.stringContaining('503') })])

      expect(await rig.run('apply')).toMatchObject({ code: 0, stderr: expect.stringMatching(/^healed: /) })
      await rig.gemini.steer('POST', '/clock', { advance: '1h' })
      await eventually(
        () => readRows(rig.db, 'select type from gemini_relay.events'),
        (rows) => rows.length === 1 && rows[0]?.['type'] === 'batch.failed',
      )
    }),
  )
})
