/** Whether what a sink delivers to is there and takes us: nothing is delivered, and nothing is made. */
import { connect } from 'node:net'
import type { Config, SinkConfig, SinkConfigOf } from '../config/schema.ts'
import { targetsOf, type Target } from '../config/targets.ts'
import { RelayError, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { bareHost } from '../public-address.ts'
import { createPool, describeUrl } from '../store/pool.ts'
import { withDeadline } from './deadline.ts'
import { guardedLookup, lookupAll, refuseLiteral, socketLookup } from './http-address.ts'
import { createKafkaClient, limitsOf, quickRetry, within } from './kafka-client.ts'
import { kafkaFailure } from './kafka-failure.ts'
import { createSlackCaller } from './slack-call.ts'
import { isThere, shapeTable } from './table-shape.ts'

export interface Finding {
  /** `skipped`: it could not be asked, for a reason that is no problem of its own. */
  state: 'ok' | 'problem' | 'skipped'
  /** Of a problem also what to do about it. */
  message: string
}

export interface ProbeDeps {
  config: Config
  /** Undefined where the relay's own database cannot be looked at: its tables are then passed over. */
  relayUrl: string | undefined
  log: Log
}

/** Whoever waits for this is a person; a sink's own `timeout` may be shorter. */
const limitMs = 10_000

/** Never throws. */
export async function probeSink(name: string, { config, relayUrl, log }: ProbeDeps): Promise<Finding> {
  const sink = config.sinks[name]
  if (sink === undefined) return problem(`there is no sink ${name}`)
  const hasty: SinkConfig = { ...sink, timeout: Math.min(sink.timeout, limitMs) }
  try {
    switch (hasty.type) {
      case 'slack':
        return await probeSlack(name, hasty, log)
      case 'kafka':
        return await probeKafka(hasty, targetsOf(config.rules, name), log)
      case 'table':
        return await probeTable(name, hasty, relayUrl, log)
      case 'http':
        return await probeHttp(hasty)
      case 'log':
        return fine('writes to standard output')
      default:
        return hasty satisfies never
    }
  } catch (error) {
    return problemOf(error)
  }
}

export function fine(message: string): Finding {
  return { state: 'ok', message }
}

export function problem(message: string): Finding {
  return { state: 'problem', message }
}

/** With what its hint advises. */
export function problemOf(error: unknown): Finding {
  const hint = error instanceof RelayError && error.hint !== undefined ? `: ${error.hint}` : ''
  return problem(`${messageOf(error)}${hint}`)
}

/** The token only: whether it may post to a channel is known when it does. */
async function probeSlack(name: string, config: SinkConfigOf<'slack'>, log: Log): Promise<Finding> {
  const call = createSlackCaller({ name, config, log })
  const answer = await withDeadline(new AbortController().signal, config.timeout, (signal) => call('auth.test', {}, signal))
  return answer.ok ? fine('Slack takes the token') : problem(answer.failure.message)
}

async function probeKafka(config: SinkConfigOf<'kafka'>, targets: readonly Target[], log: Log): Promise<Finding> {
  const { connectMs, requestMs } = limitsOf(config)
  const { kafka, saslCause, closeSockets } = createKafkaClient(config, log)
  const admin = kafka.admin({ retry: { ...quickRetry, retries: 1 } })
  const named = targets.length === 0 ? [config.topic] : targets.map(({ target }) => target.topic ?? config.topic)
  const topics = [...new Set(named.filter((topic) => typeof topic === 'string'))]
  const others = named.some((topic) => typeof topic === 'object')
  const failures: string[] = []
  try {
    await within(connectMs, admin.connect(), `no connection in ${connectMs} ms`)
    for (const topic of topics) {
      try {
        await within(requestMs, admin.fetchTopicMetadata({ topics: [topic] }), `no answer in ${requestMs} ms`)
      } catch (error) {
        failures.push(kafkaFailure(error, topic, config.brokers, saslCause()).message)
      }
    }
  } catch (error) {
    failures.push(kafkaFailure(error, topics.join(', '), config.brokers, saslCause()).message)
  } finally {
    await within(requestMs, admin.disconnect(), 'still busy').catch(() => undefined)
    closeSockets()
  }
  if (failures.length > 0) return problem(failures.join('; '))
  const has = topics.length === 0 ? 'Kafka answers' : `Kafka has ${topics.join(', ')}`
  return fine(others ? `${has}; topics that events say are not looked for` : has)
}

async function probeTable(name: string, config: SinkConfigOf<'table'>, relayUrl: string | undefined, log: Log): Promise<Finding> {
  const url = config.url ?? relayUrl
  if (url === undefined) return { state: 'skipped', message: "it is in the relay's own database, which cannot be asked now" }
  const pool = createPool({ url, part: `check ${name}`, max: 1, statementTimeoutMs: config.timeout, log })
  try {
    if (config.create && !(await isThere(pool, config))) return fine(`the table ${config.table} is made when the relay starts`)
    await shapeTable(pool, name, { ...config, create: false })
    return fine(`the table ${config.table} fits`)
  } catch (error) {
    if (error instanceof RelayError) throw error
    return problem(`${describeUrl(url)} cannot be asked about the table ${config.table}: ${messageOf(error)}`)
  } finally {
    await pool.end()
  }
}

/** As far as a connection: whatever is asked over it could be taken for a delivery. */
async function probeHttp({ url, allow_private: allowPrivate, timeout }: SinkConfigOf<'http'>): Promise<Finding> {
  const target = new URL(url)
  const { host, port, protocol } = target
  const bare = bareHost(target)
  if (!allowPrivate) refuseLiteral(bare)
  const lookup = allowPrivate ? socketLookup(lookupAll) : guardedLookup(lookupAll)
  const socket = connect({ host: bare, port: Number(port) || (protocol === 'https:' ? 443 : 80), lookup })
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', () => resolve()).once('error', reject)
      socket.setTimeout(timeout, () => reject(new Error(`no connection in ${timeout} ms`)))
    })
    return fine(`${host} can be reached; no request was made`)
  } catch (error) {
    return problem(`${host} cannot be reached: ${messageOf(error)}`)
  } finally {
    socket.destroy()
  }
}
