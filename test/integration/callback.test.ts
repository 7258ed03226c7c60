import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import { Readable } from 'node:stream'
import Koa from 'koa'
import { afterEach, expect, it } from 'vitest'
import { createCallback } from '../../src/receive/callback.ts'

let server: Server | undefined
afterEach(() => {
  server?.closeAllConnections()
  server?.close()
})

async function serve(app: Koa): Promise<number> {
  server = createServer(createCallback(app)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function answerOf(middleware: Koa.Middleware, method = 'GET'): Promise<Response> {
  return await fetch(`http://127.0.0.1:${await serve(new Koa().use(middleware))}/`, { method })
}

it.each<[string, Koa.Middleware, number, string]>([
  ['a text', (ctx) => void (ctx.body = 'grüße'), 200, 'grüße'],
  ['bytes', (ctx) => void (ctx.body = Buffer.from('bytes')), 200, 'bytes'],
  ['an object, as JSON', (ctx) => void (ctx.body = { a: 1 }), 200, '{"a":1}'],
  ['a stream', (ctx) => void (ctx.body = Readable.from(['one', 'two'])), 200, 'onetwo'],
  ['nothing, as 404', () => {}, 404, 'Not Found'],
  ['null, as 204', (ctx) => void (ctx.body = null), 204, ''],
])('answers with what a middleware left: %s', async (_, middleware, status, text) => {
  const answer = await answerOf(middleware)
  expect([answer.status, await answer.text()]).toEqual([status, text])
  expect(answer.headers.get('content-length')).toBe(status === 204 || text === 'onetwo' ? null : String(Buffer.byteLength(text)))
})

it('answers a HEAD with the length and no body', async () => {
  const answer = await answerOf((ctx) => void (ctx.body = { a: 1 }), 'HEAD')
  expect([answer.headers.get('content-length'), await answer.text()]).toEqual(['7', ''])
})

it('answers an error that nobody caught, without its text, and tells the listeners of the app', async () => {
  const app = new Koa()
  const told: unknown[] = []
  app.on('error', (error) => told.push(error))
  app.use(() => {
    throw new Error('secret')
  })
  const answer = await fetch(`http://127.0.0.1:${await serve(app)}/`)
  expect([answer.status, await answer.text()]).toEqual([500, 'Internal Server Error'])
  expect(told).toMatchObject([{ message: 'secret' }])
})

it('leaves a client that went away without an answer, and answers the next', async () => {
  const waiting: (() => void)[] = []
  const app = new Koa()
  app.use(async (ctx) => {
    if (ctx.path === '/slow') await new Promise<void>((resolve) => waiting.push(resolve))
    ctx.body = 'here'
  })
  const port = await serve(app)
  const socket = connect(port, '127.0.0.1')
  socket.write('GET /slow HTTP/1.1\r\nhost: x\r\n\r\n')
  while (waiting.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
  socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  waiting[0]?.()
  expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('here')
})
