/** Stands between a command and the Gemini API, and holds one call back: before it gets there, or with its answer. */
import { once } from 'node:events'
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http'

export interface HoldingProxy {
  url: string
  /** `POST /v1beta/webhooks`, in order, without what only reads. */
  changes: string[]
  /**
   * The first call from now on that matches is held: for ever, or until two more calls that read were answered.
   *
   * @returns when it is
   */
  hold: (what: RegExp, when: Held) => Promise<void>
  stop: () => void
}

export type Held = 'before' | 'after' | 'until later'

export async function holdingProxy(target: string): Promise<HoldingProxy> {
  const changes: string[] = []
  let holding: { what: RegExp; when: Held; held: () => void } | undefined
  let late: { readsFirst: number; go: () => void } | undefined

  function forward(call: IncomingMessage, body: Buffer, answered: (status: number, answer: Buffer) => void): void {
    const { method, headers } = call
    request(new URL(call.url ?? '/', target), { method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () => answered(response.statusCode ?? 0, Buffer.concat(chunks)))
    }).end(body)
  }

  function handle(call: IncomingMessage, response: ServerResponse, body: Buffer): void {
    const name = `${call.method} ${call.url}`
    if (call.method !== 'GET') changes.push(name)
    const { what, when, held } = holding?.what.test(name) ? holding : {}
    if (what !== undefined) holding = undefined
    if (when === 'until later') late = { readsFirst: 2, go: () => forward(call, body, () => {}) }
    if (when === 'before' || when === 'until later') return held?.()
    forward(call, body, (status, answer) => {
      if (when === 'after') return held?.()
      response.writeHead(status, { 'content-type': 'application/json' }).end(answer)
      if (call.method === 'GET' && late !== undefined && --late.readsFirst === 0) late.go()
    })
  }

  const server = createServer((call, response) => {
    const chunks: Buffer[] = []
    call.on('data', (chunk: Buffer) => chunks.push(chunk))
    call.on('end', () => handle(call, response, Buffer.concat(chunks)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    changes,
    hold: (what, when) =>
      new Promise((held) => {
        holding = { what, when, held }
      }),
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}
