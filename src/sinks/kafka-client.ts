/** A kafkajs client as a sink's settings say: bounded in time, its sockets known, so that all of it can be ended. */
import { connect as connectPlain, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type ISocketFactory, type logCreator } from 'kafkajs'
import type { SinkConfigOf } from '../config/schema.ts'
import type { Log } from '../log.ts'
import { watchSasl } from './kafka-sasl.ts'

export interface KafkaClient {
  kafka: Kafka
  /** What went wrong before kafkajs called it a failed authentication, if anything did. */
  saslCause: () => unknown
  /** Ends every connection at once. */
  closeSockets: () => void
}

export function createKafkaClient(config: SinkConfigOf<'kafka'>, log: Log): KafkaClient {
  const { socketMs, requestMs } = limitsOf(config)
  const sockets = createSockets()
  const sasl = config.sasl && watchSasl(config.sasl)
  const kafka = new Kafka({
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
  })
  return { kafka, saslCause: () => sasl?.cause(), closeSockets: () => sockets.close() }
}

/**
 * Parts of the sink's `timeout`, so that an attempt ends by itself, with a reason, before it is cut off: connecting, then a
 * request and its one retry.
 */
export function limitsOf({ timeout, brokers }: SinkConfigOf<'kafka'>) {
  const connectMs = Math.ceil(timeout * 0.3)
  return { connectMs, socketMs: Math.ceil(Math.min(3_000, connectMs / brokers.length)), requestMs: Math.ceil(timeout * 0.25) }
}

/** Retries here are for a leader that moved; what takes longer is for the delivery's own schedule. */
export const quickRetry = { initialRetryTime: 100, maxRetryTime: 1_000, multiplier: 2, factor: 0.2 }

/** Fails like a connection when `work` is not done in time. */
export async function within<T>(ms: number, work: Promise<T>, message: string): Promise<T> {
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
