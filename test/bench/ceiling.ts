/** The ceiling: what Koa does when it reads the body and answers, and nothing else. */
import Koa from 'koa'

const app = new Koa()

app.use(async (ctx) => {
  await new Promise<void>((resolve, reject) => {
    const chunks: Buffer[] = []
    ctx.req.on('data', (chunk: Buffer) => chunks.push(chunk))
    ctx.req.on('end', resolve)
    ctx.req.on('error', reject)
  })
  ctx.body = { status: 'received' }
})

const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port })
})
