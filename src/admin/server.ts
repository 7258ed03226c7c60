/** The admin port. It shares nothing with the receivers' but the process: who asks too much or too slowly here takes none of their connections. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { messageOf } from '../errors.ts'
import { httpOrigin } from '../http-origin.ts'
import type { Log } from '../log.ts'
import { listen, type Listening } from '../receive/server.ts'
import { answerTo, refusal } from './answer.ts'
import { createMetrics, type MetricsOptions } from './metrics.ts'

export interface AdminServerOptions {
  host: string
  port: number
  /** The one that counts at the moment. */
  token: () => string | undefined
  metrics: MetricsOptions
  log: Log
}

export interface AdminServer {
  /** @throws RelayError `port_in_use` or `cannot_listen` */
  start: () => Promise<void>
  stop: () => Promise<void>
}

/** A few scrapers, each with a connection that it keeps. */
const maxConnections = 64

export function createAdminServer({ host, port, token, metrics: told, log }: AdminServerOptions): AdminServer {
  const metrics = createMetrics(told)
  let listening: Listening | undefined

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { status, headers, body } = await answerTo(request, token(), metrics).catch((error: unknown) => {
      log.error({ error: messageOf(error) }, 'unexpected error while telling metrics')
      return refusal(500, 'internal', 'the metrics could not be told')
    })
    response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body) // for a HEAD Node leaves it out
  }

  return {
    async start() {
      listening = await listen(handle, { host, port, setting: 'admin.port', limits: { maxConnections } })
      log.info(`metrics are at ${httpOrigin(listening.host, listening.port)}/metrics`)
    },
    async stop() {
      // At once: an answer is ready in the turn of its request, and who reads it slowly is not worth waiting for.
      await listening?.close(AbortSignal.abort())
    },
  }
}
