/** Publishes a JWKS as Gemini does, and can be told to fail in the ways such a server fails. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { JWK } from 'jose'

export type JwksFault = 'hang' | 'html' | 'redirect' | 'empty' | 'oversized' | 'no-list' | { status: number }

export interface JwksServer {
  /** Of the key set: `http://127.0.0.1:…/.well-known/jwks.json`. */
  url: string
  setKeys(keys: readonly unknown[]): void
  /** `undefined` ends the fault. */
  setFault(fault: JwksFault | undefined): void
  setCacheControl(value: string | undefined): void
  /** Requests for the key set so far. */
  requests(): number
  close(): Promise<void>
}

const path = '/.well-known/jwks.json'

export interface JwksServerOptions {
  keys?: readonly JWK[]
  /** Default: any free one. */
  port?: number
}

export async function startJwksServer({ keys = [], port = 0 }: JwksServerOptions = {}): Promise<JwksServer> {
  let published: readonly unknown[] = keys
  let fault: JwksFault | undefined
  let cacheControl: string | undefined = 'public, max-age=3600'
  let requests = 0

  const server = createServer((request, response) => {
    const [asked] = (request.url ?? '').split('?')
    if (asked !== path) {
      // where the redirect of the fault leads: a key set that nobody may take
      answer(response, asked === '/elsewhere' ? 200 : 404, 'application/json', JSON.stringify({ keys: published }))
      return
    }
    requests += 1
    if (fault !== undefined) return misbehave(response, fault)
    if (cacheControl !== undefined) response.setHeader('cache-control', cacheControl)
    answer(response, 200, 'application/json; charset=UTF-8', JSON.stringify({ keys: published }))
  })
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')

  return {
    url: `http://127.0.0.1:${portOf(server.address())}${path}`,
    setKeys: (next) => (published = next),
    setFault: (next) => (fault = next),
    setCacheControl: (value) => (cacheControl = value),
    requests: () => requests,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function misbehave(response: ServerResponse, fault: JwksFault): void {
  if (typeof fault === 'object') return answer(response, fault.status, 'text/plain', 'no')
  switch (fault) {
    case 'hang':
      return
    case 'html':
      return answer(response, 200, 'text/html', '<!doctype html><title>Sign in</title>')
    case 'redirect':
      response.setHeader('location', '/elsewhere')
      return answer(response, 302, 'text/plain', '')
    case 'empty':
      return answer(response, 200, 'application/json', '{"keys":[]}')
    case 'no-list':
      return answer(response, 200, 'application/json', '{"keys":{}}')
    case 'oversized':
      // no content-length: the size shows only while reading
      response.writeHead(200, { 'content-type': 'application/json' })
      response.write(`{"padding":"${'x'.repeat(2_000_000)}",`)
      response.end('"keys":[]}')
  }
}

function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, { 'content-type': contentType })
  response.end(body)
}

function portOf(address: AddressInfo | string | null): number {
  if (address === null || typeof address === 'string') throw new Error('the JWKS server has no port')
  return address.port
}
