/** The receiver that a team would write by hand on the same libraries: verify, one INSERT a request, answer. */
import Koa from 'koa'
import pg from 'pg'
import { Webhook } from 'standardwebhooks'

const webhook = new Webhook(process.env['SECRET'] ?? '')
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] })
await pool.query(`
  create table if not exists webhook_events (
    id bigint generated always as identity primary key,
    webhook_id text not null unique,
    type text not null,
    payload jsonb not null,
    received_at timestamptz not null default now()
  )`)

const app = new Koa()

app.use(async (ctx) => {
  const chunks: Buffer[] = []
  for await (const chunk of ctx.req) chunks.push(chunk)
  const body = Buffer.concat(chunks).toString()
  const headers = {
    'webhook-id': ctx.get('webhook-id'),
    'webhook-timestamp': ctx.get('webhook-timestamp'),
    'webhook-signature': ctx.get('webhook-signature'),
  }
  let event: unknown
  try {
    event = webhook.verify(body, headers)
  } catch {
    ctx.status = 400
    ctx.body = { error: 'invalid signature' }
    return
  }
  const type = typeof event === 'object' && event !== null && 'type' in event ? event.type : 'unknown'
  const { rowCount } = await pool.query(
    'insert into webhook_events (webhook_id, type, payload) values ($1, $2, $3) on conflict (webhook_id) do nothing',
    [headers['webhook-id'], type, body],
  )
  ctx.body = { status: rowCount === 1 ? 'received' : 'duplicate' }
})

const server = app.listen(0, '127.0.0.1', () => {
  const address = server.address()
  if (typeof address === 'object' && address !== null) process.send?.({ port: address.port })
})
