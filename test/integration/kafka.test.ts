import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TlsOptions } from 'node:tls'
import { promisify } from 'node:util'
import { Kafka, logLevel } from 'kafkajs'
import { expect, onTestFinished, test } from 'vitest'
import type { SinkConfigOf, TargetConfig } from '../../src/config/schema.ts'
import { sinkSchema } from '../../src/config/sink-schema.ts'
import type { Log } from '../../src/log.ts'
import { readJob } from '../../src/gemini/job-resource.ts'
import { createKafkaSink } from '../../src/sinks/kafka.ts'
import type { Sink } from '../../src/sinks/sink.ts'
import type { LeasedDelivery, Outcome } from '../../src/types.ts'
import { leasedDelivery, storedEvent } from '../fixtures/deliveries.ts'
import { kafkaUsers, type TestKafka } from '../setup/kafka-broker.ts'
import { startKafkaProxy, type KafkaProxyOptions } from '../setup/kafka-proxy.ts'
import { createTopics, kafkaSuite, ownKafkaSuite, readTopic } from '../setup/kafka-suite.ts'

const delivered = { status: 'delivered' }
const failedWith = (code: string, message: string): unknown =>
  expect.objectContaining({ status: 'failed', code, message: expect.stringContaining(message) })

const uniqueTopic = (): string => `relay-${randomUUID()}`

function configOf(odd: Record<string, unknown>): SinkConfigOf<'kafka'> {
  const config = sinkSchema.parse({ type: 'kafka', ...odd })
  if (config.type !== 'kafka') throw new Error('expected a kafka sink')
  return config
}

/** A sink that is closed with the test. By default the rule `everything` feeds it and overrides nothing. */
function openSink(
  odd: Record<string, unknown>,
  rules: Record<string, Omit<TargetConfig, 'sink'>> = { everything: {} },
  log: Log = silent(),
): Sink {
  const targets = Object.entries(rules).map(([rule, target]) => ({ rule, target: { sink: 'stream', ...target } }))
  const sink = createKafkaSink({ name: 'stream', config: configOf(odd), targets, log })
  onTestFinished(() => sink.close())
  return sink
}

/** The log of a test that does not look at it, or collects its lines. */
function silent(lines: unknown[] = []): Log {
  const keep = (...line: unknown[]): void => void lines.push(line)
  return { debug: keep, info: keep, warn: keep, error: keep }
}

const untilDone = new AbortController().signal
const deliver = (sink: Sink, ...batch: LeasedDelivery[]): Promise<Outcome[]> => sink.deliver(batch, untilDone)

async function openProxy(options: KafkaProxyOptions) {
  const proxy = await startKafkaProxy(options)
  onTestFinished(() => proxy.stop())
  return proxy
}

async function newTopic(kafka: TestKafka, config: Record<string, string> = {}, partitions = 1): Promise<string> {
  const topic = uniqueTopic()
  await createTopics(kafka, { topic, partitions, config })
  return topic
}

kafkaSuite('the kafka sink, read back by kcat', (kafka) => {
  test('writes the envelope with the ids added, keyed by the subject', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic })
    const body = '{"type":"batch.failed","data":{"id":"batches/b1","n":1e400000}}'
    const event = { webhook_id: 'msg_json', subject: 'batches/b1', received_at: '2026-11-20T10:00:01.000Z' }

    expect(await deliver(sink, leasedDelivery({ event, body }))).toEqual([delivered])
    expect(await readTopic(kafka(), topic)).toEqual([
      {
        key: 'batches/b1',
        value: `${body.slice(0, -1)},"source":"gemini","webhook_id":"msg_json","received_at":"2026-11-20T10:00:01.000Z"}`,
        headers: { 'webhook-id': 'msg_json', 'webhook-source': 'gemini', 'content-type': 'application/json' },
      },
    ])
  })

  test('writes a CloudEvent in binary mode with the body as received', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic, format: 'cloudevents' })
    const body = ' {"type":"batch.failed","data":{"id":"batches/b1"}} '
    const event = { webhook_id: 'msg_ce', subject: 'batches/b1', timestamp: '2026-11-20T10:00:00Z' }

    expect(await deliver(sink, leasedDelivery({ event, body }))).toEqual([delivered])
    expect(await readTopic(kafka(), topic)).toEqual([
      {
        key: 'batches/b1',
        value: body,
        headers: {
          'webhook-id': 'msg_ce',
          'webhook-source': 'gemini',
          'content-type': 'application/json',
          ce_specversion: '1.0',
          ce_id: 'msg_ce',
          ce_type: 'batch.failed',
          ce_source: 'gemini',
          ce_subject: 'batches/b1',
          ce_time: '2026-11-20T10:00:00Z',
        },
      },
    ])
  })

  test('writes a type with a lone surrogate, a subject with NUL and a body that is no UTF-8', async () => {
    const topic = await newTopic(kafka())
    const event = { type: 'a\ud800', subject: 'a\u0000b' }
    for (const format of ['json', 'cloudevents']) {
      const sink = openSink({ brokers: kafka().brokers, topic, format })
      expect(await deliver(sink, leasedDelivery({ event, body: Buffer.from([0xff, 0xfe]) }))).toEqual([delivered])
    }
    expect(await readTopic(kafka(), topic)).toMatchObject([{ key: 'a\u0000b' }, { headers: { ce_type: 'a\ufffd' } }])
  })

  test('sends one batch to the topics and with the keys that its rules name, in order', async () => {
    const [first, second] = [await newTopic(kafka()), await newTopic(kafka())]
    const sink = openSink(
      { brokers: kafka().brokers, topic: first },
      { plain: {}, urgent: { topic: second, key: 'event.source + "/" + event.webhook_id' } },
    )
    const outcomes = await deliver(
      sink,
      leasedDelivery({ rule: 'plain', event: { webhook_id: 'a', subject: 's' } }),
      leasedDelivery({ rule: 'urgent', event: { webhook_id: 'b', subject: 's' } }),
      leasedDelivery({ rule: 'plain', event: { webhook_id: 'c', subject: 's' } }),
      leasedDelivery({ rule: 'urgent', event: { webhook_id: 'd', subject: 's' } }),
    )
    expect(outcomes).toEqual([delivered, delivered, delivered, delivered])
    expect((await readTopic(kafka(), first)).map(({ key, headers }) => [key, headers['webhook-id']])).toEqual([
      ['s', 'a'],
      ['s', 'c'],
    ])
    expect((await readTopic(kafka(), second)).map(({ key }) => key)).toEqual(['gemini/b', 'gemini/d'])
  })

  test.each([
    ['null', 'null', null],
    ['missing in this event', 'event.data.nothing', null],
    ['an integer', 'int(event.data.error_code)', '13'],
    ['a list', '[event.source, event.type]', '["gemini","batch.failed"]'],
  ])('writes the right key when it is %s', async (_what, key, expected) => {
    const topic = await newTopic(kafka())
    expect(await deliver(openSink({ brokers: kafka().brokers, topic, key }), leasedDelivery())).toEqual([delivered])
    expect((await readTopic(kafka(), topic)).map((record) => record.key)).toEqual([expected])
  })

  test('writes the key that the job of an enriched event gives, none where there is none, and the value as it would be', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic, key: 'event.resource.model' })
    const resource = readJob('batch', { metadata: { model: 'models/m' } })
    const event = { webhook_id: 'a' }
    const all = [leasedDelivery({ event, resource }), leasedDelivery({ event, resource: null }), leasedDelivery({ event })]
    expect(await deliver(sink, ...all)).toEqual([delivered, delivered, delivered])
    const records = await readTopic(kafka(), topic)
    expect(records.map(({ key }) => key)).toEqual(['models/m', null, null])
    expect(new Set(records.map(({ value }) => value)).size).toBe(1)
  })

  test.each(['json', 'cloudevents'])('writes what `value` makes, in the format %s', async (format) => {
    const topic = await newTopic(kafka())
    const sink = openSink(
      { brokers: kafka().brokers, topic, format, value: { job: 'event.subject', code: 'event.data.error_code' } },
      { everything: {}, own: { value: 'event.type' } },
    )
    const batch = [
      // No JSON, but what is made of it is.
      leasedDelivery({ body: Buffer.from([0xff]), event: { webhook_id: 'a', subject: 'é' } }),
      leasedDelivery({ event: { data: {} } }),
      leasedDelivery({ rule: 'own' }),
    ]
    expect(await deliver(sink, ...batch)).toEqual([delivered, failedWith('expression_error', 'value.code: '), delivered])
    const [shaped, own] = await readTopic(kafka(), topic)
    const attributes = { ce_id: 'a', ce_type: 'batch.failed', ce_subject: 'é', ce_source: 'gemini' }
    expect(shaped).toMatchObject({
      key: 'é',
      value: '{"job":"é","code":13}',
      headers: { 'webhook-id': 'a', 'content-type': 'application/json', ...(format === 'cloudevents' && attributes) },
    })
    expect(own?.value).toBe('"batch.failed"')
  })

  test('writes to the topic that an expression gives, of the sink or of a rule', async () => {
    const [first, second, third] = [await newTopic(kafka()), await newTopic(kafka()), await newTopic(kafka())]
    const sink = openSink(
      { brokers: kafka().brokers, topic: { value: 'event.data.topic' } },
      { everything: {}, own: { topic: { value: 'event.user_metadata.topic' } }, plain: { topic: third } },
    )
    const batch = [
      leasedDelivery({ event: { webhook_id: 'a', data: { topic: first } } }),
      leasedDelivery({ event: { webhook_id: 'b', data: { topic: second } } }),
      leasedDelivery({ rule: 'own', event: { webhook_id: 'c', user_metadata: { topic: first } } }),
      leasedDelivery({ rule: 'plain', event: { webhook_id: 'd' } }),
    ]
    expect(await deliver(sink, ...batch)).toEqual(batch.map(() => delivered))
    const ids = async (topic: string) => (await readTopic(kafka(), topic)).map(({ headers }) => headers['webhook-id'])
    expect(await Promise.all([first, second, third].map(ids))).toEqual([['a', 'c'], ['b'], ['d']])
  })

  test('fails only the delivery whose topic is none, and says what it was', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic: { value: 'event.data.topic' } })
    const named = (name: unknown) => leasedDelivery({ event: { data: { topic: name } } })
    const lacking = leasedDelivery({ event: { data: {} } })
    expect(await deliver(sink, named('a b'), named(null), named('x'.repeat(5_000)), lacking, named(topic))).toEqual([
      failedWith('expression_error', 'topic: "a b" is no topic: expected a topic name'),
      failedWith('expression_error', 'topic: null is no topic'),
      failedWith('expression_error', 'xxx… is no topic'),
      failedWith('expression_error', 'topic: No such key'),
      delivered,
    ])
    expect(await readTopic(kafka(), topic)).toHaveLength(1)
  })

  test('fails only the delivery whose key cannot be evaluated', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic, key: 'int(event.subject)' })
    const outcomes = await deliver(
      sink,
      leasedDelivery({ event: { subject: 'no number' } }),
      leasedDelivery({ event: { subject: '7' } }),
    )
    expect(outcomes).toEqual([failedWith('expression_error', 'key:'), delivered])
    expect((await readTopic(kafka(), topic)).map((record) => record.key)).toEqual(['7'])
  })

  test('gives a redelivery the same webhook-id header', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic })
    const stored = storedEvent()
    await deliver(sink, leasedDelivery({ stored }))
    await deliver(sink, leasedDelivery({ stored, attempts: 1 }))
    const [first, again] = await readTopic(kafka(), topic)
    expect(again).toEqual(first)
    expect(again?.headers['webhook-id']).toBe(stored.event.webhook_id)
  })

  test('names a topic that does not exist, delivers to the others, and to it once it is there', async () => {
    const [present, absent] = [await newTopic(kafka()), uniqueTopic()]
    const sink = openSink({ brokers: kafka().brokers, topic: present }, { plain: {}, lost: { topic: absent } })
    const [plain, lost] = [leasedDelivery({ rule: 'plain' }), leasedDelivery({ rule: 'lost' })]

    expect(await deliver(sink, lost, plain)).toEqual([failedWith('topic_missing', `"${absent}"`), delivered])
    await createTopics(kafka(), { topic: absent })
    expect(await deliver(sink, lost)).toEqual([delivered])
    expect(await readTopic(kafka(), absent)).toHaveLength(1)
    expect(await readTopic(kafka(), present)).toHaveLength(1)
  })

  test('goes on with the other topics when one is deleted while it is in use', async () => {
    const [kept, deleted] = [await newTopic(kafka()), await newTopic(kafka())]
    const sink = openSink({ brokers: kafka().brokers, topic: kept }, { plain: {}, lost: { topic: deleted } })
    const both = [leasedDelivery({ rule: 'plain' }), leasedDelivery({ rule: 'lost' })]
    expect(await deliver(sink, ...both)).toEqual([delivered, delivered])

    const admin = new Kafka({ brokers: kafka().brokers, logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    await admin.deleteTopics({ topics: [deleted] })
    await admin.disconnect()
    expect(await deliver(sink, ...both)).toEqual([delivered, failedWith('topic_missing', `"${deleted}"`)])
  })

  test('refuses a record over the limit alone: its companions arrive once each', async () => {
    const topic = await newTopic(kafka(), {}, 3)
    const sink = openSink({ brokers: kafka().brokers, topic, key: 'event.webhook_id' })
    const batch = Array.from({ length: 20 }, (_, at) => {
      const filler = 'x'.repeat(at === 7 ? 1_200_000 : 10)
      return leasedDelivery({ body: JSON.stringify({ type: 'batch.failed', filler }) })
    })
    const outcomes = await deliver(sink, ...batch)
    expect(outcomes[7]).toEqual(failedWith('too_large', `"${topic}"`))
    expect(outcomes.filter(({ status }) => status === 'delivered')).toHaveLength(19)
    expect(await readTopic(kafka(), topic)).toHaveLength(19)
  })

  test('delivers once each what is together more than one request may hold', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic })
    const body = JSON.stringify({ type: 'batch.failed', filler: 'x'.repeat(20_000) })
    const batch = Array.from({ length: 120 }, () => leasedDelivery({ body }))
    expect(await deliver(sink, ...batch)).toEqual(batch.map(() => delivered))
    const ids = (await readTopic(kafka(), topic)).map(({ headers }) => headers['webhook-id'])
    expect(ids).toEqual(batch.map(({ stored }) => stored.event.webhook_id))
  })

  test('finds what fits where the topic has a limit of its own', async () => {
    const topic = await newTopic(kafka(), { 'max.message.bytes': '10000' })
    const sink = openSink({ brokers: kafka().brokers, topic })
    const batch = Array.from({ length: 40 }, (_, at) => {
      const filler = 'x'.repeat(at === 30 ? 12_000 : 1_000)
      return leasedDelivery({ body: JSON.stringify({ type: 'batch.failed', filler }) })
    })
    const outcomes = await deliver(sink, ...batch)
    expect(outcomes[30]).toEqual(failedWith('too_large', 'max.message.bytes'))
    expect(outcomes.filter(({ status }) => status === 'delivered')).toHaveLength(39)
    expect(await readTopic(kafka(), topic)).toHaveLength(39)
  })

  test('refuses for good the one record of a batch that Kafka does not accept', async () => {
    const topic = await newTopic(kafka(), { 'cleanup.policy': 'compact' })
    const sink = openSink({ brokers: kafka().brokers, topic, key: 'event.data.?id' })
    const outcomes = await deliver(sink, leasedDelivery(), leasedDelivery({ event: { data: {} } }), leasedDelivery())
    expect(outcomes).toEqual([delivered, failedWith('rejected', `"${topic}"`), delivered])
  })

  test('answers an empty batch with nothing', async () => {
    expect(await deliver(openSink({ brokers: kafka().brokers, topic: uniqueTopic() }))).toEqual([])
  })
})

ownKafkaSuite('the kafka sink on a listener with SASL', (kafka) => {
  const { writer, stranger } = kafkaUsers
  const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512']
  const saslOf = (): string[] => [`127.0.0.1:${kafka().own.saslPort}`]

  test.each(mechanisms)('delivers with %s', async (mechanism) => {
    const brokers = saslOf()
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers, topic, sasl: { mechanism, ...writer } })
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
    expect(await readTopic(kafka(), topic)).toHaveLength(1)
  })

  test.each(mechanisms)('is refused for good with a wrong password by %s, and says it nowhere', async (mechanism) => {
    const lines: unknown[] = []
    const password = 'wrong-secret'
    const sasl = { mechanism, username: writer.username, password }
    const sink = openSink({ brokers: saslOf(), topic: 'any', sasl }, undefined, silent(lines))
    const outcomes = await deliver(sink, leasedDelivery())
    expect(outcomes).toEqual([failedWith('unauthorized', saslOf().join(', '))])
    expect(JSON.stringify([lines, outcomes])).not.toContain(password)
  })

  test('is refused by name a topic that its user may not write to', async () => {
    const brokers = saslOf()
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers, topic, sasl: { mechanism: 'plain', ...stranger } })
    expect(await deliver(sink, leasedDelivery())).toEqual([failedWith('unauthorized', `"${topic}"`)])
  })

  test.each(mechanisms)('tries again when the connection breaks while it authenticates by %s', async (mechanism) => {
    const { port } = await openProxy({ upstreamPort: kafka().own.saslPort, cutAt: saslAuthenticate })
    const sink = openSink({ brokers: [`127.0.0.1:${port}`], topic: 'any', sasl: { mechanism, ...writer } })
    expect(await deliver(sink, leasedDelivery())).toEqual([failedWith('unavailable', `127.0.0.1:${port}`)])
  })
})

/** Api key of the request that carries a password or a proof of one. */
const saslAuthenticate = 36

ownKafkaSuite('the kafka sink on a way that fails', (kafka) => {
  const throughProxy = (): { brokers: string[] } => ({ brokers: [`127.0.0.1:${kafka().own.proxyPort}`] })
  const proxy = (tls?: TlsOptions) => {
    const { upstreamPort, proxyPort: port } = kafka().own
    return openProxy({ upstreamPort, port, ...(tls && { tls }) })
  }

  test('is unavailable while nobody listens, and delivers when somebody does', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ ...throughProxy(), topic })
    await sink.start()
    expect(await deliver(sink, leasedDelivery())).toEqual([failedWith('unavailable', String(kafka().own.proxyPort))])
    await proxy()
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
  })

  test('connects again after its connection was cut', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ ...throughProxy(), topic })
    const way = await proxy()
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
    await way.stop()
    expect(await deliver(sink, leasedDelivery())).toEqual([failedWith('unavailable', String(kafka().own.proxyPort))])
    await proxy()
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
  })

  test('ends by itself with a retryable reason when nothing answers, before and after it is connected', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ ...throughProxy(), topic, timeout: '2s' })
    const way = await proxy()
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
    void way.stall()
    expect(await deliver(sink, leasedDelivery())).toEqual([failedWith('timeout', String(kafka().own.proxyPort))])
    expect(await deliver(sink, leasedDelivery())).toEqual([failedWith('unavailable', String(kafka().own.proxyPort))])
  })

  test('gives up at the signal, and closes while a request is under way', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ ...throughProxy(), topic })
    const way = await proxy()
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
    const underWay = way.stall()
    const abort = new AbortController()
    const busy = sink.deliver([leasedDelivery(), leasedDelivery()], abort.signal)
    await underWay
    abort.abort()
    expect(await busy).toEqual([failedWith('timeout', 'Kafka'), failedWith('timeout', 'Kafka')])
    // The request itself would be waited for 5 s.
    expect(await Promise.race([sink.close().then(() => 'closed'), sleep(4_000, 'still busy')])).toBe('closed')
    expect(await readTopic(kafka(), topic)).toHaveLength(1)
  })

  test('sends nothing when the signal has aborted before', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic })
    expect(await sink.deliver([leasedDelivery()], AbortSignal.abort())).toEqual([failedWith('timeout', 'Kafka')])
    expect(await readTopic(kafka(), topic)).toEqual([])
  })

  test('shares one connection between deliveries at the same time', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: kafka().brokers, topic })
    const outcomes = await Promise.all(Array.from({ length: 5 }, () => deliver(sink, leasedDelivery())))
    expect(outcomes).toEqual(Array.from({ length: 5 }, () => [delivered]))
    expect(await readTopic(kafka(), topic)).toHaveLength(5)
  })

  test('uses the broker of its list that lives', async () => {
    const topic = await newTopic(kafka())
    const sink = openSink({ brokers: [...throughProxy().brokers, ...kafka().brokers], topic })
    expect(await deliver(sink, leasedDelivery())).toEqual([delivered])
  })

  test('speaks TLS to a broker whose authority it was given, and to no other', async () => {
    const topic = await newTopic(kafka())
    const { pfx, passphrase, ca } = await certificate()
    await proxy({ pfx, passphrase })
    expect(await deliver(openSink({ ...throughProxy(), topic, tls: { ca } }), leasedDelivery())).toEqual([delivered])
    const distrusting = openSink({ ...throughProxy(), topic, tls: true })
    expect(await deliver(distrusting, leasedDelivery())).toEqual([failedWith('unavailable', String(kafka().own.proxyPort))])
  })
})

/** A key and its self-signed certificate for 127.0.0.1, from the JDK that runs the broker. */
async function certificate(): Promise<{ pfx: Buffer; passphrase: string; ca: string }> {
  const run = promisify(execFile)
  const passphrase = randomUUID()
  const folder = await mkdtemp(join(tmpdir(), 'relay-tls-'))
  const store = ['-keystore', join(folder, 'key.p12'), '-storetype', 'PKCS12', '-storepass', passphrase, '-alias', 'broker']
  await run('keytool', ['-genkeypair', ...store, '-keyalg', 'EC', '-dname', 'CN=broker', '-ext', 'san=ip:127.0.0.1'])
  const { stdout: ca } = await run('keytool', ['-exportcert', '-rfc', ...store])
  const pfx = await readFile(join(folder, 'key.p12'))
  await rm(folder, { recursive: true })
  return { pfx, passphrase, ca }
}

// A response holds at least its number, four bytes: kafkajs reads beyond the end of a shorter one, in the middle of the socket's event.
test('what is no broker fails the delivery, not the process', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.on('data', () => socket.write(Buffer.from([0, 0, 0, 2, 0, 0])))
  }).listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  const sink = openSink({ brokers: [`127.0.0.1:${port}`], topic: 'any', timeout: '2s' })
  expect(await deliver(sink, leasedDelivery({ rule: 'everything' }))).toEqual([failedWith('unavailable', `127.0.0.1:${port}`)])
})
