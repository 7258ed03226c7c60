/** `thread` and `update`: the messages of a job, on a local Slack and a real Postgres. */
import { pino } from 'pino'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { startSlackServer, type SlackServer, type SlackServerOptions } from '../../src/demo/slack-server.ts'
import type { Sink } from '../../src/sinks/sink.ts'
import { createSlackSink } from '../../src/sinks/slack.ts'
import { migrate } from '../../src/store/migrate.ts'
import { createPool } from '../../src/store/pool.ts'
import type { LeasedDelivery, Outcome } from '../../src/types.ts'
import { leasedDelivery, type OddDelivery } from '../fixtures/deliveries.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { sinkConfig } from '../sinks/config.ts'
import { sinkConformance } from '../sinks/conformance.ts'

const log = pino({ level: 'silent' })
const never = new AbortController().signal
const delivered: Outcome = { status: 'delivered' }

let database: TestDatabase
let db: pg.Pool
let slack: SlackServer
const sinks: Sink[] = []

beforeAll(async () => {
  database = await createTestDatabase()
  db = createPool({ url: database.url, part: 'test', max: 3, statementTimeoutMs: 5_000, log })
  await migrate(db)
})
afterAll(async () => {
  await db.end()
  await database.drop()
})
beforeEach(async () => {
  await db.query('truncate gemini_relay.slack_messages')
})

const channel = 'C0123456789'
type Said = Record<string, unknown>

/** Three rules: two feed the sink's channel, one a channel of its own. */
function sinkOn({ url }: SlackServer, config: Said, target: Said = {}): Sink {
  const text = '{{ event.subject }}: {{ event.data.state }}'
  return createSlackSink({
    name: 'ops',
    config: sinkConfig('slack', { token: 'xoxb-1', channel, api_url: url, text, timeout: '20s', ...config }),
    targets: [
      { rule: 'states', target: { sink: 'ops', ...target } },
      { rule: 'more', target: { sink: 'ops' } },
      { rule: 'elsewhere', target: { sink: 'ops', channel: 'C0999999999' } },
    ],
    relayUrl: database.url,
    log,
  })
}

/** @param state what the message says @param minute of the event's time */
function event(state: string, minute: number, { event: odd, ...more }: OddDelivery = {}): LeasedDelivery {
  const time = new Date(Date.UTC(2026, 10, 20, 10, minute))
  return leasedDelivery({ rule: 'states', sink: 'ops', time, event: { data: { state }, ...odd }, ...more })
}

for (const key of ['thread', 'update']) {
  sinkConformance(`slack (${key}: subject)`, {
    async make() {
      const own = await startSlackServer()
      return {
        sink: sinkOn(own, { [key]: 'subject' }),
        delivery: (n) => event('running', n, { id: String(n), seq: String(n), event: { webhook_id: `msg_${n}` } }),
        // What was shown, be it in a message of its own or in an earlier version of one.
        received: async () =>
          own
            .messages()
            .flatMap((message) => [...message.earlier, message])
            .map(({ metadata }) => ({ identity: JSON.stringify(metadata) })),
        failRetryably: () => own.respond({ kind: 'status', status: 500 }, Infinity),
        failPermanently: () => own.respond({ kind: 'error', error: 'channel_not_found' }, Infinity),
        stall: () => own.respond({ kind: 'silent' }, Infinity),
        limit: (ms) => own.respond({ kind: 'rate_limited', retryAfter: ms / 1_000 }, Infinity),
        recover: () => own.recover(),
        dispose: () => own.close(),
      }
    },
  })
}

describe('messages of jobs', () => {
  beforeEach(async () => {
    slack = await startSlackServer()
  })
  afterEach(async () => {
    await Promise.all(sinks.splice(0).map((sink) => sink.close()))
    await slack.close()
  })

  async function restart(options: SlackServerOptions): Promise<void> {
    await slack.close()
    slack = await startSlackServer(options)
  }

  function start(config: Said, target?: Said): Sink {
    const sink = sinkOn(slack, config, target)
    sinks.push(sink)
    return sink
  }

  async function deliver(sink: Sink, ...deliveries: LeasedDelivery[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = []
    for (const delivery of deliveries) outcomes.push(...(await sink.deliver([delivery], never)))
    return outcomes
  }

  /** Each message as its text, after an arrow where it answers the first. */
  function shown(): string[] {
    const all = slack.messages()
    return all.map(({ text, threadTs }) => {
      const root = all.find(({ ts }) => ts === threadTs)
      return threadTs === undefined ? text : `${root?.text ?? 'gone'} → ${text}`
    })
  }

  const methods = () => slack.requests().map(({ method }) => method)

  function removeFirst(): void {
    const [first] = slack.messages()
    if (first !== undefined) slack.remove(first)
  }

  describe('thread: subject', () => {
    const config = { thread: 'subject' }

    it('answers in the thread of the first message, also after a restart', async () => {
      await deliver(start(config), event('queued', 1), event('running', 2))
      await deliver(start(config), event('done', 3))
      expect(shown()).toEqual([
        'batches/b1: queued',
        'batches/b1: queued → batches/b1: running',
        'batches/b1: queued → batches/b1: done',
      ])
    })

    it('tells jobs, channels and sources apart, and takes two rules of one channel together', async () => {
      const sink = start({ ...config, text: '{{ event.source }} {{ event.subject }}' })
      const of = (odd: OddDelivery) => [event('a', 1, odd), event('b', 2, odd)]
      await deliver(sink, ...of({}), ...of({ rule: 'elsewhere' }), ...of({ event: { subject: 'batches/b2' } }))
      await deliver(sink, ...of({ event: { source: 'labs' } }), ...of({ rule: 'more' }))
      const roots = slack.messages().filter(({ threadTs }) => threadTs === undefined)
      expect(roots.map((root) => `${root.channel} ${root.text}`)).toEqual([
        `${channel} gemini batches/b1`,
        'C0999999999 gemini batches/b1',
        `${channel} gemini batches/b2`,
        `${channel} labs batches/b1`,
      ])
      const answers = roots.map(({ ts }) => slack.messages().filter(({ threadTs }) => threadTs === ts).length)
      expect(answers).toEqual([3, 1, 1, 1])
    })

    it('answers a message to a user in the channel that Slack made of it', async () => {
      await deliver(start({ ...config, channel: 'U0123456789' }), event('queued', 1), event('done', 2))
      expect(shown()).toEqual(['batches/b1: queued', 'batches/b1: queued → batches/b1: done'])
    })

    it.each([
      ['refuses', 'refuse' as const, 4],
      ['posts to the channel', 'post' as const, 3],
    ])('begins another thread where the message is gone, and Slack %s the answer', async (_, lostThreads, calls) => {
      await restart({ lostThreads })
      const sink = start(config)
      await deliver(sink, event('queued', 1))
      removeFirst()
      expect(await deliver(sink, event('running', 2), event('done', 3))).toEqual([delivered, delivered])
      expect(shown()).toEqual(['batches/b1: running', 'batches/b1: running → batches/b1: done'])
      expect(slack.requests()).toHaveLength(calls)
    })

    it('makes the next event the first one where the first is dead', async () => {
      const sink = start(config)
      slack.respond({ kind: 'error', error: 'invalid_blocks' })
      expect(await deliver(sink, event('queued', 1))).toMatchObject([{ code: 'rejected' }])
      await deliver(sink, event('running', 2), event('done', 3))
      expect(shown()).toEqual(['batches/b1: running', 'batches/b1: running → batches/b1: done'])
    })

    it('makes a message of its own of an event whose subject is its webhook-id', async () => {
      const odd = (id: string): OddDelivery => ({ event: { subject: id, webhook_id: id } })
      await deliver(start(config), event('a', 1, odd('msg_1')), event('b', 2, odd('msg_2')))
      expect(shown()).toEqual(['msg_1: a', 'msg_2: b'])
    })
  })

  describe('update: subject', () => {
    const config = { update: 'subject' }

    it('edits the one message of the job, also after a restart', async () => {
      await deliver(start(config), event('queued', 1))
      await deliver(start(config), event('running', 2), event('done', 3))
      expect(shown()).toEqual(['batches/b1: done'])
      expect(methods()).toEqual(['chat.postMessage', 'chat.update', 'chat.update'])
    })

    it('says in the metadata which delivery the message shows', async () => {
      await deliver(start(config), event('queued', 1), event('done', 2, { id: '4242', event: { webhook_id: 'msg_done' } }))
      expect(slack.messages()[0]?.metadata).toEqual({
        event_type: 'gemini_relay',
        event_payload: { delivery: '4242', webhook_id: 'msg_done' },
      })
    })

    it('lets no older event overwrite a newer one: it is delivered without a call', async () => {
      const sink = start(config)
      await deliver(sink, event('done', 3, { seq: '70' }))
      expect(await deliver(sink, event('running', 2, { seq: '71' }), event('same time', 3, { seq: '69' }))).toEqual([
        delivered,
        delivered,
      ])
      expect(shown()).toEqual(['batches/b1: done'])
      expect(slack.requests()).toHaveLength(1)
      await deliver(sink, event('again', 3, { seq: '70' }), event('same time, accepted later', 3, { seq: '100' }))
      expect(slack.messages()[0]?.earlier.map(({ text }) => text)).toEqual(['batches/b1: done', 'batches/b1: again'])
      expect(shown()).toEqual(['batches/b1: same time, accepted later'])
    })

    it('takes the blocks away with the rule that had them', async () => {
      const sink = start({ ...config, blocks: [{ type: 'divider' }] }, { text: '{{ event.data.state }} only' })
      await deliver(sink, event('queued', 1, { rule: 'more' }), event('done', 2))
      expect(slack.messages()).toMatchObject([{ text: 'done only', blocks: [] }])
      await deliver(sink, event('more', 3, { rule: 'more' }))
      expect(slack.messages()).toMatchObject([{ text: 'batches/b1: more', blocks: [{ type: 'divider' }] }])
    })

    it('edits a message to a user, and keeps mentions and escaped texts as they are', async () => {
      const sink = start({ ...config, channel: 'U0123456789', mentions: ['U0123456789'] })
      await deliver(sink, event('queued', 1), event('<done> & over', 2))
      expect(slack.messages()).toMatchObject([
        { channel: 'D0123456789', text: '<@U0123456789> batches/b1: &lt;done&gt; &amp; over' },
      ])
    })

    it('cuts what is longer than an edit may be', async () => {
      const sink = start(config)
      expect(await deliver(sink, event('x'.repeat(5_000), 1), event('y'.repeat(5_000), 2))).toEqual([delivered, delivered])
      expect(slack.messages()[0]).toMatchObject({ text: `batches/b1: ${'y'.repeat(3_987)}…` })
    })

    it('posts another message where the first was deleted, and goes on with that', async () => {
      const sink = start(config)
      await deliver(sink, event('queued', 1))
      removeFirst()
      expect(await deliver(sink, event('running', 2), event('done', 3))).toEqual([delivered, delivered])
      expect(shown()).toEqual(['batches/b1: done'])
      expect(methods().slice(1)).toEqual(['chat.update', 'chat.postMessage', 'chat.update'])
    })

    it.each(['edit_window_closed', 'cant_update_message', 'block_mismatch'])(
      'posts another message where Slack says %s, and leaves the first',
      async (error) => {
        const sink = start(config)
        await deliver(sink, event('queued', 1))
        slack.respond({ kind: 'error', error })
        await deliver(sink, event('running', 2), event('done', 3))
        expect(shown()).toEqual(['batches/b1: queued', 'batches/b1: done'])
      },
    )

    it('is as final or as passing as Slack says where an edit is refused for another reason', async () => {
      const sink = start(config)
      await deliver(sink, event('queued', 1))
      slack.respond({ kind: 'error', error: 'update_failed' })
      slack.respond({ kind: 'error', error: 'is_inactive' })
      slack.respond({ kind: 'rate_limited', retryAfter: 3 })
      expect(await deliver(sink, event('a', 2), event('b', 3), event('c', 4))).toMatchObject([
        { code: 'unavailable' },
        { code: 'rejected', message: expect.stringContaining('archived') },
        { code: 'rate_limited', retryAfterMs: 3_000 },
      ])
      expect(shown()).toEqual(['batches/b1: queued'])
    })
  })

  describe('a rule', () => {
    it('switches off what its sink says, and on what it does not', async () => {
      const off = start({ thread: 'subject' }, { thread: 'none' })
      await deliver(off, event('a', 1), event('b', 2))
      expect(shown()).toEqual(['batches/b1: a', 'batches/b1: b'])
      const on = start({}, { update: 'subject' })
      await deliver(on, event('c', 3), event('d', 4), event('e', 5, { rule: 'more' }))
      expect(shown()).toEqual(['batches/b1: a', 'batches/b1: b', 'batches/b1: d', 'batches/b1: e'])
    })

    it('may answer under the message that another rule edits', async () => {
      const sink = start({ thread: 'subject' }, { thread: 'none', update: 'subject' })
      await deliver(sink, event('queued', 1), event('details', 1, { rule: 'more' }), event('done', 2))
      expect(shown()).toEqual(['batches/b1: done', 'batches/b1: done → batches/b1: details'])
    })
  })

  describe('a delivery that is attempted again', () => {
    it.each(['thread', 'update'])('is not posted again once its message is recorded (%s)', async (key) => {
      const sink = start({ [key]: 'subject' })
      const [first, second] = [event('queued', 1), event('done', 2)]
      expect(await deliver(sink, first, first, second, second)).toEqual([delivered, delivered, delivered, delivered])
      expect(slack.requests()).toHaveLength(2)
      expect(await deliver(start({ [key]: 'subject' }), second)).toEqual([delivered])
      expect(slack.requests()).toHaveLength(2)
    })

    it('is not posted again where Postgres was away after it was posted', async () => {
      const sink = start({ thread: 'subject' })
      await db.query(`alter table gemini_relay.slack_messages add constraint away check (subject <> 'batches/b1') not valid`)
      const first = event('queued', 1)
      const second = event('done', 2)
      expect(await deliver(sink, first)).toMatchObject([
        { status: 'failed', code: 'internal', message: expect.stringContaining('the message is posted') },
      ])
      await db.query('alter table gemini_relay.slack_messages drop constraint away')
      expect(await deliver(sink, first, second)).toEqual([delivered, delivered])
      expect(shown()).toEqual(['batches/b1: queued', 'batches/b1: queued → batches/b1: done'])
    })

    it('is not posted at all, and tried again, where Postgres cannot say whether there is a message', async () => {
      const sink = start({ thread: 'subject' })
      const client = await db.connect()
      try {
        await client.query('begin; lock table gemini_relay.slack_messages')
        expect(await deliver(sink, event('queued', 1))).toMatchObject([
          { code: 'unavailable', message: expect.stringContaining('nothing was posted') },
        ])
        await client.query('rollback')
      } finally {
        client.release()
      }
      expect(slack.requests()).toEqual([])
    })

    it('changes nothing where its lease was lost and a newer one has written', async () => {
      const sink = start({ update: 'subject' })
      const [paused, next] = [event('queued', 1), event('done', 2)]
      await deliver(sink, next)
      expect(await deliver(sink, paused)).toEqual([{ status: 'lost' }])
      // It was under way: it has looked, and Slack answers it when the other has written.
      const slow = event('late', 3, { event: { subject: 'batches/b2' } })
      slack.respond({ kind: 'slow', ms: 300 })
      const late = deliver(sink, slow)
      await deliver(sink, event('taken over', 3, { event: { subject: 'batches/b2' } }))
      expect(await late).toEqual([{ status: 'lost' }])
      await deliver(sink, event('end', 4, { event: { subject: 'batches/b2' } }))
      expect(shown()).toEqual(['batches/b1: done', 'batches/b2: end', 'batches/b2: late'])
    })
  })

  describe('mentions', () => {
    const mentions = ['U0123456789', 'S0123456789', 'here', 'channel', 'everyone']
    const mentioned = '<@U0123456789> <!subteam^S0123456789> <!here> <!channel> <!everyone>'

    it('stand before the text', async () => {
      await deliver(start({ mentions }), event('done', 1))
      expect(slack.messages()).toMatchObject([{ text: `${mentioned} batches/b1: done`, blocks: [] }])
    })

    it('are a block before the others', async () => {
      await deliver(start({ mentions, blocks: [{ type: 'divider' }] }), event('done', 1))
      expect(slack.messages()[0]?.blocks).toEqual([
        { type: 'section', text: { type: 'mrkdwn', text: mentioned } },
        { type: 'divider' },
      ])
    })

    it('are those of the rule, or nobody, where it says so', async () => {
      await deliver(start({ mentions }, { mentions: ['here'] }), event('a', 1))
      await deliver(start({ mentions }, { mentions: [] }), event('b', 2))
      expect(shown()).toEqual(['<!here> batches/b1: a', 'batches/b1: b'])
    })

    it('do not make a message of an empty text', async () => {
      const outcomes = await deliver(start({ mentions }, { text: '{{ event.data.nothing }}' }), event('a', 1))
      expect(outcomes).toMatchObject([{ code: 'rejected', message: expect.stringContaining('no_text') }])
    })
  })
})
