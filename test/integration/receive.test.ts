import { request } from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { envelope, post, secret, signedHeaders } from '../setup/sender.ts'

let database: TestDatabase
let relay: TestRelay
const hook = () => `${relay.url}/webhooks/gemini`

beforeAll(async () => {
  database = await createTestDatabase()
  relay = await startRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0, body_limit: 8kb }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini: { path: /webhooks/gemini, static: { secrets: ["\${SECRET}"] } }
  keyless: { path: /webhooks/keyless, static: { secrets: ["\${NOTHING:-}"] } }
`,
    env: { DATABASE_URL: database.url, SECRET: secret },
  })
})
afterAll(async () => {
  await relay.stop()
  await database.drop()
})

describe('the webhook path', () => {
  it('answers a new event 200 received and the same webhook-id 200 duplicate', async () => {
    const body = envelope('batch.succeeded')
    const first = await post(hook(), { id: 'msg_once', body })
    expect(first).toMatchObject({ status: 200, body: { status: 'received' } })
    expect(await post(hook(), { id: 'msg_once', body: envelope('batch.failed') })).toMatchObject({
      status: 200,
      body: { status: 'duplicate' },
    })
  })

  it.each(['webhook-id', 'webhook-timestamp', 'webhook-signature'])('answers 400 missing_header without %s', async (header) => {
    const headers = signedHeaders({ body: '{}' })
    delete headers[header]
    const response = await fetch(hook(), { method: 'POST', headers, body: '{}' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'missing_header', error: expect.any(String) })
  })

  it('answers 400 malformed_header for a webhook-id that comes twice', async () => {
    const { 'webhook-id': id, ...headers } = signedHeaders({ body: '{}' })
    const answer = await rawPost({ ...headers, 'webhook-id': [id ?? '', id ?? ''] }, '{}')
    expect(answer).toMatchObject({ status: 400, json: { code: 'malformed_header' } })
  })

  it('answers 400 signature_mismatch for a body that was changed', async () => {
    const headers = signedHeaders({ body: '{"type":"batch.failed"}' })
    const response = await fetch(hook(), { method: 'POST', headers, body: '{"type":"batch.failes"}' })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'signature_mismatch' })
  })

  it.each([-301, 301])('answers 400 stale_timestamp for one that is %i seconds off', async (seconds) => {
    const answer = await post(hook(), {
      body: '{}',
      timestamp: new Date(Date.now() + seconds * 1_000 + (seconds > 0 ? 1_000 : 0)),
    })
    expect(answer).toMatchObject({ status: 400, body: { code: 'stale_timestamp' } })
  })

  it('takes a body of exactly the limit and refuses one byte more with 413', async () => {
    expect(await post(hook(), { body: padded(8_192) })).toMatchObject({ status: 200 })
    expect(await post(hook(), { body: padded(8_193) })).toMatchObject({ status: 413, body: { code: 'body_too_large' } })
  })

  it('counts a chunked body while it reads it', async () => {
    const body = padded(200_000)
    const answer = await rawPost({ ...signedHeaders({ body }), 'transfer-encoding': 'chunked' }, body)
    expect(answer).toMatchObject({ status: 413, json: { code: 'body_too_large' } })
  })

  it('refuses a content-encoding with 415 and takes identity', async () => {
    expect(await post(hook(), { body: '{}', headers: { 'content-encoding': 'gzip' } })).toMatchObject({
      status: 415,
      body: { code: 'unsupported_encoding' },
    })
    expect(await post(hook(), { body: '{}', headers: { 'content-encoding': 'identity' } })).toMatchObject({ status: 200 })
  })

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('answers %s with 405 and Allow: POST', async (method) => {
    const response = await fetch(hook(), { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('POST')
    expect(await response.json()).toMatchObject({ code: 'method_not_allowed' })
  })

  it.each(['/', '/webhooks', '/webhooks/gemini/', '/Webhooks/gemini', '/webhooks/gemini%2f'])(
    'answers 404 at %s',
    async (path) => {
      const response = await fetch(relay.url + path, { method: 'POST', body: '{}' })
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'not_found' })
    },
  )

  it('answers 503 with Retry-After where a source has no keys', async () => {
    const answer = await post(`${relay.url}/webhooks/keyless`, { body: '{}' })
    expect(answer).toMatchObject({ status: 503, body: { code: 'keys_unavailable' } })
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it.each([
    ['not JSON', 'not json at all'],
    ['no type', '{"data":{}}'],
    ['an empty type', '{"type":""}'],
    ['a list', '[1,2]'],
    ['nothing', ''],
    ['bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0x00])],
  ])('takes an authenticated body that is %s', async (_, body) => {
    const id = `msg_${Math.random()}`
    const { createHmac } = await import('node:crypto')
    const timestamp = String(Math.floor(Date.now() / 1_000))
    const signature = createHmac('sha256', Buffer.from(secret.slice(6), 'base64'))
      .update(`${id}.${timestamp}.`)
      .update(body)
      .digest('base64')
    const headers = { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` }
    const response = await fetch(hook(), {
      method: 'POST',
      headers,
      body: typeof body === 'string' ? body : new Uint8Array(body),
    })
    expect(response.status).toBe(200)
  })

  it('answers an oversized header block by Node itself, and goes on', async () => {
    const answer = await rawPost({ ...signedHeaders({ body: '{}' }), 'x-filler': 'x'.repeat(20_000) }, '{}')
    expect(answer.status).toBe(431)
    expect(await post(hook(), { body: '{}' })).toMatchObject({ status: 200 })
  })

  it('takes 100 headers and refuses one more with 431', async () => {
    const signed = Object.entries(signedHeaders({ body: '{}' })).map(([name, value]) => `${name}: ${value}\r\n`)
    const send = (count: number) => {
      // host, content-length and connection come to those that are signed
      const fillers = Array.from({ length: count - signed.length - 3 }, (_, n) => `x${n}: 1\r\n`)
      const head = `POST /webhooks/gemini HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n`
      return rawExchange(`${head}${signed.join('')}${fillers.join('')}\r\n{}`)
    }
    expect(await send(100)).toContain('HTTP/1.1 200 ')
    const refused = await send(101)
    expect(refused).toContain('HTTP/1.1 431 ')
    expect(refused).toContain('"code":"too_many_headers"')
  })

  it('overlooks no second webhook-id behind as many headers as Node counts', async () => {
    const signed = Object.entries(signedHeaders({ body: '{}' })).map(([name, value]) => `${name}: ${value}\r\n`)
    const head = `POST /webhooks/gemini HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\nconnection: close\r\n`
    const answer = await rawExchange(`${head}${signed.join('')}${'a: 1\r\n'.repeat(2_000)}webhook-id: other\r\n\r\n{}`)
    expect(answer).toContain('HTTP/1.1 431 ')
  })

  it('goes on after a sender that leaves in the middle of its body', async () => {
    const { port } = new URL(relay.url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST /webhooks/gemini HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf')
    await new Promise((resolve) => setTimeout(resolve, 50))
    socket.destroy()
    expect(await post(hook(), { body: '{}' })).toMatchObject({ status: 200 })
    expect(relay.log()).not.toContain('unexpected error')
  })
})

describe('what never becomes a request', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'malformed_request'],
    [
      'two lengths at once',
      'POST /webhooks/gemini HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'malformed_request',
    ],
    [
      'an unknown expectation',
      'POST /webhooks/gemini HTTP/1.1\r\nhost: x\r\nexpect: magic\r\ncontent-length: 0\r\n\r\n',
      417,
      'expectation_failed',
    ],
    [
      'a URL that is none',
      'POST http://[bad/webhooks/gemini HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n',
      404,
      'not_found',
    ],
  ])('is answered with a code: %s', async (_, sent, status, code) => {
    const answer = await rawExchange(sent)
    expect(answer).toContain(`HTTP/1.1 ${status} `)
    expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({ code, error: expect.any(String) })
    expect(relay.log()).not.toContain('unexpected error')
  })
})

it('gives up a client that sends its headers too slowly, and says so', async () => {
  const answer = await rawExchange('POST /webhooks/gemini HTTP/1.1\r\nhost: x\r\nwebhook-')
  expect(answer).toContain('HTTP/1.1 408 ')
  expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({ code: 'request_timeout' })
}, 20_000)

describe('health', () => {
  it('is alive, and ready only with keys for every source', async () => {
    expect(await (await fetch(`${relay.url}/livez`)).json()).toEqual({ status: 'alive' })
    const ready = await fetch(`${relay.url}/readyz`)
    expect(ready.status).toBe(503)
    expect(await ready.json()).toMatchObject({
      status: 'not_ready',
      checks: { database: { ok: true }, keys: { gemini: { ok: true }, keyless: { ok: false, reason: expect.any(String) } } },
    })
  })

  it('answers another method with 405', async () => {
    const response = await fetch(`${relay.url}/livez`, { method: 'POST' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })
})

function padded(bytes: number): string {
  return `"${'x'.repeat(bytes - 2)}"`
}

/** Node's own client: `fetch` neither sends a header twice nor chunks on request. */
function rawPost(headers: Record<string, string | string[]>, body: string): Promise<{ status: number; json: unknown }> {
  return new Promise((resolve, reject) => {
    const sending = request(hook(), { method: 'POST', headers }, (response) => {
      let text = ''
      response.on('data', (chunk: Buffer) => (text += chunk.toString()))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, json: text === '' ? undefined : JSON.parse(text) }))
    })
    sending.on('error', reject)
    sending.end(body)
  })
}

/** Writes bytes and reads until the server closes. */
function rawExchange(sent: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(Number(new URL(relay.url).port), '127.0.0.1', () => socket.write(sent))
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString()))
    socket.on('error', reject)
    socket.on('close', () => resolve(answer))
  })
}
