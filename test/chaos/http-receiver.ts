/** The http sinks' end: notes each request's bytes, checks its signature, and answers as it is told to. */
import { createHmac } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Arrivals } from './arrivals.ts'
import type { SinkFault } from './faults.ts'
import { digestOf } from './messages.ts'

type HttpAnswer = Extract<SinkFault, { sink: 'http' }>['answer']

export interface HttpReceiver {
  port: number
  /** How requests to `/forward` and `/ordered` are answered from now on; undefined: 204. `/refuser` always says no. */
  answer(how: HttpAnswer | undefined): void
  /** Webhook-ids of requests that the relay did not sign as it should. */
  unsigned: string[]
  stop(): Promise<void>
}

export async function startHttpReceiver({ arrivals, secret }: { arrivals: Arrivals; secret: string }): Promise<HttpReceiver> {
  const key = Buffer.from(secret.replace('whsec_', ''), 'base64')
  const unsigned: string[] = []
  let fault: HttpAnswer | undefined

  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('error', () => {})
    request.on('end', () => handle(request, response, Buffer.concat(chunks)))
  })

  function handle(request: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const sink = (request.url ?? '').slice(1)
    const id = String(request.headers['webhook-id'])
    if (sink !== 'refuser' && !isSigned(request, id, body)) unsigned.push(id)
    const failing = sink === 'refuser' ? 'refusal' : fault
    arrivals.note({
      sink,
      rule: String(request.headers['relay-rule']),
      id,
      at: Date.now(),
      taken: failing === undefined,
      payload: digestOf(body),
    })
    switch (failing) {
      case 'refusal':
        return void response.writeHead(422).end('never')
      case 'error':
        return void response.writeHead(500).end('not now')
      case 'rate limited':
        return void response.writeHead(429, { 'retry-after': '1' }).end()
      case 'silence':
        return
      case 'hang up':
        return void request.socket.resetAndDestroy()
      case undefined:
        return void response.writeHead(204).end()
      default:
        return failing satisfies never
    }
  }

  function isSigned({ headers }: IncomingMessage, id: string, body: Buffer): boolean {
    const content = Buffer.concat([Buffer.from(`${id}.${String(headers['webhook-timestamp'])}.`), body])
    return headers['webhook-signature'] === `v1,${createHmac('sha256', key).update(content).digest('base64')}`
  }

  server.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  return {
    port: address !== null && typeof address === 'object' ? address.port : 0,
    answer: (how) => (fault = how),
    unsigned,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
