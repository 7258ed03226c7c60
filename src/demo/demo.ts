/** The whole way on real parts: a sender that plays Gemini, the relay with config/demo.yaml, Slack's stand-in, Postgres, Kafka. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { isMap, isSeq, parseDocument } from 'yaml'
import { loadConfig } from '../config/load.ts'
import { eventTypes } from '../emulator/catalog.ts'
import { generateSecret, generateSigningKey } from '../emulator/keys.ts'
import { startJwksServer } from '../emulator/jwks-server.ts'
import { createLifecycle } from '../lifecycle.ts'
import type { Log } from '../log.ts'
import { serve } from '../serve.ts'
import { attachEmbedded, embeddedDataDir } from '../store/embedded/index.ts'
import { createPool, type Pool } from '../store/pool.ts'
import { readArrivals, readJobs, type Arrival } from './arrivals.ts'
import { openDemoTopic, type DemoTopic } from './kafka-topic.ts'
import { ship, writeScript, type Credentials, type Shipment } from './script.ts'
import { startSlackServer, type SlackServer } from './slack-server.ts'
import { heading, note, print, printJobs, printRecords, printSent, printSlack, printVerdict, type Answer } from './trace.ts'

export interface DemoOptions {
  /** End after the first round instead of streaming. */
  once: boolean
  env: Readonly<Record<string, string | undefined>>
  log: Log
  /** Ctrl-C. */
  signal: AbortSignal
}

/** Slack takes one message a second in each channel, and the round makes about a dozen. */
const arrivalLimitMs = 60_000
const streamPauseMs = 3_000

const configFile = fileURLToPath(new URL('../../config/demo.yaml', import.meta.url))

interface Stage {
  url: string
  credentials: Credentials
  slack: SlackServer
  topic: DemoTopic | undefined
  pool: Pool
}

/** @returns whether everything arrived */
export async function runDemo({ once, env, log, signal }: DemoOptions): Promise<boolean> {
  const lifecycle = createLifecycle(log)
  try {
    const stage = await setUp(env, log, lifecycle)
    const complete = await firstRound(stage, env, signal)
    if (!once && !signal.aborted) await stream(stage, signal)
    return complete
  } finally {
    await lifecycle.stop()
  }
}

async function setUp(env: DemoOptions['env'], log: Log, { onStop }: ReturnType<typeof createLifecycle>): Promise<Stage> {
  const dataDir = demoDataDir()
  onStop('data', () => rmSync(dataDir, { recursive: true, force: true }))
  const credentials = {
    secret: generateSecret(),
    ed25519: await generateSigningKey('EdDSA'),
    rsa: await generateSigningKey('RS256'),
    audience: 'gemini-relay-demo',
  }
  const jwks = await startJwksServer({ keys: [credentials.ed25519, credentials.rsa].map(({ publicJwk }) => publicJwk) })
  onStop('JWKS', () => jwks.close())
  const slack = await startSlackServer({ messageEveryMs: 900 })
  onStop('Slack stand-in', () => slack.close())
  const brokers = env.KAFKA_BROKERS ?? ''
  const topicName = `gemini-relay-demo-${process.pid}`
  const topic = brokers === '' ? undefined : await openDemoTopic(brokers.split(','), topicName)
  if (topic !== undefined) onStop('topic', () => topic.close())

  const variables = {
    GEMINI_WEBHOOK_SECRET: credentials.secret,
    GEMINI_WEBHOOK_AUDIENCE: credentials.audience,
    JWKS_URI: jwks.url,
    SLACK_BOT_TOKEN: 'xoxb-demo',
    SLACK_API_URL: slack.url,
    KAFKA_BROKERS: brokers,
    DEMO_TOPIC: topicName,
    RELAY_DATA_DIR: dataDir,
  }
  const load = () =>
    loadConfig({
      file: configFile,
      env: variables,
      readFile: (file) => demoConfig(readFileSync(file, 'utf8'), topic !== undefined),
    })
  const relay = await serve({ load, env: variables, log })
  onStop('relay', () => relay.stop())
  const { url: databaseUrl } = await attachEmbedded({ dataDir })
  const pool = createPool({ url: databaseUrl, part: 'demo', max: 1, statementTimeoutMs: 10_000, log })
  onStop('pool', () => pool.end())
  return { url: `http://127.0.0.1:${relay.port}/webhooks/gemini`, credentials, slack, topic, pool }
}

/** A fresh database each time, apart from whatever else runs here. */
function demoDataDir(): string {
  const ofThisUser = process.getuid?.() === 0 ? dirname(embeddedDataDir({ configFile, env: {} })) : undefined
  return ofThisUser === undefined ? mkdtempSync(join(tmpdir(), 'gemini-relay-demo-')) : join(ofThisUser, `demo-${process.pid}`)
}

/** Without a broker the sink `stream` and its mentions go. */
function demoConfig(text: string, withKafka: boolean): string {
  if (withKafka) return text
  const document = parseDocument(text)
  document.deleteIn(['sinks', 'stream'])
  const rules = document.get('rules')
  for (const rule of isSeq(rules) ? rules.items : []) {
    const to = isMap(rule) ? rule.get('to') : undefined
    if (isSeq(to)) to.items = to.items.filter((item) => String(item) !== 'stream')
  }
  return document.toString()
}

async function firstRound(
  { url, credentials, slack, topic, pool }: Stage,
  env: DemoOptions['env'],
  signal: AbortSignal,
): Promise<boolean> {
  heading(`Gemini, played by this process, posts to ${url}`)
  const sent: { shipment: Shipment; answer: Answer }[] = []
  for (const shipment of await writeScript(credentials)) sent.push({ shipment, answer: await post(url, shipment) })
  const accepted = sent.filter(({ answer }) => answer.answer === 'received')
  printSent(sent, await readArrivals(pool))

  note('\nSlack takes one message a second in each channel: waiting for the deliveries …')
  const arrivals = await allDelivered(pool, signal)
  const owed = (sink: string) => arrivals.filter((arrival) => arrival.sink === sink)
  heading('Slack')
  printSlack(slack.messages())
  heading('Kafka')
  if (topic === undefined) print('KAFKA_BROKERS is not set. With a broker: KAFKA_BROKERS=localhost:9092 npm run demo')
  else {
    for (let waited = 0; topic.records().length < owed('stream').length && waited < 10_000; waited += 100) await sleep(100)
    printRecords(topic.records())
  }
  heading(`Table gemini_jobs${env.KAFKA_BROKERS === undefined ? '' : ', beside the stream'}`)
  const jobs = await readJobs(pool)
  printJobs(jobs)

  const problems = [
    ...sent
      .filter(({ shipment, answer }) => answer.status !== shipment.expected.status || answer.answer !== shipment.expected.answer)
      .map(({ shipment, answer }) => `${shipment.type} (${shipment.note}) was answered ${answer.status} ${answer.answer}`),
    ...arrivals
      .filter(({ state }) => state !== 'delivered')
      .map(({ webhook_id, sink, state, error }) => `${webhook_id} to ${sink} is ${state} ${error ?? ''}`),
    ...differs('Slack messages', slack.messages().length, owed('ops').length),
    ...differs('rows', jobs.length, accepted.length),
    ...(topic === undefined ? [] : differs('Kafka records', topic.records().length, accepted.length)),
  ]
  printVerdict(
    problems,
    `${sent.length} requests, ${accepted.length} events, ${slack.messages().length} Slack messages, ${topic?.records().length ?? 0} Kafka records, ${jobs.length} rows`,
  )
  return problems.length === 0
}

function differs(what: string, found: number, expected: number): string[] {
  return found === expected ? [] : [`${found} ${what}, expected ${expected}`]
}

async function post(url: string, { headers, body }: Shipment): Promise<Answer> {
  const response = await fetch(url, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body })
  const json: unknown = await response.json()
  if (typeof json !== 'object' || json === null) return { status: response.status, answer: '' }
  const answer = 'code' in json ? json.code : 'status' in json ? json.status : ''
  return { status: response.status, answer: String(answer) }
}

async function allDelivered(pool: Pool, signal: AbortSignal): Promise<Arrival[]> {
  const deadline = Date.now() + arrivalLimitMs
  for (;;) {
    const arrivals = await readArrivals(pool)
    const waiting = arrivals.filter(({ state }) => state === 'pending' || state === 'leased')
    if (waiting.length === 0 || Date.now() > deadline || signal.aborted) return arrivals
    await sleep(100)
  }
}

async function stream({ url, credentials, pool }: Stage, signal: AbortSignal): Promise<void> {
  heading('A slow stream follows; Ctrl-C ends it')
  const schemes = ['hmac', 'ed25519', 'jwt'] as const
  for (let turn = 0; !signal.aborted; turn++) {
    const type = eventTypes[turn % eventTypes.length] ?? 'batch.succeeded'
    const shipment = await ship(credentials, { type, scheme: schemes[turn % schemes.length] ?? 'hmac' })
    const { status, answer } = await post(url, shipment)
    await sleep(streamPauseMs, undefined, { signal }).catch(() => {})
    const delivered = (await readArrivals(pool)).filter(({ webhook_id }) => webhook_id === shipment.webhookId)
    print(
      `${shipment.type}  ${shipment.scheme}  ${shipment.subject}  ${status} ${answer}  ${delivered.map(({ sink, state }) => `${sink}: ${state}`).join(', ')}`,
    )
  }
}
