/** `order: subject`: the events of one job reach the sink one after the other, and hold back nobody else's. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { PoolClient } from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSlackServer } from '../../src/demo/slack-server.ts'
import { insertReplayed } from '../../src/store/replay.ts'
import { allAre, allEnded, named, send, useForwarding } from '../setup/forwarding.ts'
import { eventually } from '../setup/sender.ts'
import type { TestRelay } from '../setup/relay.ts'
import { accept, answerWith, type ReceivedRequest } from '../sinks/receiver.ts'

const forwarding = useForwarding()
const ordered = 'order: subject, retry: { initial: 300ms, factor: 1, jitter: 0 }, breaker: { failures: 1000 }'

/** A lane looks every second, in milliseconds. */
const claimedByThen = 2_500

const idOf = ({ headers }: ReceivedRequest): string => String(headers['webhook-id'])
const jobOf = ({ body }: ReceivedRequest): string => JSON.parse(body.toString()).data.id

/** Events `<job>_0000`, … in turn over the jobs, each sent after the 2xx of the one before. */
async function sendJobs(relays: readonly TestRelay[], jobs: readonly string[], each: number): Promise<void> {
  for (let n = 0; n < each; n++) {
    for (const job of jobs) {
      const relay = relays[n % relays.length]
      const id = named(each, job)[n]
      if (relay !== undefined && id !== undefined) await send(relay, id, { id: job })
    }
  }
}

/** Webhook-ids by job, in the order in which they first came. */
function firstArrivals(): Record<string, string[]> {
  const byJob: Record<string, string[]> = {}
  for (const request of forwarding.receiver().requests) {
    const ids = (byJob[jobOf(request)] ??= [])
    if (!ids.includes(idOf(request))) ids.push(idOf(request))
  }
  return byJob
}

describe('order: subject', () => {
  it('brings the events of each job one after the other, over two relays and failing attempts', async () => {
    const jobs = ['job_a', 'job_b', 'job_c']
    const underWay = new Map<string, number>()
    let mostUnderWay = 0
    let calls = 0
    forwarding.receiver().respond((response, request) => {
      const job = jobOf(request)
      underWay.set(job, (underWay.get(job) ?? 0) + 1)
      mostUnderWay = Math.max(mostUnderWay, underWay.get(job) ?? 0)
      const fails = calls++ % 5 === 0
      setTimeout(() => {
        underWay.set(job, (underWay.get(job) ?? 0) - 1)
        if (fails) answerWith(500)(response, request)
        else accept(response, request)
      }, 20)
    })
    const relays = [await forwarding.start(ordered), await forwarding.start(ordered)]
    await sendJobs(relays, jobs, 12)
    await eventually(forwarding.deliveries, allAre('delivered'), 30_000)
    expect(firstArrivals()).toEqual(Object.fromEntries(jobs.map((job) => [job, named(12, job)])))
    expect(mostUnderWay).toBe(1)
  })

  describe('when two relays accept events of one job at once, and the older one is committed last', () => {
    /** In a transaction of its own until `commit`. */
    let other: PoolClient
    beforeEach(async () => {
      other = await forwarding.db().connect()
      await other.query('begin')
    })
    afterEach(() => other.release(true))

    it('has it wait for the attempt that is under way', async () => {
      let answer: () => void = () => {}
      forwarding.receiver().respond((response, request) => {
        answer = () => accept(response, request)
      })
      const relay = await forwarding.start(ordered)
      const { rows } = await other.query<{ id: string }>(`select nextval('gemini_relay.delivery_rows_id_seq') as id`)
      await send(relay, 'job_a_0001', { id: 'job_a' })
      await eventually(forwarding.seen, (ids) => ids.length === 1)
      await other.query(
        `with e as (
           insert into gemini_relay.events (source, webhook_id, scheme, type, subject, event_time, received_at, body)
           select source, 'job_a_0000', scheme, type, subject, event_time, received_at, body from gemini_relay.events returning id
         )
         insert into gemini_relay.delivery_rows (id, event_id, rule, sink, subject, state, due_at, expires_at) overriding system value
         select $1, e.id, rule, sink, subject, 'pending', d.created_at, d.expires_at from gemini_relay.delivery_rows d, e`,
        [rows[0]?.id],
      )
      await other.query('commit')
      await sleep(claimedByThen)
      expect(forwarding.seen()).toEqual(['job_a_0001'])
      answer()
      await eventually(forwarding.seen, (ids) => ids.length === 2)
      answer()
      await eventually(forwarding.deliveries, (all) => all.length === 2 && allAre('delivered')(all))
      expect(forwarding.seen()).toEqual(['job_a_0001', 'job_a_0000'])
    })

    it('has it wait also for a claim that nobody sees yet', async () => {
      const relay = await forwarding.start(ordered)
      forwarding.receiver().respond(answerWith(503))
      await sendJobs([relay], ['job_a'], 2)
      await eventually(forwarding.deliveries, (rows) => rows.length === 2 && rows[0]?.attempts === 1)
      forwarding.receiver().respond(accept)
      await forwarding.db().query(`update gemini_relay.delivery_rows set due_at = now() + interval '1 hour'`)
      const seen = forwarding.seen().length
      const [older, newer] = await forwarding.deliveries()
      await other.query(`update gemini_relay.delivery_rows set state = 'leased', due_at = null, lease = 0 where id = $1`, [
        newer?.id,
      ])
      await forwarding.db().query(`update gemini_relay.delivery_rows set due_at = created_at where id = $1`, [older?.id])
      await sleep(claimedByThen)
      await other.query('commit')
      await sleep(claimedByThen)
      expect(forwarding.seen()).toHaveLength(seen)
      await forwarding.db().query(`update gemini_relay.delivery_rows set state = 'delivered' where id = $1`, [newer?.id])
      await eventually(forwarding.deliveries, allAre('delivered'))
      expect(forwarding.seen().slice(seen)).toEqual(['job_a_0000'])
    })
  })

  it('takes an event whose subject Postgres refused for a job of its own, also when it is replayed', async () => {
    const relay = await forwarding.start(ordered)
    await forwarding.db().query(`alter table gemini_relay.events add constraint odd check (subject <> 'odd')`)
    await send(relay, 'odd_1', { id: 'odd' })
    await eventually(forwarding.deliveries, allAre('delivered'))
    const { rows } = await forwarding.db().query(`select subject from gemini_relay.delivery_rows`)
    expect(rows).toEqual([{ subject: 'odd_1' }])
  })

  it('lets a job that is stuck hold back only itself, however much waits behind it', async () => {
    forwarding.receiver().respond((response, request) => {
      if (jobOf(request) === 'job_stuck') answerWith(500)(response, request)
      else accept(response, request)
    })
    const relay = await forwarding.start(`${ordered.replace('300ms', '1h')}, concurrency: 1`)
    await sendJobs([relay], ['job_stuck'], 40)
    await sendJobs([relay], ['job_free', 'job_other'], 3)
    await eventually(
      () => forwarding.seen().filter((id) => !id.startsWith('job_stuck')).length,
      (count) => count === 6,
    )
    expect(firstArrivals()).toEqual({
      job_stuck: ['job_stuck_0000'],
      job_free: named(3, 'job_free'),
      job_other: named(3, 'job_other'),
    })
  })

  it('goes on with the next event of the job when one is dead', async () => {
    forwarding.receiver().respond((response, request) => {
      if (idOf(request) === 'job_a_0000') answerWith(400)(response, request)
      else accept(response, request)
    })
    const relay = await forwarding.start(ordered)
    await sendJobs([relay], ['job_a'], 3)
    const rows = await eventually(forwarding.deliveries, allEnded)
    expect(rows.map(({ state }) => state)).toEqual(['dead', 'delivered', 'delivered'])
    expect(firstArrivals()).toEqual({ job_a: named(3, 'job_a') })
  })

  it('holds over the channels of a Slack sink', async () => {
    const slack = await startSlackServer()
    try {
      const relay = await forwarding.start('', {
        sinks: `  ops: { type: slack, token: xoxb-test, api_url: "${slack.url}", order: subject, rate: 100/s, text: "{{ event.webhook_id }}" }`,
        rules: `
  - { name: one, to: [{ sink: ops, channel: C0000000001 }] }
  - { name: two, to: [{ sink: ops, channel: C0000000002 }] }`,
      })
      await sendJobs([relay], ['job_a'], 4)
      await eventually(forwarding.deliveries, allAre('delivered'))
      expect(slack.messages().map(({ channel, text }) => `${channel} ${text}`)).toEqual(
        named(4, 'job_a').flatMap((id) => [`C0000000001 ${id}`, `C0000000002 ${id}`]),
      )
    } finally {
      await slack.close()
    }
  })

  it('is kept, unasked, by a Slack sink whose messages answer in the thread of their job', async () => {
    const slack = await startSlackServer()
    try {
      const relay = await forwarding.start('', {
        sinks: `  ops: { type: slack, token: xoxb-test, api_url: "${slack.url}", channel: C0000000001, thread: subject, rate: 100/s, concurrency: 4,
          retry: { initial: 2s, jitter: 0 }, text: "{{ event.webhook_id }}" }`,
        rules: '- { name: one, to: [ops] }',
      })
      slack.respond({ kind: 'status', status: 500 })
      slack.respond({ kind: 'error', error: 'invalid_blocks' })
      await send(relay, 'job_stuck_0000', { id: 'job_stuck' })
      await eventually(
        () => slack.requests().length,
        (calls) => calls === 1,
      )
      await sendJobs([relay], ['job_dead'], 3)
      await send(relay, 'job_stuck_0001', { id: 'job_stuck' })
      const rows = await eventually(forwarding.deliveries, allEnded)
      expect(rows.filter(({ state }) => state === 'dead').map(({ webhook_id: id }) => id)).toEqual(['job_dead_0000'])
      const all = slack.messages()
      expect(all.map(({ text, threadTs }) => [all.find(({ ts }) => ts === threadTs)?.text, text])).toEqual([
        [undefined, 'job_dead_0001'],
        ['job_dead_0001', 'job_dead_0002'],
        [undefined, 'job_stuck_0000'],
        ['job_stuck_0000', 'job_stuck_0001'],
      ])
    } finally {
      await slack.close()
    }
  })

  it('takes over what waited in groups when the sink had no order yet', async () => {
    forwarding.receiver().respond(answerWith(503))
    const before = await forwarding.start('retry: { initial: 1h }, breaker: { failures: 1, cooldown: 1h, max: 1h }')
    await sendJobs([before], ['job_a', 'job_b'], 10)
    await before.stop()
    await forwarding.db().query('update gemini_relay.delivery_rows set due_at = created_at')
    forwarding.receiver().respond(accept)
    forwarding.receiver().requests.splice(0)
    await forwarding.start(ordered)
    await eventually(forwarding.deliveries, allAre('delivered'))
    expect(forwarding.seen().toSorted()).toEqual([...named(10, 'job_a'), ...named(10, 'job_b')])
  })
})

describe('events that are replayed to a sink with order', () => {
  it('come in their order, after what their job still has open', async () => {
    let failing = true
    forwarding.receiver().respond((response, request) => {
      if (failing) answerWith(idOf(request) === 'job_a_0002' ? 500 : 400)(response, request)
      else accept(response, request)
    })
    const relay = await forwarding.start(ordered.replace('300ms', '1s'))
    await sendJobs([relay], ['job_a'], 3)
    await eventually(forwarding.deliveries, (rows) => rows.map(({ state }) => state).join() === 'dead,dead,pending')
    failing = false
    const { rows } = await forwarding
      .db()
      .query<{ id: string }>('select event_id as id from gemini_relay.delivery_rows order by id limit 2')
    const replayed = rows.map(({ id }) => ({ eventId: id, rule: 'all', sink: 'forward', horizonMs: 60_000, ordered: true }))
    expect(await insertReplayed(forwarding.db(), replayed)).toBe(2)
    await eventually(forwarding.deliveries, (all) => all.length === 5 && all.slice(2).every(({ state }) => state === 'delivered'))
    expect(forwarding.seen().slice(-3)).toEqual(['job_a_0002', 'job_a_0000', 'job_a_0001'])
  })
})
