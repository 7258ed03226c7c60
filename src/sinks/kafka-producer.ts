/** A kafkajs producer for one topic that connects when it is needed, is replaced when it fails, and always ends in time. */
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, Partitioners, type ISocketFactory, type KafkaConfig, type logCreator } from 'kafkajs'
import type { SinkConfigOf } from '../config/schema.ts'
import type { Log } from '../log.ts'
import { kafkaFailure, type KafkaFailure } from './kafka-failure.ts'
import type { KafkaRecord } from './kafka-record.ts'
import { watchSasl } from './kafka-sasl.ts'

export interface KafkaProducer {
  /** Sends in one request a broker; undefined when all of them are acknowledged. Never throws. */
  send(records: readonly KafkaRecord[]): Promise<KafkaFailure | undefined>
  close(): Promise<void>
}

/**
 * One topic a producer: kafkajs asks for the metadata of every topic that a producer ever sent to at once, and one of them
 * that was deleted fails the others.
 */
export function createKafkaProducer({
  topic,
  config,
  log,
}: {
  topic: string
  config: SinkConfigOf<'kafka'>
  log: Log
}): KafkaProducer {
  const { brokers } = config
  let link: Link | undefined
  const ending = new Set<Promise<void>>()

  function discard(old: Link): void {
    if (link === old) link = undefined
    const end = old.close().finally(() => ending.delete(end))
    ending.add(end)
  }

  return {
    async send(records) {
      const used = (link ??= createLink(config, log))
      try {
        await used.connected
        const timeout = limitsOf(config).requestMs
        await used.producer.send({ topic, acks: allReplicas, timeout, messages: [...records] })
        return undefined
      } catch (error) {
        const failure = kafkaFailure(error, topic, brokers, used.saslCause())
        if (failure.blame === 'connection') discard(used)
        return failure
      }
    },
    async close() {
      if (link) discard(link)
      await Promise.all(ending)
    },
  }
}

const allReplicas = -1

/** Requests that are under way get this long to end when a connection is given up. */
const closeMs = 2_000

/**
 * Parts of the sink's `timeout`, so that an attempt ends by itself, with a reason, before it is cut off: connecting, then a
 * request and its one retry.
 */
function limitsOf({ timeout, brokers }: SinkConfigOf<'kafka'>) {
  const connectMs = Math.ceil(timeout * 0.3)
  return { connectMs, socketMs: Math.ceil(Math.min(3_000, connectMs / brokers.length)), requestMs: Math.ceil(timeout * 0.25) }
}

/** Retries here are for a leader that moved; what takes longer is for the delivery's own schedule. */
const quickRetry = { initialRetryTime: 100, maxRetryTime: 1_000, multiplier: 2, factor: 0.2 }

type Link = ReturnType<typeof createLink>

function createLink(config: SinkConfigOf<'kafka'>, log: Log) {
  const { connectMs, socketMs, requestMs } = limitsOf(config)
  const sockets = createSockets()
  const sasl = config.sasl && watchSasl(config.sasl)
  const client: KafkaConfig = {
    clientId: config.client_id,
    brokers: config.brokers,
    connectionTimeout: socketMs,
    authenticationTimeout: requestMs,
    requestTimeout: requestMs,
    // Every broker of the list gets its turn.
    retry: { ...quickRetry, retries: config.brokers.length },
    socketFactory: sockets.open,
    logLevel: logLevel.WARN,
    logCreator: logTo(log),
    ...(config.tls !== false && { ssl: tlsOptions(config.tls) }),
    ...(sasl && { sasl: sasl.options }),
  }
  const producer = new Kafka(client).producer({
    createPartitioner: Partitioners.DefaultPartitioner,
    allowAutoTopicCreation: false,
    retry: { ...quickRetry, retries: 1 },
  })
  const connected = within(connectMs, producer.connect(), `no connection in ${connectMs} ms`)
  // Whoever sends awaits it too; a link that is closed before anybody does must not be an unhandled rejection.
  connected.catch(() => undefined)
  return {
    producer,
    connected,
    saslCause: () => sasl?.cause(),
    async close() {
      await within(closeMs, producer.disconnect(), 'still busy').catch(() => undefined)
      sockets.close()
    },
  }
}

/** Fails like a connection when `work` is not done in time. */
async function within<T>(ms: number, work: Promise<T>, message: string): Promise<T> {
  const timer = new AbortController()
  const late = sleep(ms, undefined, { signal: timer.signal }).then(() => {
    throw Object.assign(new Error(message), { name: 'KafkaJSTimeout' })
  })
  // When the work is done first, the sleep is aborted, and nobody waits for that any more.
  late.catch(() => undefined)
  try {
    return await Promise.race([work, late])
  } finally {
    timer.abort()
  }
}

/** Sockets that can all be ended: `disconnect()` of kafkajs waits for answers, for as long as a request may take. */
function createSockets(): { open: ISocketFactory; close: () => void } {
  const sockets = new Set<Socket>()
  let closed = false
  return {
    open({ host, port, ssl, onConnect }) {
      if (closed) throw new Error('the connection was given up')
      const name = isIP(host) ? {} : { servername: host }
      const socket = ssl ? connectTls({ host, port, ...name, ...ssl }, onConnect) : connectPlain({ host, port }, onConnect)
      socket.setNoDelay(true).setKeepAlive(true, 60_000)
      guardReading(socket)
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      return socket
    },
    close() {
      closed = true
      // With an error, for that is how kafkajs learns of it and lets go of requests still waiting.
      for (const socket of sockets) socket.destroy(new Error('the connection was given up'))
    },
  }
}

/** kafkajs reads answers as they come in, and throws on bytes that no broker sends: that ends the connection, not the process. */
function guardReading(socket: Socket): void {
  const emit = socket.emit.bind(socket)
  socket.emit = (event: string | symbol, ...values: unknown[]) => {
    try {
      return emit(event, ...values)
    } catch (cause) {
      socket.destroy(new Error('the answer is not that of a Kafka broker', { cause }))
      return true
    }
  }
}

function tlsOptions(tls: Exclude<SinkConfigOf<'kafka'>['tls'], false>) {
  if (tls === true) return {}
  return { ...(tls.ca && { ca: tls.ca }), ...(tls.cert && { cert: tls.cert }), ...(tls.key && { key: tls.key }) }
}

/** Chosen fields only. What kafkajs calls an error comes back to us as one and is reported with its delivery. */
function logTo(log: Log): logCreator {
  return () =>
    ({ level, namespace, log: { message, broker } }) => {
      const fields = { kafkajs: namespace, broker: String(broker ?? '') }
      if (level === logLevel.WARN) log.warn(fields, message)
      else log.debug(fields, message)
    }
}
