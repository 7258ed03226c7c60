import { describe, expect, it } from 'vitest'
import { allAre, allEnded, named, send, useForwarding } from '../setup/forwarding.ts'
import { eventually } from '../setup/sender.ts'
import { accept, answerWith } from '../sinks/receiver.ts'

const forwarding = useForwarding()

describe('leases', () => {
  const expire = () => forwarding.db().query(`update gemini_relay.leases set deadline = clock_timestamp() - interval '1 second'`)

  it('are taken over when they expire, and the outcome of the one that lost changes nothing', async () => {
    const held: { fail(): void }[] = []
    forwarding.receiver().respond((response, request) => {
      if (held.length > 0) return accept(response, request)
      held.push({ fail: () => answerWith(422)(response, request) })
    })
    const relay = await forwarding.start()
    await send(relay)
    await eventually(
      () => held.length,
      (requests) => requests === 1,
    )
    await expire()
    const row = await forwarding.becomes('delivered')
    expect(row).toMatchObject({ takeovers: 1, attempts: 1 })
    held[0]?.fail()
    await eventually(
      () => relay.log(),
      (log) => log.includes('these outcomes changed nothing'),
    )
    expect(await forwarding.deliveries()).toEqual([row])
  })

  it('that expire for the fifth time end the delivery as abandoned', async () => {
    forwarding.receiver().respond(() => {})
    const relay = await forwarding.start('timeout: 20s')
    await send(relay)
    await eventually(
      () => forwarding.receiver().requests.length,
      (requests) => requests === 1,
    )
    await forwarding.db().query('update gemini_relay.delivery_groups set takeovers = 3')
    await expire()
    await eventually(
      () => forwarding.receiver().requests.length,
      (requests) => requests === 2,
    )
    expect(await forwarding.deliveries()).toMatchObject([{ state: 'leased', takeovers: 4 }])
    await expire()
    expect(await forwarding.becomes('dead')).toMatchObject({
      code: 'abandoned',
      takeovers: 5,
      message: expect.stringContaining('5 times'),
    })
    expect(forwarding.receiver().requests).toHaveLength(2)
    expect(relay.log()).toContain('took over')
  })

  it('are gone when nothing is left to do, whatever became of the deliveries', async () => {
    forwarding.receiver().respond((response, request) => {
      const n = Number(String(request.headers['webhook-id']).slice(-1))
      answerWith([204, 422, 204, 500][n % 4] ?? 204)(response, request)
    })
    const relay = await forwarding.start('retry: { initial: 50ms, attempts: 2 }, breaker: { failures: 1000 }', {
      sinks: '  jobs: { type: table, table: public.deliver_jobs, key: [id], create: true, columns: { id: event.webhook_id } }',
      rules: '- { name: all, to: [forward, jobs] }',
    })
    await Promise.all(named(100).map((id) => send(relay, id)))
    await eventually(forwarding.deliveries, allEnded)
    await eventually(
      () => forwarding.db().query('select * from gemini_relay.leases'),
      ({ rows }) => rows.length === 0,
    )
    expect((await forwarding.db().query('select from gemini_relay.attempts')).rowCount).toBeGreaterThan(0)
  })

  it('and a backlog are given back by a relay that stops, and another one goes on with them', async () => {
    forwarding.receiver().respond((response, request) => void setTimeout(() => accept(response, request), 30))
    const relay = await forwarding.start('concurrency: 2')
    await Promise.all(named(60).map((id) => send(relay, id)))
    await relay.stop()
    const left = await forwarding.deliveries()
    expect(left.filter(({ state }) => state === 'leased')).toEqual([])
    expect(left.some(({ state }) => state === 'pending')).toBe(true)
    expect((await forwarding.db().query('select * from gemini_relay.leases')).rows).toEqual([])
    await forwarding.start()
    const rows = await eventually(forwarding.deliveries, allAre('delivered'))
    expect(rows.every(({ attempts, takeovers }) => attempts === 1 && takeovers === 0)).toBe(true)
    expect(forwarding.seen().toSorted()).toEqual(named(60))
  })
})

describe('two relays on one database', () => {
  it('share a backlog and deliver nothing twice', async () => {
    // A backlog that neither of them has made.
    const first = await forwarding.start()
    await send(first, 'msg_first')
    await forwarding.becomes('delivered')
    await forwarding.db().query(`insert into gemini_relay.events (source, webhook_id, scheme, received_at, body)
        select 'gemini', 'msg_' || to_char(n, 'FM0000'), 'hmac', now(), '{}' from generate_series(0, 299) n;
      insert into gemini_relay.delivery_rows (event_id, rule, sink, state, due_at, expires_at)
        select id, 'all', 'forward', 'pending', now() + interval '2 seconds', now() + interval '1 day' from gemini_relay.events where webhook_id ~ '^msg_[0-9]'`)
    forwarding.receiver().respond((response, request) => void setTimeout(() => accept(response, request), 10))
    const connections = new Set<number>()
    await forwarding.start()
    await eventually(forwarding.deliveries, allAre('delivered'), 30_000)
    for (const { connection } of forwarding.receiver().requests) connections.add(connection)
    expect(
      forwarding
        .seen()
        .filter((id) => id !== 'msg_first')
        .toSorted(),
    ).toEqual(named(300))
    // Eight connections are what one relay opens.
    expect(connections.size).toBeGreaterThan(8)
  })
})

describe('what nobody knows how to deliver', () => {
  it('stays pending, shows in /readyz without failing it, and expires', async () => {
    const relay = await forwarding.start()
    await send(relay, 'msg_known')
    await forwarding.becomes('delivered')
    await forwarding.db().query(`insert into gemini_relay.delivery_rows (event_id, rule, sink, state, due_at, expires_at)
      select id, 'gone', 'forward', 'pending', now(), now() + interval '1 day' from gemini_relay.events
      union all select id, 'all', 'nowhere', 'pending', now(), now() + interval '1 day' from gemini_relay.events`)
    const unknown = [
      { sink: 'forward', rule: 'gone' },
      { sink: 'nowhere', rule: 'all' },
    ]
    const ready = await eventually(
      async () => {
        const response = await fetch(`${relay.url}/readyz`, { headers: { connection: 'close' } })
        return { status: response.status, body: await response.text() }
      },
      ({ body }) => body.includes('nowhere'),
    )
    expect(ready.status).toBe(200)
    expect(JSON.parse(ready.body)).toMatchObject({ detail: { unknown_deliveries: unknown } })
    await send(relay, 'msg_known_too')
    await eventually(forwarding.deliveries, (rows) => rows.filter(({ state }) => state === 'delivered').length === 2)
    expect((await forwarding.deliveries()).filter(({ state }) => state === 'pending')).toHaveLength(2)

    await forwarding.db().query(`update gemini_relay.delivery_rows set expires_at = now() where state = 'pending'`)
    const rows = await eventually(forwarding.deliveries, (all) => all.every(({ state }) => state !== 'pending'))
    expect(rows.filter(({ code }) => code === 'expired')).toMatchObject([
      { attempts: 0, tried: [] },
      { attempts: 0, tried: [] },
    ])
    expect(forwarding.receiver().requests).toHaveLength(2)
  })
})

describe('a table sink that fails', () => {
  const tableRelay = (more = '') =>
    forwarding.start('', {
      sinks: `  jobs: { type: table, table: public.deliver_odd, key: [id], create: true, columns: { id: event.webhook_id, n: { type: integer, value: event.data.n } }${more} }`,
      rules: '- { name: all, to: [jobs] }',
    })

  it('makes one bad value of many dead at once, with a row in attempts, and delivers the others', async () => {
    const relay = await tableRelay()
    await Promise.all(named(40).map((id, n) => send(relay, id, { n: n === 20 ? 'twenty' : n })))
    const rows = await eventually(
      forwarding.deliveries,
      (all) => all.length === 40 && all.every(({ state }) => state === 'dead' || state === 'delivered'),
    )
    expect(rows.filter(({ state }) => state === 'dead')).toMatchObject([
      { webhook_id: 'msg_0020', code: 'value_rejected', attempts: 1, tried: [{ number: 1, code: 'value_rejected' }] },
    ])
    expect(relay.log()).not.toContain('breaker open')
  })

  it('repeats while the table is locked, and delivers when it is not', async () => {
    const relay = await tableRelay(', retry: { initial: 100ms }')
    const locker = await forwarding.db().connect()
    try {
      await locker.query('begin; lock table public.deliver_odd')
      await send(relay, 'msg_locked', { n: 1 })
      await eventually(forwarding.deliveries, ([row]) => (row?.tried.length ?? 0) >= 1)
    } finally {
      await locker.query('rollback')
      locker.release()
    }
    const row = await forwarding.becomes('delivered')
    expect(row.tried.every(({ code }) => code === 'locked')).toBe(true)
    expect(row.attempts).toBe(row.tried.length + 1)
  })
})
