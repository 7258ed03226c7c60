/** The HTTP server around the app, with bounds against clients that are slow on purpose. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RefusalCode } from '../errors.ts'
import { whenAborted } from '../lifecycle.ts'
import { listenError } from '../listen-error.ts'
import { createBrokenAnswer, refusalOf } from './broken.ts'

/**
 * Gemini sends about ten, proxies add as many. Node leaves out those after the ones it counts to and says nothing, so a second
 * `webhook-id` could hide there: it counts to one more than these, and the app refuses that one.
 */
export const maxHeaders = 100

export interface ServerLimits {
  /** For all headers of a request, from its first byte or from the connection's beginning. */
  headersTimeoutMs: number
  /** For the whole request, body included. */
  requestTimeoutMs: number
  /** How often the first two are enforced. */
  connectionsCheckMs: number
  /** For a connection between two requests. */
  keepAliveTimeoutMs: number
  /** Without a byte either way while a request is under way: who does not read its answer is left. */
  stallTimeoutMs: number
  /** For the other side to close after it was told that its request is broken. */
  lingerMs: number
  maxHeaderBytes: number
  /** Whoever comes when there are so many is let go without an answer, and idle ones are closed to make room. */
  maxConnections: number
}

/** A webhook is a few kilobytes from a data centre: it arrives in one second or not at all. */
const defaultLimits: ServerLimits = {
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 15_000,
  connectionsCheckMs: 1_000,
  keepAliveTimeoutMs: 65_000, // above the 60 s of common load balancers, so that they close first
  stallTimeoutMs: 30_000, // above the longest that we ourselves make a sender wait: two fetches of a JWKS and a commit
  lingerMs: 1_000,
  maxHeaderBytes: 16_384,
  maxConnections: 2_048, // 13 KB each while idle (measured), 32 MiB of headers at worst; leaves file descriptors for the sinks
}

/** Requests that come after draining began are still answered for so long: 503, with `Connection: close`. */
const drainGraceMs = 1_000

export interface Listening {
  host: string
  port: number
  /** How many are open now. */
  connections: () => Promise<number>
  /** Answers what is under way, then closes. Settles when no connection is left or `deadline` aborts. */
  close: (deadline: AbortSignal) => Promise<void>
}

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

export interface ListenOptions {
  host: string
  port: number
  limits?: Partial<ServerLimits>
  /** Where the port is set. */
  setting?: string
  /** Called for what never got to the handler, connections that were let go because there were too many (`overloaded`) included. */
  refused?: (code: RefusalCode) => void
}

export async function listen(handler: Handler, options: ListenOptions): Promise<Listening> {
  const { host, port, setting = 'server.port', refused = () => {} } = options
  const limits = { ...defaultLimits, ...options.limits }
  const server = createServer(
    {
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      maxHeaderSize: limits.maxHeaderBytes,
      connectionsCheckingInterval: limits.connectionsCheckMs,
      noDelay: true,
      // Node's own answer has no code; the app says it, see answers.ts
      requireHostHeader: false,
    },
    (request, response) => void handler(request, response),
  )
  server.timeout = limits.stallTimeoutMs
  server.maxHeadersCount = maxHeaders + 1
  server.maxConnections = limits.maxConnections
  server.on('drop', () => {
    server.closeIdleConnections()
    refused('overloaded')
  })
  server.on('clientError', createBrokenAnswer(limits.lingerMs, refused))
  server.on('checkExpectation', (_, response: ServerResponse) => {
    refused('expectation_failed')
    const { status, body } = refusalOf('expectation_failed', 'only `Expect: 100-continue` is understood')
    response
      .writeHead(status, {
        'content-type': 'application/json; charset=utf-8',
        'content-length': body.length,
        connection: 'close',
      })
      .end(body)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port, `set ${setting} to a free one`)))
    server.listen({ host, port }, resolve)
  })
  const address = server.address()
  return {
    host,
    port: typeof address === 'object' && address !== null ? address.port : port,
    connections: countOpen(server),
    close: (deadline) => close(server, deadline),
  }
}

async function close(server: Server, deadline: AbortSignal): Promise<void> {
  // Every connection hears `Connection: close` with its next answer. `server.close()` comes second because it cuts idle
  // connections, and one of them may have a request on its way.
  const open = countOpen(server)
  for (let waited = 0; waited < drainGraceMs && (await open()) > 0 && !deadline.aborted; waited += 50) await sleep(50)
  await new Promise<void>((resolve) => {
    whenAborted(deadline, () => server.closeAllConnections())
    server.close(() => resolve())
  })
}

function countOpen(server: Server): () => Promise<number> {
  return () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count))))
}
