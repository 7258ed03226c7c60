import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { HeaderText } from '../../src/config/headers.ts'
import { RelayError } from '../../src/errors.ts'
import { readJob } from '../../src/gemini/job-resource.ts'
import type { Lookup } from '../../src/sinks/http-address.ts'
import { createHttpSink } from '../../src/sinks/http.ts'
import type { LeasedDelivery } from '../../src/types.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'
import { sinkConfig, targetsOf } from '../sinks/config.ts'
import { sinkConformance, type SinkUnderTest } from '../sinks/conformance.ts'
import { accept, answerWith, startReceiver, type Receiver } from '../sinks/receiver.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const silent = pino({ level: 'silent' })
const never = new AbortController().signal

interface Odd {
  config?: Record<string, unknown>
  /** By rule what it says of the sink. */
  rules?: Record<string, Record<string, unknown>>
  lookup?: Lookup
  now?: () => number
  log?: typeof silent
}

function sinkTo(url: string, { config = {}, rules, log = silent, ...odd }: Odd = {}) {
  return createHttpSink({
    name: 'forward',
    config: sinkConfig('http', { url, allow_private: true, timeout: '20s', ...config }),
    targets: targetsOf('forward', rules),
    log,
    ...odd,
  })
}

const shaping = { value: { job: 'event.subject', state: 'event.type' }, headers: { 'X-Job': '{{ event.subject }}' } }

describe.each([
  ['as received', {}],
  ['shaped', shaping],
])('%s', (_, config) => {
  sinkConformance('http', { make: () => underTest(config) })
})

/** A sink with a receiver behind it that does as it is told. */
async function underTest(config: Record<string, unknown>): Promise<SinkUnderTest> {
  const receiver = await startReceiver()
  const seen: string[] = []
  const take = () => {
    receiver.respond((response, request) => {
      seen.push(String(request.headers['webhook-id']))
      accept(response, request)
    })
  }
  take()
  return {
    sink: sinkTo(`http://127.0.0.1:${receiver.port}/hook`, { config }),
    delivery: (n) => leasedDelivery({ id: String(n), event: { webhook_id: `msg_${n}` } }),
    received: async () => seen.map((identity) => ({ identity })),
    failRetryably: () => receiver.respond(answerWith(500)),
    failPermanently: () => receiver.respond(answerWith(422, {}, 'no such job')),
    stall: () => receiver.respond(() => {}),
    limit: (ms) => receiver.respond(answerWith(429, { 'retry-after': String(ms / 1_000) })),
    recover: take,
    dispose: () => receiver.close(),
  }
}

describe('the http sink', () => {
  let receiver: Receiver
  let base: string

  beforeEach(async () => {
    receiver = await startReceiver()
    base = `http://127.0.0.1:${receiver.port}`
  })

  afterEach(async () => {
    await receiver.close()
  })

  async function deliver(odd: Odd & { path?: string } = {}) {
    const sink = sinkTo(`${base}${odd.path ?? '/hook'}`, odd)
    const [outcome] = await sink.deliver([leasedDelivery()], never)
    await sink.close()
    return outcome
  }

  describe('what it sends', () => {
    test('is the stored bytes, also where they are no JSON and no UTF-8', async () => {
      const bodies = [
        Buffer.from('{ "type":\n"batch.failed" , "data": {}}\n'),
        Buffer.from([0x00, 0xff, 0xfe, 0x80]),
        Buffer.alloc(0),
      ]
      const sink = sinkTo(`${base}/hook?a=b`)
      await sink.deliver(
        bodies.map((body) => leasedDelivery({ body })),
        never,
      )
      await sink.close()
      expect(receiver.requests.map(({ body }) => body)).toEqual(bodies)
      expect(receiver.requests[0]).toMatchObject({ method: 'POST', path: '/hook?a=b' })
    })

    test('says which event, rule and delivery it is', async () => {
      const delivery = leasedDelivery({ id: '42', rule: 'everything', event: { webhook_id: 'msg_a.b-c', source: 'gemini' } })
      const sink = sinkTo(base)
      await sink.deliver([delivery], never)
      await sink.close()
      expect(receiver.requests[0]?.headers).toEqual({
        'content-type': 'application/json',
        'content-length': String(delivery.stored.body.length),
        'user-agent': 'gemini-relay',
        'webhook-id': 'msg_a.b-c',
        'relay-source': 'gemini',
        'relay-rule': 'everything',
        'relay-delivery': '42',
        host: `127.0.0.1:${receiver.port}`,
        connection: 'keep-alive',
      })
    })

    test('carries the signature of the published vector', async () => {
      const sink = sinkTo(base, { config: { secret }, now: () => 1_614_265_330_999 })
      await sink.deliver(
        [leasedDelivery({ body: '{"test": 2432232314}', event: { webhook_id: 'msg_p5jXN8AQM9LWM0D4loKWxJek' } })],
        never,
      )
      await sink.close()
      expect(receiver.requests[0]?.headers).toMatchObject({
        'webhook-timestamp': '1614265330',
        'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
      })
    })

    test('is verified by the standardwebhooks package, as sent just now', async () => {
      await deliver({ config: { secret } })
      const [request] = receiver.requests
      const headers = {
        'webhook-id': String(request?.headers['webhook-id']),
        'webhook-timestamp': String(request?.headers['webhook-timestamp']),
        'webhook-signature': String(request?.headers['webhook-signature']),
      }
      expect(new Webhook(secret).verify(String(request?.body), headers)).toMatchObject({ type: 'batch.failed' })
    })

    test('uses one connection for one delivery after another', async () => {
      const sink = sinkTo(base)
      await sink.deliver([leasedDelivery()], never)
      receiver.respond(answerWith(500, {}, 'x'.repeat(10_000)))
      await sink.deliver([leasedDelivery()], never)
      await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(receiver.requests.map(({ connection }) => connection)).toEqual([1, 1, 1])
    })

    test('sends the user and password of the URL as basic authentication, and says neither in a message', async () => {
      receiver.respond(answerWith(400))
      const sink = sinkTo(`http://someone:hunter2@127.0.0.1:${receiver.port}/`)
      const outcomes = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(receiver.requests[0]?.headers.authorization).toBe(`Basic ${Buffer.from('someone:hunter2').toString('base64')}`)
      expect(JSON.stringify(outcomes)).not.toMatch(/someone|hunter2/)
    })
  })

  describe('a value', () => {
    const event = { subject: 'batches/é', data: { n: 1 } }

    async function send(config: Record<string, unknown>, rules?: Record<string, Record<string, unknown>>, rule = 'everything') {
      const sink = sinkTo(base, { config, ...(rules && { rules }) })
      const [outcome] = await sink.deliver([leasedDelivery({ rule, event: { webhook_id: 'msg_1', ...event } })], never)
      await sink.close()
      return { outcome, request: receiver.requests[0] }
    }

    test.each([
      ['an expression', '{"job": event.subject, "state": "done", "n": 9007199254740993}'],
      ['a map', { job: 'event.subject', state: "'done'", n: '9007199254740993' }],
    ])('written as %s is the body, as JSON', async (_, value) => {
      const { request } = await send({ value })
      expect(request?.body.toString()).toBe('{"job":"batches/é","state":"done","n":"9007199254740993"}')
      expect(request?.headers).toMatchObject({
        'content-type': 'application/json',
        'content-length': String(request?.body.length),
        'webhook-id': 'msg_1',
      })
    })

    test('is what the signature is made over: the standardwebhooks package takes it, and not the event', async () => {
      const { request } = await send({ secret, value: { job: 'event.subject' } })
      const headers = Object.fromEntries(
        ['webhook-id', 'webhook-timestamp', 'webhook-signature'].map((name) => [name, String(request?.headers[name])]),
      )
      expect(new Webhook(secret).verify(String(request?.body), headers)).toEqual({ job: 'batches/é' })
      expect(() => new Webhook(secret).verify('{}', headers)).toThrow('No matching signature')
    })

    test('of a rule takes the place of that of the sink', async () => {
      const rules = { everything: {}, own: { value: ['event.type'] } }
      expect((await send({ value: 'event.subject' }, rules, 'own')).request?.body.toString()).toBe('["batch.failed"]')
    })

    test('shows the job where it was fetched', async () => {
      const sink = sinkTo(base, { config: { value: { state: 'event.resource.?state.orValue("unknown")' } } })
      await sink.deliver([leasedDelivery({ resource: readJob('batch', {}) }), leasedDelivery()], never)
      await sink.close()
      expect(receiver.requests.map(({ body }) => body.toString())).toEqual(['{"state":null}', '{"state":"unknown"}'])
    })

    test.each([
      ['lacks', { state: 'event.data.state' }, 'sink forward: value.state: '],
      ['fails on', '1 / (event.data.n == 1.0 ? 0 : 1)', 'sink forward: value: '],
    ])('that the event %s ends the delivery, and nothing is sent', async (_, value, message) => {
      const { outcome, request } = await send({ value })
      expect(outcome).toMatchObject({ code: 'expression_error', message: expect.stringContaining(message) })
      expect(request).toBeUndefined()
    })
  })

  describe('headers', () => {
    /** As the loader makes it of a text with a variable in it. */
    const secretText = (text: string, ...secrets: string[]) => ({ text, secrets })

    function sinkWith(headers: Record<string, HeaderText>, rules?: Record<string, Record<string, unknown>>) {
      const config = { ...sinkConfig('http', { url: base, allow_private: true }), headers }
      return createHttpSink({ name: 'forward', config, targets: targetsOf('forward', rules), log: silent })
    }

    async function sent(odd: Odd, ...batch: LeasedDelivery[]) {
      const sink = sinkTo(base, odd)
      const outcomes = await sink.deliver(batch, never)
      await sink.close()
      return { outcomes, requests: receiver.requests.map(({ headers }) => headers) }
    }

    test('are added, as Liquid without escaping; content-type and user-agent may be said anew', async () => {
      const headers = {
        'X-Job': '{{ event.subject }} & <{{ event.type | upcase }}>',
        'Content-Type': 'application/cloudevents+json',
        'user-agent': 'jobs',
        'x-latin': 'é',
      }
      const { requests } = await sent({ config: { headers } }, leasedDelivery({ event: { webhook_id: 'msg_1' } }))
      expect(requests[0]).toMatchObject({
        'x-job': 'batches/b1 & <BATCH.FAILED>',
        'content-type': 'application/cloudevents+json',
        'user-agent': 'jobs',
        'x-latin': 'é',
        'webhook-id': 'msg_1',
      })
    })

    test('of a rule come over those of the sink, whatever their case; null takes one away', async () => {
      const headers = { 'X-Team': 'all', 'X-Region': 'eu', 'x-kept': 'yes' }
      const rules = { everything: {}, own: { headers: { 'x-team': 'mine', 'X-REGION': null, 'x-new': '{{ event.source }}' } } }
      const { requests } = await sent({ config: { headers }, rules }, leasedDelivery(), leasedDelivery({ rule: 'own' }))
      expect(requests[0]).toMatchObject({ 'x-team': 'all', 'x-region': 'eu', 'x-kept': 'yes' })
      expect(requests[1]).toMatchObject({ 'x-team': 'mine', 'x-kept': 'yes', 'x-new': 'gemini' })
      expect(requests[1]).not.toHaveProperty('x-region')
    })

    test('that show nothing are left out', async () => {
      const { requests } = await sent({ config: { headers: { 'x-none': ' {{ event.data.nothing }}' } } }, leasedDelivery())
      expect(requests[0]).not.toHaveProperty('x-none')
    })

    test.each(['a\r\nx-injected: 1', 'a\nb', 'a\rb', 'a\u0000b', 'a\u0007b', 'a\u007fb', '\u0141', '\ud83d\ude00', 'end\n'])(
      'that would hold %j end the delivery, and nothing is sent',
      async (subject) => {
        const { outcomes, requests } = await sent(
          { config: { headers: { 'x-job': '{{ event.subject }}' } } },
          leasedDelivery({ event: { subject } }),
          leasedDelivery(),
        )
        expect(outcomes).toEqual([
          {
            status: 'failed',
            code: 'template_error',
            message: 'sink forward: header x-job: a header holds one line of Latin-1: no line break, no other control character',
          },
          { status: 'delivered' },
        ])
        expect(requests).toHaveLength(1)
      },
    )

    test('say in no message what came from a variable, as it is, in a word or made into another', async () => {
      const sink = sinkWith({
        authorization: secretText('Bearer t0ken-of-ours', 't0ken-of-ours'),
        'x-basic': secretText('Basic {{ "me:pass" | base64_encode }}', 'pass'),
        'x-plain': secretText('plain words'),
      })
      receiver.respond((response, { headers }) => response.writeHead(400).end(JSON.stringify(headers)))
      const [outcome] = await sink.deliver([leasedDelivery({ event: { webhook_id: 'm' } })], never)
      receiver.respond(answerWith(400, {}, `no t0ken-of-ours, no ${Buffer.from('me:pass').toString('base64')}, plain words`))
      const [again] = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(JSON.stringify([outcome, again])).not.toMatch(/t0ken|bWU6cGFzcw/)
      expect(again).toMatchObject({ message: expect.stringContaining('no [hidden], no [hidden], plain words') })
    })

    test('do not quote a text from a variable when it fails', async () => {
      const failing = '{% for i in (1..90000000) %}hunter2{% endfor %}'
      const sink = sinkWith({ 'x-a': secretText(failing, failing) })
      const outcomes = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(outcomes).toMatchObject([{ code: 'template_error', message: expect.stringContaining('header x-a: ') }])
      expect(JSON.stringify(outcomes)).not.toContain('hunter2')
      expect(receiver.requests).toEqual([])
    })
  })

  describe('a secret', () => {
    test.each([
      ['whsec_'],
      ['whsec_!!!!'],
      ['plain text'],
      [`${secret} `],
      [`whsec_${Buffer.alloc(23).toString('base64')}`],
      [`whsec_${Buffer.alloc(65).toString('base64')}`],
      [`whsec_${Buffer.alloc(25).toString('base64').replaceAll('=', '')}`],
      [`whsk_${Buffer.alloc(32).toString('base64')}`],
    ])('like %j is refused at start, by the name of the sink and without showing it', (bad) => {
      let thrown: unknown
      try {
        sinkTo(base, { config: { secret: bad } })
      } catch (error) {
        thrown = error
      }
      expect(thrown).toBeInstanceOf(RelayError)
      expect(thrown).toMatchObject({
        code: 'config_invalid',
        message: expect.stringMatching(/^sink forward: secret (is not base64|holds \d+ bytes, expected 24 to 64)$/),
      })
    })

    test.each([[24], [64]])('of %d bytes is taken', async (bytes) => {
      expect(await deliver({ config: { secret: `whsec_${Buffer.alloc(bytes, 7).toString('base64')}` } })).toEqual({
        status: 'delivered',
      })
    })
  })

  describe('an answer', () => {
    test.each([[200], [201], [202], [204], [299]])('%d is success', async (status) => {
      receiver.respond(answerWith(status))
      expect(await deliver()).toEqual({ status: 'delivered' })
    })

    test.each([
      [300, 'rejected'],
      [304, 'rejected'],
      [400, 'rejected'],
      [401, 'rejected'],
      [403, 'rejected'],
      [404, 'rejected'],
      [408, 'unavailable'],
      [410, 'gone'],
      [413, 'rejected'],
      [422, 'rejected'],
      [425, 'unavailable'],
      [429, 'rate_limited'],
      [500, 'unavailable'],
      [502, 'unavailable'],
      [503, 'unavailable'],
      [504, 'unavailable'],
    ])('%d is %s', async (status, code) => {
      receiver.respond(answerWith(status, {}, 'because'))
      const message = expect.stringContaining(status === 304 ? '304' : `127.0.0.1:${receiver.port} answered ${status}: because`)
      expect(await deliver()).toMatchObject({ status: 'failed', code, message })
    })

    test.each([[301], [302], [303], [307], [308]])('%d is not followed', async (status) => {
      receiver.respond(answerWith(status, { location: `${base}/elsewhere` }))
      expect(await deliver()).toMatchObject({ code: 'rejected', message: expect.stringContaining('redirects are not followed') })
      expect(receiver.requests.map(({ path }) => path)).toEqual(['/hook'])
    })

    test.each([
      [429, '7', 7_000],
      [429, '0', 1_000],
      [429, '99999', 3_600_000],
      [429, 'soon', 30_000],
      [503, '7', 7_000],
      [503, 'soon', undefined],
      [500, '7', 7_000],
    ])('%d with Retry-After %s asks for %s ms', async (status, retryAfter, ms) => {
      receiver.respond(answerWith(status, { 'retry-after': retryAfter }))
      const outcome = await deliver()
      expect(outcome).toMatchObject({ status: 'failed' })
      expect(outcome && 'retryAfterMs' in outcome ? outcome.retryAfterMs : undefined).toBe(ms)
    })

    test('is shown by its first 200 printable characters', async () => {
      receiver.respond(answerWith(400, {}, Buffer.from(`no\u0000\u001b[31m\r\n${'é'.repeat(300)}\xff`)))
      expect(await deliver()).toMatchObject({ message: `127.0.0.1:${receiver.port} answered 400: no [31m ${'é'.repeat(192)}` })
    })

    test.each([
      ['Cannot POST /hooks/T0PSECRET%20PATH?key=abc+def%2F123', 'Cannot POST [hidden]'],
      ['no such hook: T0PSECRET PATH', 'no such hook: [hidden]'],
      ['{"path":"\\/hooks\\/T0PSECRET%20PATH","key":"abc+def/123"}', '{"path":"\\/hooks\\/[hidden]","key":"[hidden]"}'],
      [`authorization: Basic ${Buffer.from('token-as-user:hunter 2').toString('base64')}`, 'authorization: Basic [hidden]'],
      ['token-as-user may not, nor with hunter 2 nor hunter%202', '[hidden] may not, nor with [hidden] nor [hidden]'],
      [`expected a signature by ${secret}`, 'expected a signature by [hidden]'],
      [`the key is ${secret.slice(6)}`, 'the key is [hidden]'],
      [`${'.'.repeat(190)}${secret}`, `${'.'.repeat(190)}[hidden]`],
    ])('is shown without the secrets of the sink, here in %j', async (body, shown) => {
      receiver.respond(answerWith(400, {}, body))
      const at = `127.0.0.1:${receiver.port}`
      const sink = sinkTo(`http://token-as-user:hunter%202@${at}/hooks/T0PSECRET%20PATH?key=abc+def%2F123`, {
        config: { secret },
      })
      const outcomes = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(outcomes).toMatchObject([{ code: 'rejected', message: `${at} answered 400: ${shown}` }])
    })

    test('is shown with the short words of the URL, which say where and not who', async () => {
      receiver.respond(answerWith(400, {}, 'POST [/a/hook] takes no hook of version 1'))
      const sink = sinkTo(`http://127.0.0.1:${receiver.port}/a/hook?v=1`)
      const [outcome] = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(outcome).toMatchObject({ message: expect.stringContaining('POST [/a/hook] takes no hook of version 1') })
    })

    test('that never ends is given up after 64 KiB, and its status counts', async () => {
      let written = 0
      const endless = (status: number) => {
        receiver.respond((response) => {
          response.writeHead(status)
          const more = () => {
            do written += 16_384
            while (!response.destroyed && response.write('x'.repeat(16_384)))
          }
          response.on('drain', more)
          more()
        })
      }
      endless(200)
      expect(await deliver()).toEqual({ status: 'delivered' })
      endless(500)
      expect(await deliver()).toMatchObject({ code: 'unavailable', message: expect.stringMatching(/answered 500: x{200}$/) })
      // What was read, and what the buffers of two connections hold.
      expect(written).toBeLessThan(20_000_000)
    })

    test('whose body stalls after the status counts as its status', async () => {
      receiver.respond((response) => void response.writeHead(200, { 'content-length': '10' }).write('half'))
      expect(await deliver()).toEqual({ status: 'delivered' })
      receiver.respond((response) => void response.writeHead(400, { 'content-length': '10' }).write('half'))
      expect(await deliver()).toMatchObject({ code: 'rejected', message: expect.stringContaining('half') })
    })

    test('that limits the rate ends the calls of the batch', async () => {
      receiver.respond(answerWith(429, { 'retry-after': '2' }))
      const sink = sinkTo(base)
      const outcomes = await sink.deliver([leasedDelivery(), leasedDelivery(), leasedDelivery()], never)
      await sink.close()
      const limited = { code: 'rate_limited', retryAfterMs: 2_000 }
      expect(outcomes).toMatchObject([limited, limited, limited])
      expect(receiver.requests).toHaveLength(1)
    })
  })

  describe('the way there', () => {
    test('without an answer in time is a timeout, without anybody aborting', async () => {
      receiver.respond(() => {})
      expect(await deliver({ config: { timeout: '100ms' } })).toMatchObject({ code: 'timeout' })
    })

    test('with a connection that is closed, or never opened, can pass', async () => {
      receiver.respond((response) => void response.destroy())
      expect(await deliver()).toMatchObject({ code: 'unavailable', message: expect.stringContaining('cannot be reached') })
      await receiver.close()
      expect(await deliver()).toMatchObject({ code: 'unavailable', message: expect.stringContaining('ECONNREFUSED') })
    })

    test('to a host that does not exist can pass', async () => {
      const sink = sinkTo('http://receiver.invalid/', { config: { allow_private: false } })
      const [outcome] = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      expect(outcome).toMatchObject({
        code: 'unavailable',
        message: expect.stringMatching(/receiver\.invalid.*(ENOTFOUND|EAI_AGAIN)/),
      })
    })

    test('with a certificate that nobody vouches for is not taken', async () => {
      const secure = await startReceiver(selfSigned)
      const sink = sinkTo(`https://localhost:${secure.port}/`, { lookup: async () => [{ address: '127.0.0.1', family: 4 }] })
      const [outcome] = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      await secure.close()
      expect(outcome).toMatchObject({ code: 'unavailable', message: expect.stringContaining('self-signed certificate') })
      expect(secure.requests).toEqual([])
    })
  })

  describe('an address inside', () => {
    test.each([['127.0.0.1'], ['[::1]'], ['[::ffff:127.0.0.1]'], ['2130706433'], ['0x7f.1'], ['0'], ['169.254.169.254']])(
      'written as %s is refused for good, and nothing is sent',
      async (host) => {
        const sink = sinkTo(`http://${host}:${receiver.port}/`, { config: { allow_private: false } })
        const [outcome] = await sink.deliver([leasedDelivery()], never)
        await sink.close()
        expect(outcome).toMatchObject({
          status: 'failed',
          code: 'address_refused',
          message: expect.stringContaining('allow_private'),
        })
        expect(receiver.requests).toEqual([])
      },
    )

    test('behind a name is refused after the system has resolved it', async () => {
      const sink = sinkTo(`http://localhost:${receiver.port}/`, { config: { allow_private: false } })
      const [outcome] = await sink.deliver([leasedDelivery()], never)
      await sink.close()
      const message = expect.stringMatching(/^localhost resolves to (127\.0\.0\.1|::1), which is in the loopback range/)
      expect(outcome).toMatchObject({ code: 'address_refused', message })
      expect(receiver.requests).toEqual([])
    })

    test('is refused over TLS too', async () => {
      const sink = sinkTo(`https://localhost:${receiver.port}/`, { config: { allow_private: false } })
      expect(await sink.deliver([leasedDelivery()], never)).toMatchObject([{ code: 'address_refused' }])
      await sink.close()
    })

    test('is refused when a name that was public turns to it', async () => {
      const addresses = ['203.0.113.1', '127.0.0.1']
      const asked: string[] = []
      const lookup: Lookup = async (host) => {
        asked.push(host)
        return [{ address: addresses.shift() ?? '127.0.0.1', family: 4 }]
      }
      const sink = sinkTo(`http://jobs.example:${receiver.port}/`, { config: { allow_private: false }, lookup })
      expect(await sink.deliver([leasedDelivery(), leasedDelivery()], never)).toMatchObject([
        { code: 'address_refused' },
        { code: 'address_refused' },
      ])
      await sink.close()
      expect(asked).toEqual(['jobs.example', 'jobs.example'])
      expect(receiver.requests).toEqual([])
    })

    test('is reached where the sink says allow_private, by name as well', async () => {
      expect(await deliver()).toEqual({ status: 'delivered' })
      const sink = sinkTo(`http://jobs.example:${receiver.port}/`, { lookup: async () => [{ address: '127.0.0.1', family: 4 }] })
      expect(await sink.deliver([leasedDelivery()], never)).toEqual([{ status: 'delivered' }])
      await sink.close()
    })

    test('in the URL itself is announced at start', async () => {
      const lines = new PassThrough()
      const sink = sinkTo('http://127.0.0.1/', { config: { allow_private: false }, log: pino(lines) })
      await sink.start()
      await sink.close()
      expect(String(lines.read())).toContain('sink forward can deliver nothing: 127.0.0.1 is in the loopback range')
    })
  })
})

/** For localhost, signed by itself, valid until 2126; it protects nothing. */
const selfSigned = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+ylvAdzVqErEhFRG
+Q4bsCHLq5Q3/ruYAKKak+uYmzmhRANCAAR9xeS+3XdOox+J/BpiGIBe+DmRWPQY
XoDWDHUJ7sIKDy2LyPo7H5bCemAZrcQ318FqG6fN8m0u8LPxbNd4GVq6
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBljCCATugAwIBAgIUFY9cSCuzl15L2e5IrBQKi2VJF5MwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA5NTEzOVoYDzIxMjYxMDI4
MDk1MTM5WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR9xeS+3XdOox+J/BpiGIBe+DmRWPQYXoDWDHUJ7sIKDy2LyPo7H5bC
emAZrcQ318FqG6fN8m0u8LPxbNd4GVq6o2kwZzAdBgNVHQ4EFgQUHSZNTTU+Vx0i
axCf7oy65Xg5KjUwHwYDVR0jBBgwFoAUHSZNTTU+Vx0iaxCf7oy65Xg5KjUwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglsb2NhbGhvc3QwCgYIKoZIzj0EAwID
SQAwRgIhAPhk47p8Q7hfufjwGYRdCuFQjFDTr3dRTb2eAcZfknUYAiEApnIKt9Hf
VNB2+S2bUUErRA13UgtvGCkOrKm79v08IUY=
-----END CERTIFICATE-----`,
}
