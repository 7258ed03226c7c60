/** The HTTP server around the app, with bounds against clients that are slow on purpose. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { RelayError, messageOf } from '../errors.ts'
import { whenAborted } from '../lifecycle.ts'
import { createBrokenRequests, refusalOf } from './broken.ts'

/** A webhook is a few kilobytes from a data centre: it arrives in one second or not at all. */
const limits = {
  headersTimeoutMs: 10_000, // all headers of a request
  requestTimeoutMs: 15_000, // the whole request, body included
  keepAliveTimeoutMs: 65_000, // above the 60 s of common load balancers, so that they close first
  maxHeaderBytes: 16_384,
  connectionsCheckMs: 1_000, // how often the first two are enforced
}

/** Requests that come after draining began are still answered for so long: 503, with `Connection: close`. */
const drainGraceMs = 1_000

export interface Listening {
  host: string
  port: number
  /** Answers what is under way, then closes. Settles when no connection is left or `deadline` aborts. */
  close: (deadline: AbortSignal) => Promise<void>
}

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

export async function listen(handler: Handler, { host, port }: { host: string; port: number }): Promise<Listening> {
  const broken = createBrokenRequests()
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
    (request, response) => {
      broken.note(response)
      void handler(request, response)
    },
  )
  server.on('clientError', (error, socket) => broken.answer(error, socket))
  server.on('checkExpectation', (_, response: ServerResponse) => {
    broken.note(response)
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
    server.once('error', (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)))
    server.listen({ host, port }, resolve)
  })
  const address = server.address()
  return {
    host,
    port: typeof address === 'object' && address !== null ? address.port : port,
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

function listenError(error: NodeJS.ErrnoException, host: string, port: number): unknown {
  if (error.code === 'EADDRINUSE') {
    return new RelayError('port_in_use', `port ${port} on ${host} is already in use`, {
      cause: error,
      hint: 'set server.port to a free one',
    })
  }
  if (error.syscall === 'listen' || error.syscall === 'getaddrinfo') {
    return new RelayError('cannot_listen', `cannot listen on ${host}:${port}: ${messageOf(error)}`, { cause: error })
  }
  return error
}
