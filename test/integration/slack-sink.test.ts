import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startSlackServer, type Fault, type SlackServer, type SlackServerOptions } from '../../src/demo/slack-server.ts'
import { createSlackSink } from '../../src/sinks/slack.ts'
import type { LeasedDelivery, RelayEvent } from '../../src/types.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { sinkConfig } from '../sinks/config.ts'
import { sinkConformance } from '../sinks/conformance.ts'

const token = 'xoxb-1234-5678-verysecret'
const silent = pino({ level: 'silent' })
const never = new AbortController().signal

interface Odd {
  config?: Record<string, unknown>
  /** What rule `alerts` says about the sink. */
  target?: Record<string, unknown>
  log?: typeof silent
}

function sinkOn(url: string, { config = {}, target = {}, log = silent }: Odd = {}) {
  const targets = [
    { rule: 'alerts', target: { sink: 'ops', ...target } },
    { rule: 'urgent', target: { sink: 'ops', channel: 'C0999999999' } },
  ]
  return createSlackSink({
    name: 'ops',
    config: sinkConfig('slack', { token, channel: 'C0123456789', api_url: url, timeout: '20s', ...config }),
    targets,
    relayUrl: 'postgres://nobody-asks-it/relay',
    log,
  })
}

const alert = (event: Partial<RelayEvent> = {}): LeasedDelivery => leasedDelivery({ rule: 'alerts', sink: 'ops', event })
const urgent = (): LeasedDelivery => leasedDelivery({ rule: 'urgent', sink: 'ops' })

sinkConformance('slack', {
  async make() {
    const slack = await startSlackServer()
    return {
      sink: sinkOn(slack.url),
      delivery: (n) => leasedDelivery({ rule: 'alerts', sink: 'ops', id: String(n), event: { webhook_id: `msg_${n}` } }),
      received: async () => slack.messages().map(({ metadata }) => ({ identity: JSON.stringify(metadata) })),
      failRetryably: () => slack.respond({ kind: 'status', status: 500 }, Infinity),
      failPermanently: () => slack.respond({ kind: 'error', error: 'channel_not_found' }, Infinity),
      stall: () => slack.respond({ kind: 'silent' }, Infinity),
      limit: (ms) => slack.respond({ kind: 'rate_limited', retryAfter: ms / 1_000 }, Infinity),
      recover: () => slack.recover(),
      dispose: () => slack.close(),
    }
  },
})

describe('the slack sink', () => {
  let slack: SlackServer

  async function restart(options: SlackServerOptions): Promise<void> {
    await slack.close()
    slack = await startSlackServer(options)
  }

  beforeEach(async () => {
    slack = await startSlackServer({ tokens: [token] })
  })

  afterEach(async () => {
    await slack.close()
  })

  async function outcomeOn(fault: Fault, odd: Odd = {}) {
    slack.respond(fault)
    const [outcome] = await sinkOn(slack.url, odd).deliver([alert()], never)
    return outcome
  }

  describe('what it posts', () => {
    test('the text of the rule, to the channel of the sink, without unfurling links', async () => {
      await sinkOn(slack.url, { target: { text: ':x: {{ event.subject }}: {{ event.data.error_message }}' } }).deliver(
        [alert()],
        never,
      )
      expect(slack.messages()).toMatchObject([{ channel: 'C0123456789', text: ':x: batches/b1: quota exceeded', blocks: [] }])
      expect(slack.requests()[0]?.arguments).toMatchObject({ unfurl_links: 'false' })
    })

    test('the text of the sink where the rule has none, and to the channel that the rule names', async () => {
      await sinkOn(slack.url).deliver([urgent()], never)
      expect(slack.messages()).toMatchObject([{ channel: 'C0999999999', text: 'batch.failed batches/b1' }])
    })

    test('escaped, so that an error message can neither notify a channel nor write a link', async () => {
      const data = { error_message: '<!channel> & <https://x|y>' }
      await sinkOn(slack.url, { target: { text: 'failed: {{ event.data.error_message }}' } }).deliver([alert({ data })], never)
      expect(slack.messages().map(({ text }) => text)).toEqual(['failed: &lt;!channel&gt; &amp; &lt;https://x|y&gt;'])
    })

    test('as it is where the text says raw', async () => {
      const data = { link: '<https://x|y>' }
      await sinkOn(slack.url, { target: { text: '<!here> {{ event.data.link | raw }}' } }).deliver([alert({ data })], never)
      expect(slack.messages().map(({ text }) => text)).toEqual(['<!here> <https://x|y>'])
    })

    test('blocks with their strings rendered and escaped', async () => {
      const blocks = [{ type: 'section', text: { type: 'mrkdwn', text: '*{{ event.subject }}*: {{ event.data.note }}' } }]
      await sinkOn(slack.url, { target: { blocks } }).deliver([alert({ data: { note: 'a < b' } })], never)
      expect(slack.messages()[0]?.blocks).toEqual([{ type: 'section', text: { type: 'mrkdwn', text: '*batches/b1*: a &lt; b' } }])
    })

    test('the blocks of the sink, unless the rule says a text of its own', async () => {
      const config = { blocks: [{ type: 'divider' }] }
      await sinkOn(slack.url, { config }).deliver([alert()], never)
      await sinkOn(slack.url, { config, target: { text: 'plain' } }).deliver([alert()], never)
      expect(slack.messages().map(({ blocks }) => blocks)).toEqual([[{ type: 'divider' }], []])
    })

    test('the delivery and the webhook-id as metadata, by which a message that came twice is known', async () => {
      const delivery = leasedDelivery({ rule: 'alerts', id: '42', event: { webhook_id: 'msg_abc' } })
      await sinkOn(slack.url).deliver([delivery, delivery], never)
      const metadata = { event_type: 'gemini_relay', event_payload: { delivery: '42', webhook_id: 'msg_abc' } }
      expect(slack.messages().map((message) => message.metadata)).toEqual([metadata, metadata])
    })

    test('a text over 40,000 characters cut, not inside a character or an escaped one', async () => {
      const sink = sinkOn(slack.url, { target: { text: '{{ event.data.long }}' } })
      const fill = 'x'.repeat(39_997)
      const longs = [`${fill}xxx`, `${fill}xxxx`, `${fill}x😀x`, `${fill}<x`]
      expect(
        await sink.deliver(
          longs.map((long) => alert({ data: { long } })),
          never,
        ),
      ).toEqual(longs.map(() => ({ status: 'delivered' })))
      expect(slack.messages().map(({ text }) => text.slice(39_997))).toEqual(['xxx', 'xx…', 'x…', '…'])
    })

    test('blocks with texts over their limits cut', async () => {
      const long = 'x'.repeat(5_000)
      const blocks = [
        { type: 'header', text: { type: 'plain_text', text: '{{ event.data.long }}' } },
        {
          type: 'section',
          text: { type: 'mrkdwn', text: '{{ event.data.long }}' },
          fields: [{ type: 'mrkdwn', text: '{{ event.data.long }}' }],
        },
        { type: 'context', elements: [{ type: 'mrkdwn', text: '{{ event.data.long }}' }] },
        { type: 'divider' },
      ]
      await sinkOn(slack.url, { target: { blocks } }).deliver([alert({ data: { long } })], never)
      const lengths = JSON.stringify(slack.messages()[0]?.blocks)
        .match(/x+…/g)
        ?.map((text) => text.length)
      expect(lengths).toEqual([150, 3_000, 2_000, 3_000])
    })
  })

  describe('a rate limit', () => {
    test.each([
      ['2', 2_000],
      ['0', 1_000],
      ['7200', 3_600_000],
      ['soon', 30_000],
      [undefined, 30_000],
    ])('with Retry-After %j waits %d ms', async (retryAfter, retryAfterMs) => {
      const fault: Fault = { kind: 'rate_limited', ...(retryAfter !== undefined && { retryAfter }) }
      expect(await outcomeOn(fault)).toMatchObject({ status: 'failed', code: 'rate_limited', retryAfterMs })
    })

    test('stops the calls to its channel for the rest of the batch, and to no other', async () => {
      slack.respond({ kind: 'rate_limited', retryAfter: 2 })
      const outcomes = await sinkOn(slack.url).deliver([alert(), alert(), urgent(), alert()], never)
      const limited = { status: 'failed', code: 'rate_limited', retryAfterMs: 2_000 }
      expect(outcomes).toMatchObject([limited, limited, { status: 'delivered' }, limited])
      expect(slack.requests().map((request) => request.arguments.channel)).toEqual(['C0123456789', 'C0999999999'])
    })

    test('of one message a second is met by the second message, and over when its time has come', async () => {
      let now = Date.parse('2026-11-20T10:00:00Z')
      await restart({ messageEveryMs: 1_000, now: () => now })
      const sink = sinkOn(slack.url)
      const limited = { status: 'failed', code: 'rate_limited', retryAfterMs: 1_000 }
      expect(await sink.deliver([alert(), alert()], never)).toMatchObject([{ status: 'delivered' }, limited])
      now += 999
      expect(await sink.deliver([alert()], never)).toMatchObject([limited])
      now += 1
      expect(await sink.deliver([alert()], never)).toEqual([{ status: 'delivered' }])
    })

    test('that Slack reports as an error is one too', async () => {
      expect(await outcomeOn({ kind: 'error', error: 'ratelimited' })).toMatchObject({
        code: 'rate_limited',
        retryAfterMs: 30_000,
      })
    })
  })

  describe('an error that Slack names', () => {
    test.each([
      ['channel_not_found', 'rejected', 'check the channel id'],
      ['not_in_channel', 'rejected', 'invite the bot to the channel'],
      ['is_archived', 'rejected', 'unarchive it'],
      ['msg_too_long', 'rejected', 'shorten'],
      ['no_text', 'rejected', 'came out empty'],
      ['invalid_blocks', 'rejected', 'Block Kit Builder'],
      ['restricted_action', 'rejected', 'administrators'],
      ['invalid_auth', 'unauthorized', 'reinstall the Slack app'],
      ['token_revoked', 'unauthorized', 'reinstall the Slack app'],
      ['account_inactive', 'unauthorized', 'reinstall the Slack app'],
      ['missing_scope', 'unauthorized', 'chat:write'],
      ['internal_error', 'unavailable', 'Slack’s side'],
      ['fatal_error', 'unavailable', 'Slack’s side'],
      ['service_unavailable', 'unavailable', 'not available'],
      ['request_timeout', 'unavailable', 'whole request'],
      ['an_error_of_next_year', 'rejected', 'Slack’s reference'],
    ])('%s is %s and says what to do', async (error, code, advice) => {
      const outcome = await outcomeOn({ kind: 'error', error })
      expect(outcome).toMatchObject({ status: 'failed', code, message: expect.stringContaining(advice) })
      expect(outcome).toMatchObject({ message: expect.stringContaining(`Slack says ${error} for channel C0123456789`) })
    })

    test('comes with the details that Slack gives', async () => {
      const blocks = [{ type: 'section', text: { type: 'mrkdwn', text: 'a' } }, { nonsense: true }]
      const [outcome] = await sinkOn(slack.url, { target: { blocks } }).deliver([alert()], never)
      expect(outcome).toMatchObject({ code: 'rejected', message: expect.stringContaining('json-pointer:/blocks/1') })
      expect(await outcomeOn({ kind: 'error', error: 'missing_scope', more: { needed: 'chat:write.public' } })).toMatchObject({
        message: expect.stringContaining('needs chat:write.public'),
      })
    })

    test('is the real answer to a wrong token and to an unknown channel', async () => {
      await restart({ tokens: ['xoxb-another'], channels: [] })
      expect(await sinkOn(slack.url).deliver([alert()], never)).toMatchObject([
        { code: 'unauthorized', message: expect.stringContaining('invalid_auth') },
      ])
      await restart({ channels: ['C0000000000'] })
      expect(await sinkOn(slack.url).deliver([alert()], never)).toMatchObject([
        { code: 'rejected', message: expect.stringContaining('channel_not_found') },
      ])
    })
  })

  describe('the way to Slack', () => {
    test.each([
      [401, 'unauthorized'],
      [403, 'unauthorized'],
      [404, 'rejected'],
      [408, 'unavailable'],
      [500, 'unavailable'],
      [502, 'unavailable'],
    ])('status %d is %s', async (status, code) => {
      expect(await outcomeOn({ kind: 'status', status })).toMatchObject({
        status: 'failed',
        code,
        message: expect.stringContaining(String(status)),
      })
    })

    test('503 with Retry-After waits as long', async () => {
      expect(await outcomeOn({ kind: 'status', status: 503, headers: { 'retry-after': '5' } })).toMatchObject({
        code: 'unavailable',
        retryAfterMs: 5_000,
      })
    })

    test('a redirect is not followed', async () => {
      const headers = { location: `${slack.url}chat.postMessage` }
      expect(await outcomeOn({ kind: 'status', status: 307, headers })).toMatchObject({
        code: 'rejected',
        message: expect.stringContaining('api_url'),
      })
      expect(slack.requests()).toHaveLength(1)
    })

    test('a page that is not Slack’s JSON can pass', async () => {
      expect(await outcomeOn({ kind: 'status', status: 200, body: '<html>Maintenance</html>' })).toMatchObject({
        code: 'unavailable',
      })
      expect(await outcomeOn({ kind: 'status', status: 200, body: 'null' })).toMatchObject({ code: 'unavailable' })
    })

    test('a closed connection can pass', async () => {
      expect(await outcomeOn({ kind: 'hang_up' })).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('cannot be reached'),
      })
    })

    test('an answer that breaks off can pass, and says that the message may be there', async () => {
      expect(await outcomeOn({ kind: 'cut_short' })).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('may have been posted'),
      })
      expect(slack.messages()).toHaveLength(1)
    })

    test('a refused connection and an unknown host can pass, and name the reason', async () => {
      const { url } = slack
      await restart({})
      expect(await sinkOn(url).deliver([alert()], never)).toMatchObject([
        { code: 'unavailable', message: expect.stringContaining('ECONNREFUSED') },
      ])
      const [unknown] = await sinkOn('http://slack.invalid/api/').deliver([alert()], never)
      expect(unknown).toMatchObject({ code: 'unavailable', message: expect.stringMatching(/ENOTFOUND|EAI_AGAIN/) })
    })

    test('no answer within the sink’s timeout is a timeout, without anybody aborting', async () => {
      expect(await outcomeOn({ kind: 'silent' }, { config: { timeout: '100ms' } })).toMatchObject({ code: 'timeout' })
    })

    test('a slow answer within it is an answer', async () => {
      expect(await outcomeOn({ kind: 'slow', ms: 100 })).toEqual({ status: 'delivered' })
    })

    test('an api_url without its last slash works too', async () => {
      expect(await sinkOn(slack.url.replace(/\/$/, '')).deliver([alert()], never)).toEqual([{ status: 'delivered' }])
    })
  })

  test('a text that fails on one event fails that delivery, and no call is made for it', async () => {
    const text = '{% if event.subject == "bad" %}{% for i in (1..9000000) %}{{ i }}{% endfor %}{% endif %}ok'
    const outcomes = await sinkOn(slack.url, { target: { text } }).deliver([alert({ subject: 'bad' }), alert()], never)
    expect(outcomes).toMatchObject([{ status: 'failed', code: 'template_error' }, { status: 'delivered' }])
    expect(slack.requests()).toHaveLength(1)
  })

  test('a text with half a character is posted with U+FFFD in its place', async () => {
    const sink = sinkOn(slack.url, { target: { text: '{{ event.data.error_message }}' } })
    const delivery = leasedDelivery({ rule: 'alerts', event: { data: { error_message: 'cut \ud83d' } } })
    expect(await sink.deliver([delivery], new AbortController().signal)).toEqual([{ status: 'delivered' }])
    expect(slack.messages().at(-1)?.text).toBe('cut \uFFFD')
  })

  test('the token appears in no outcome and in no line of the log', async () => {
    const lines = new PassThrough()
    const log = pino({ level: 'trace' }, lines)
    const faults: Fault[] = [
      {
        kind: 'error',
        error: 'invalid_auth',
        more: { response_metadata: { messages: [`[ERROR] bad ${token}`], warnings: [token] } },
      },
      { kind: 'error', error: token },
      { kind: 'status', status: 500, body: token },
      { kind: 'status', status: 200, body: token },
      { kind: 'hang_up' },
      { kind: 'rate_limited' },
    ]
    const outcomes = []
    for (const fault of faults) outcomes.push(await outcomeOn(fault, { log }))
    expect(outcomes).toHaveLength(6)
    expect(JSON.stringify(outcomes)).not.toContain('verysecret')
    const logged = String(lines.read())
    expect(logged).toContain('slack client: bad [hidden]')
    expect(logged).not.toContain('verysecret')
  })

  test('no part of the token is left where a long message is cut', async () => {
    const outcomes = []
    for (let length = 1_700; length < 1_900; length += 5) {
      const messages = [`${'.'.repeat(length)}${token}`]
      outcomes.push(await outcomeOn({ kind: 'error', error: 'invalid_auth', more: { response_metadata: { messages } } }))
    }
    expect(JSON.stringify(outcomes)).toContain('..[hidd')
    expect(JSON.stringify(outcomes)).not.toContain(token.slice(0, 6))
  })
})

describe('the local Slack server', () => {
  let slack: SlackServer

  beforeEach(async () => {
    slack = await startSlackServer({ tokens: [token], channels: ['C1'] })
  })

  afterEach(async () => {
    await slack.close()
  })

  async function call(
    method: string,
    init: { json?: unknown; form?: Record<string, string>; bearer?: string },
  ): Promise<unknown> {
    const headers: Record<string, string> = init.bearer === undefined ? {} : { authorization: `Bearer ${init.bearer}` }
    if (init.json !== undefined) headers['content-type'] = 'application/json; charset=utf-8'
    const body = init.json === undefined ? new URLSearchParams(init.form) : JSON.stringify(init.json)
    const response = await fetch(`${slack.url}${method}`, { method: 'POST', headers, body })
    return response.json()
  }

  test('knows who asks', async () => {
    expect(await call('auth.test', { bearer: token })).toMatchObject({
      ok: true,
      team_id: expect.any(String),
      bot_id: expect.any(String),
    })
    expect(await call('auth.test', { form: { token } })).toMatchObject({ ok: true })
    expect(await call('auth.test', { bearer: 'xoxb-wrong' })).toEqual({ ok: false, error: 'invalid_auth' })
    expect(await call('auth.test', {})).toEqual({ ok: false, error: 'not_authed' })
  })

  test('takes a message as JSON and as a form', async () => {
    expect(await call('chat.postMessage', { bearer: token, json: { channel: 'C1', text: 'one' } })).toMatchObject({
      ok: true,
      channel: 'C1',
    })
    const form = { channel: 'C1', text: 'two', blocks: '[{"type":"divider"}]' }
    expect(await call('chat.postMessage', { bearer: token, form })).toMatchObject({
      ok: true,
      ts: expect.stringMatching(/^\d{10}\.\d{6}$/),
    })
    expect(slack.messages().map(({ text, blocks }) => [text, blocks])).toEqual([
      ['one', []],
      ['two', [{ type: 'divider' }]],
    ])
  })

  test.each([
    ['channel_not_found', { channel: 'C2', text: 'a' }],
    ['no_text', { channel: 'C1', text: '' }],
    ['msg_too_long', { channel: 'C1', text: 'x'.repeat(40_001) }],
    ['invalid_blocks_format', { channel: 'C1', text: 'a', blocks: 'no list' }],
    [
      'invalid_blocks',
      { channel: 'C1', text: 'a', blocks: [{ type: 'section', text: { type: 'mrkdwn', text: 'x'.repeat(3_001) } }] },
    ],
  ])('refuses with %s', async (error, json) => {
    expect(await call('chat.postMessage', { bearer: token, json })).toMatchObject({ ok: false, error })
    expect(slack.messages()).toEqual([])
  })

  describe('with threads and edits', () => {
    const post = (json: Record<string, unknown>) =>
      call('chat.postMessage', { bearer: token, json: { channel: 'C1', text: 'one', ...json } })
    const update = (json: Record<string, unknown>, bearer = token) =>
      call('chat.update', { bearer, json: { channel: 'C1', ...json } })
    const first = () => slack.messages()[0]

    async function posted(): Promise<string> {
      await post({ blocks: [{ type: 'divider' }], metadata: { event_type: 'a' } })
      return first()?.ts ?? ''
    }

    test('says of an answer which message it answers, also where it was sent to another answer', async () => {
      const ts = await posted()
      expect(await post({ thread_ts: ts })).toMatchObject({ ok: true, message: { thread_ts: ts } })
      expect(await post({ thread_ts: slack.messages()[1]?.ts })).toMatchObject({ message: { thread_ts: ts } })
      expect(slack.messages().map(({ threadTs }) => threadTs)).toEqual([undefined, ts, ts])
    })

    test('refuses an answer to a message that is gone or of another channel, or posts it to the channel', async () => {
      const ts = await posted()
      slack.remove({ channel: 'C1', ts })
      expect(await post({ thread_ts: ts })).toEqual({ ok: false, error: 'thread_not_found' })
      await slack.close()
      slack = await startSlackServer({ tokens: [token], lostThreads: 'post' })
      expect(await post({ thread_ts: ts })).not.toHaveProperty('message.thread_ts')
      expect(await post({ channel: 'C2', thread_ts: first()?.ts })).not.toHaveProperty('message.thread_ts')
    })

    test('edits text, blocks and metadata, and keeps what is not said', async () => {
      const ts = await posted()
      expect(await update({ ts, text: 'two', blocks: [{ type: 'header' }] })).toMatchObject({
        ok: true,
        channel: 'C1',
        ts,
        text: 'two',
      })
      expect(first()).toMatchObject({ text: 'two', blocks: [{ type: 'header' }], metadata: { event_type: 'a' } })
      await update({ ts, blocks: [{ type: 'divider' }] })
      expect(first()).toMatchObject({ text: 'two', blocks: [{ type: 'divider' }] })
      await update({ ts, text: 'three', metadata: { event_type: 'b' } })
      expect(first()).toMatchObject({ text: 'three', blocks: [], metadata: { event_type: 'b' } })
      expect(first()?.earlier.map(({ text }) => text)).toEqual(['one', 'two', 'two'])
    })

    test('takes mentions of an edit for something typed, unless it says `parse: none`', async () => {
      const ts = await posted()
      await update({ ts, text: '<@U1> a' })
      expect(first()?.text).toBe('&lt;@U1&gt; a')
      await update({ ts, text: '<@U1> a &lt;', parse: 'none' })
      expect(first()?.text).toBe('<@U1> a &lt;')
    })

    test.each([
      ['message_not_found', { ts: '1.000001', text: 'a' }],
      ['channel_not_found', { channel: 'C2', text: 'a' }],
      ['no_text', { text: '', blocks: [] }],
      ['msg_too_long', { text: 'x'.repeat(4_001) }],
      ['invalid_blocks_format', { text: 'a', blocks: 'no list' }],
    ])('refuses an edit with %s', async (error, json) => {
      const ts = await posted()
      expect(await update({ ts, ...json })).toMatchObject({ ok: false, error })
      expect(first()?.earlier).toEqual([])
    })

    test('lets nobody edit the message of another app, nor one whose time is over', async () => {
      await slack.close()
      let now = Date.parse('2026-11-20T10:00:00Z')
      slack = await startSlackServer({ editWindowMs: 60_000, now: () => now })
      const ts = await posted()
      expect(await update({ ts, text: 'a' }, 'xoxb-another')).toEqual({ ok: false, error: 'cant_update_message' })
      now += 60_001
      expect(await update({ ts, text: 'a' })).toEqual({ ok: false, error: 'edit_window_closed' })
    })

    test('puts a message to a user into a channel of its own, by which alone it can be edited', async () => {
      await slack.close()
      slack = await startSlackServer()
      expect(await post({ channel: 'U0123456789' })).toMatchObject({ ok: true, channel: 'D0123456789' })
      const ts = first()?.ts
      expect(await update({ channel: 'U0123456789', ts, text: 'a' })).toEqual({ ok: false, error: 'channel_not_found' })
      expect(await update({ channel: 'D0123456789', ts, text: 'a' })).toMatchObject({ ok: true })
    })
  })

  test('does not know other methods', async () => {
    expect(await call('chat.delete', { bearer: token })).toMatchObject({ ok: false, error: 'unknown_method' })
  })
})
