/** A webhook receiver on a real socket: it records what comes and answers as it is told. */
import { createServer as createHttpServer, type IncomingHttpHeaders, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'

export interface ReceivedRequest {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
  /** The connection it came on, numbered from 1. */
  connection: number
}

export type Respond = (response: ServerResponse, request: ReceivedRequest) => void

export interface Receiver {
  port: number
  requests: ReceivedRequest[]
  /** How requests are answered from now on; 204 at first. */
  respond(respond: Respond): void
  close(): Promise<void>
}

export async function startReceiver(tls?: { key: string; cert: string }): Promise<Receiver> {
  const requests: ReceivedRequest[] = []
  const connections = new Map<Socket, number>()
  let respond: Respond = accept

  const listener: RequestListener = (request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const connection = connections.get(request.socket) ?? connections.size + 1
      connections.set(request.socket, connection)
      const { method = '', url = '', headers } = request
      const received = { method, path: url, headers, body: Buffer.concat(chunks), connection }
      requests.push(received)
      respond(response, received)
    })
  }
  const server = tls === undefined ? createHttpServer(listener) : createHttpsServer(tls, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the receiver has no port')

  return {
    port: address.port,
    requests,
    respond: (next) => {
      respond = next
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export const accept: Respond = (response) => {
  response.writeHead(204).end()
}

export function answerWith(status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): Respond {
  return (response) => {
    response.writeHead(status, headers).end(body)
  }
}
