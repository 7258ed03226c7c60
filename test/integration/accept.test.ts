import { randomUUID } from 'node:crypto'
import { createServer, connect, type Socket } from 'node:net'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAcceptor } from '../../src/accept/acceptor.ts'
import { startJwksServer, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { signJwt, type WebhookHeaders } from '../../src/emulator/sign.ts'
import type { AcceptResult } from '../../src/accept/row.ts'
import { createApp } from '../../src/receive/app.ts'
import { createCallback } from '../../src/receive/callback.ts'
import { listen } from '../../src/receive/server.ts'
import { createUnverifiedBytes } from '../../src/receive/unverified-bytes.ts'
import { createSession } from '../../src/store/session.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { silent, startAcceptor, verified, type TestAcceptor } from '../setup/accepted.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { startRelay, type TestRelay } from '../setup/relay.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

let database: TestDatabase
let db: pg.Pool

beforeAll(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 6 })
})
afterAll(async () => {
  await db.end()
  await database.drop()
})

async function count(sql: string, values: unknown[] = []): Promise<number> {
  const { rows } = await db.query<{ count: string }>(`select count(*) from ${sql}`, values)
  return Number(rows[0]?.count)
}

/** Runs `work` while nobody else can write events. */
async function whileLocked<T>(work: (unlock: () => Promise<void>) => Promise<T>): Promise<T> {
  const locker = await db.connect()
  let locked = true
  const unlock = async () => {
    if (locked) await locker.query('rollback')
    locked = false
  }
  try {
    await locker.query('begin; lock table gemini_relay.events in exclusive mode')
    return await work(unlock)
  } finally {
    await unlock()
    locker.release()
  }
}

const waitingForLocks = () => count(`pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`)

describe('a group', () => {
  let accepting: TestAcceptor

  beforeEach(async () => {
    accepting = await startAcceptor(database.url)
  })
  afterEach(async () => {
    await accepting.acceptor.idle()
    await accepting.close()
  })

  const send = (id: string, body = '{}') => accepting.acceptor.accept(verified({ id, body }))

  it('that holds one id several times stores it once: the first is new, the rest are duplicates', async () => {
    const ids = Array.from({ length: 60 }, (_, n) => `msg_group_${n % 20}_${randomUUID().slice(0, 4)}`)
    const order = [...ids, ...ids, ...ids].toSorted(() => Math.random() - 0.5)
    const results = await Promise.all(order.map((id) => send(id)))
    for (const id of ids) {
      const answers = order.flatMap((other, n) => (other === id ? [results[n]] : []))
      expect(answers).toEqual(['received', 'duplicate', 'duplicate'])
    }
    expect(await count('gemini_relay.events where webhook_id = any ($1)', [ids])).toBe(60)
    expect(
      await count('gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where e.webhook_id = any ($1)', [
        ids,
      ]),
    ).toBe(60)
  })

  it('keeps the body of the first where the bodies of one id differ', async () => {
    const id = `msg_${randomUUID()}`
    expect(await Promise.all(['{"n":1}', '{"n":2}', '{"n":3}'].map((body) => send(id, body)))).toEqual([
      'received',
      'duplicate',
      'duplicate',
    ])
    const { rows } = await db.query<{ body: Buffer }>('select body from gemini_relay.events where webhook_id = $1', [id])
    expect(rows.map(({ body }) => body.toString())).toEqual(['{"n":1}'])
  })

  it('keeps ids of 256 characters and of every visible ASCII character apart', async () => {
    const visible = Array.from({ length: 94 }, (_, n) => String.fromCharCode(33 + n)).join('')
    const ids = [visible, visible.toLowerCase(), 'x'.repeat(256), `${'x'.repeat(255)}y`].map((id) => id.slice(0, 256))
    expect(await Promise.all(ids.map((id) => send(id)))).toEqual(['received', 'received', 'received', 'received'])
    expect(await Promise.all(ids.map((id) => send(id)))).toEqual(['duplicate', 'duplicate', 'duplicate', 'duplicate'])
  })

  it.each([
    ['rolls back', 'rollback', ['received', 'received']],
    ['commits', 'commit', ['duplicate', 'duplicate']],
  ])('that ends in a deadlock runs again; the other side %s', async (_, ending, answers) => {
    const [first, second] = ['a', 'b'].map((part) => `msg_${part}_${randomUUID()}`)
    if (first === undefined || second === undefined) throw new Error('no ids')
    const insert = `insert into gemini_relay.events (source, webhook_id, scheme, received_at, body) values ('gemini', $1, 'hmac', now(), '{}')`
    const other = await db.connect()
    try {
      await other.query('begin')
      // Whoever has waited longest finds the deadlock first: not this side.
      await other.query(`set local deadlock_timeout = '20s'`)
      await other.query(insert, [second])
      const group = Promise.all([send(first), send(second)])
      await eventually(waitingForLocks, (waiting) => waiting > 0)
      await other.query(insert, [first])
      await other.query(ending)
      expect(await group).toEqual(answers)
    } finally {
      other.release()
    }
    expect(await count('gemini_relay.events where webhook_id = any ($1)', [[first, second]])).toBe(2)
  })

  it('shares ids with other groups, forwards and backwards, without an error', async () => {
    const pools = await Promise.all(Array.from({ length: 4 }, () => startAcceptor(database.url)))
    try {
      const rounds = Array.from({ length: 30 }, (_, round) =>
        Array.from({ length: 40 }, (__, n) => `msg_cross_${round}_${n}_${database.url.length}`),
      )
      for (const ids of rounds) {
        const all = await Promise.all(
          pools.map(({ acceptor }, n) =>
            Promise.all((n % 2 === 0 ? ids : ids.toReversed()).map((id) => acceptor.accept(verified({ id, body: '{}' })))),
          ),
        )
        expect(all.flat().filter((result) => result === 'received')).toHaveLength(ids.length)
      }
    } finally {
      for (const one of pools) await one.close()
    }
  })
})

describe('the queue in front of the database', () => {
  it('refuses what is over its requests or bytes with queue_full, keeps the rest, and takes more when it has drained', async () => {
    const accepting = await startAcceptor(database.url, { limits: { waitingRequests: 3, waitingBytes: 1_000 } })
    try {
      await whileLocked(async (unlock) => {
        const kept: Promise<AcceptResult>[] = [accepting.acceptor.accept(verified({ body: 'first' }))]
        await eventually(waitingForLocks, (waiting) => waiting > 0)
        // One group is being written; these wait.
        kept.push(...[1, 2].map((n) => accepting.acceptor.accept(verified({ body: `waits ${n}` }))))
        await expect(accepting.acceptor.accept(verified({ body: 'x'.repeat(1_000) }))).rejects.toMatchObject({
          code: 'queue_full',
          status: 503,
        })
        kept.push(accepting.acceptor.accept(verified({ body: 'waits 3' })))
        await expect(accepting.acceptor.accept(verified({ body: 'one too many' }))).rejects.toMatchObject({
          code: 'queue_full',
          status: 503,
        })
        await unlock()
        expect(await Promise.all(kept)).toEqual(['received', 'received', 'received', 'received'])
      })
      expect(await accepting.acceptor.accept(verified({ body: 'x'.repeat(900) }))).toBe('received')
    } finally {
      await accepting.close()
    }
  })

  it('is full for the sender with 503 and Retry-After', async () => {
    const accepting = await startAcceptor(database.url, { limits: { waitingRequests: 1, waitingBytes: 100 } })
    const verifier = createVerifier({ source: { name: 'gemini', secrets: [secret] }, log: silent })
    const app = createApp({
      webhooks: [{ source: 'gemini', path: '/hook', verifier, acceptor: accepting.acceptor, bodyLimitBytes: 1_000 }],
      readiness: async () => ({
        ready: true,
        checks: { database: { ok: true }, keys: {} },
        detail: {
          config: { hash: '', since: '', reloads: { applied: 0, refused: 0 } },
          unknown_deliveries: [],
          paused_sinks: [],
          refusals: {},
        },
      }),
      draining: () => false,
      countRefusal() {},
      unverified: createUnverifiedBytes(),
      log: silent,
    })
    const server = await listen(createCallback(app), { host: '127.0.0.1', port: 0 })
    try {
      const url = `http://127.0.0.1:${server.port}/hook`
      const answer = await post(url, { body: 'x'.repeat(101), headers: { connection: 'close' } })
      expect(answer).toMatchObject({ status: 503, body: { code: 'queue_full' } })
      expect(answer.headers.get('retry-after')).toBe('1')
      expect(await post(url, { body: 'x'.repeat(100), headers: { connection: 'close' } })).toMatchObject({ status: 200 })
    } finally {
      await server.close(AbortSignal.abort())
      await accepting.close()
    }
  })

  it('takes a body that alone is as large as one group', async () => {
    const accepting = await startAcceptor(database.url)
    try {
      const bodies = [9 * 1_048_576, 10, 9 * 1_048_576].map((bytes) => 'x'.repeat(bytes))
      expect(await Promise.all(bodies.map((body) => accepting.acceptor.accept(verified({ body }))))).toEqual([
        'received',
        'received',
        'received',
      ])
    } finally {
      await accepting.close()
    }
  })
})

describe('a rule whose message or names hold what Postgres does not take', () => {
  it('costs no event', async () => {
    const accepting = await startAcceptor(database.url, {
      plan: () => ({
        rules: [],
        route: () => [{ rule: 'all', sink: 'jobs', dead: { code: 'condition_error', message: 'a \0 and half a pair \uD800' } }],
      }),
    })
    try {
      const id = `msg_${randomUUID()}`
      expect(await accepting.acceptor.accept(verified({ id, body: '{}' }))).toBe('received')
      const { rows } = await db.query(
        'select d.message from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where webhook_id = $1',
        [id],
      )
      expect(rows).toEqual([{ message: 'a \uFFFD and half a pair \uFFFD' }])
    } finally {
      await accepting.close()
    }
  })
})

describe('a database that breaks away', () => {
  it('is answered 503 database_unavailable with Retry-After, nothing is stored twice, and it goes on', async () => {
    const relay = await startRelay(relayOn(database.url))
    try {
      await whileLocked(async () => {
        const id = `msg_${randomUUID()}`
        const sending = post(`${relay.url}/hook`, { id, body: '{}' })
        await eventually(waitingForLocks, (waiting) => waiting > 0)
        await db.query(
          `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gemini-relay accept' and datname = current_database()`,
        )
        const answer = await sending
        expect(answer).toMatchObject({ status: 503, body: { code: 'database_unavailable' } })
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
        expect(JSON.stringify(answer.body)).not.toMatch(/terminat|postgres/i)
      })
      const { status } = await eventually(
        () => post(`${relay.url}/hook`, { id: 'msg_after_break', body: '{}' }),
        (answer) => answer.status === 200,
      )
      expect(status).toBe(200)
    } finally {
      await relay.stop()
    }
  })

  it('also without a word, in the middle of binding a token: the relay lives, the token is not used up', async () => {
    const proxy = await startDatabaseProxy(database.url)
    const relay = await startRelay(relayOn(proxy.url))
    try {
      const message = { id: `msg_${randomUUID()}`, body: envelope('batch.failed'), timestamp: new Date() }
      const headers = await signJwt({ ...message, key, audience: 'relay' })
      await whileLocked(async () => {
        const sending = sendSigned(relay, headers, message.body)
        await eventually(waitingForLocks, (waiting) => waiting > 0)
        proxy.cut()
        expect(await sending).toMatchObject({ status: 503, code: 'database_unavailable' })
      })
      const again = await eventually(
        () => sendSigned(relay, headers, message.body),
        ({ status }) => status === 200,
      )
      expect(again.result).toMatch(/received|duplicate/)
      expect(await count('gemini_relay.events where webhook_id = $1', [message.id])).toBe(1)
    } finally {
      await relay.stop()
      await proxy.close()
    }
  })
})

let jwks: JwksServer
let key: SigningKey
beforeAll(async () => {
  key = await generateSigningKey('RS256')
  jwks = await startJwksServer({ keys: [key.publicJwk] })
})
afterAll(async () => {
  await jwks.close()
})

function relayOn(url: string): { yaml: string; env: Record<string, string> } {
  return {
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: /hook
    static: { secrets: ["\${SECRET}"] }
    dynamic: { jwks_uri: "${jwks.url}", audience: relay }
  lenient:
    path: /lenient
    dynamic: { jwks_uri: "${jwks.url}", audience: relay, unbound_jwt: accept }
`,
    env: { DATABASE_URL: url, SECRET: secret },
  }
}

interface Said {
  status: number
  /** `received` or `duplicate`. */
  result: string | undefined
  code: string | undefined
}

async function sendSigned(relay: TestRelay, headers: WebhookHeaders, body: string, path = '/hook'): Promise<Said> {
  const response = await fetch(relay.url + path, { method: 'POST', headers: { ...headers, connection: 'close' }, body })
  const { status: result, code }: { status?: string; code?: string } = JSON.parse(await response.text())
  return { status: response.status, result, code }
}

describe('a token', () => {
  let relay: TestRelay
  beforeAll(async () => {
    relay = await startRelay(relayOn(database.url))
  })
  afterAll(async () => {
    await relay.stop()
  })

  const received = { status: 200, result: 'received', code: undefined }
  const duplicate = { status: 200, result: 'duplicate', code: undefined }
  const reused = { status: 400, result: undefined, code: 'token_reused' }

  async function token(
    body: string,
    claims: Record<string, unknown> = {},
  ): Promise<{ as: (id: string) => WebhookHeaders; id: string; body: string }> {
    const id = `msg_${randomUUID()}`
    const headers = await signJwt({
      id,
      body,
      timestamp: new Date(),
      key,
      audience: 'relay',
      claims,
      expiresAt: new Date(Date.now() + 60_000),
    })
    return { id, body, as: (other) => ({ ...headers, 'webhook-id': other }) }
  }

  it('works for one webhook-id, again as a duplicate, and for no other', async () => {
    const { id, body, as } = await token(envelope('batch.failed'))
    expect(await sendSigned(relay, as(id), body)).toEqual(received)
    expect(await sendSigned(relay, as(id), body)).toEqual(duplicate)
    expect(await sendSigned(relay, as('msg_another'), body)).toEqual(reused)
    expect(await count('gemini_relay.events where webhook_id = $1', ['msg_another'])).toBe(0)
    expect(relay.log()).toContain('unbound_jwt')
  })

  it('works for any webhook-id where the source says unbound_jwt: accept', async () => {
    const { id, body, as } = await token(envelope('batch.failed'))
    const ids = [id, `${id}_b`, `${id}_c`]
    for (const one of ids) expect(await sendSigned(relay, as(one), body, '/lenient')).toEqual(received)
    expect(await count(`gemini_relay.events where source = 'lenient' and webhook_id = any ($1)`, [ids])).toBe(3)
  })

  it('with envelope claims works once, also there', async () => {
    const body = envelope('batch.failed')
    const { id, as } = await token(body, JSON.parse(body))
    expect(await sendSigned(relay, as(id), body, '/lenient')).toEqual(received)
    expect(await sendSigned(relay, as(`${id}_b`), body, '/lenient')).toEqual(reused)
  })

  it('of one source says nothing of another source', async () => {
    const { id, body, as } = await token(envelope('batch.failed'))
    expect(await sendSigned(relay, as(id), body)).toEqual(received)
    expect(await sendSigned(relay, as(`${id}_b`), body, '/lenient')).toEqual(received)
  })

  it('that is used up makes no duplicate of a known webhook-id', async () => {
    const used = await token(envelope('batch.failed'))
    const other = await token(envelope('batch.failed'))
    await sendSigned(relay, used.as(used.id), used.body)
    await sendSigned(relay, other.as(other.id), other.body)
    // A known id is a duplicate whatever its token or body.
    expect(await sendSigned(relay, used.as(other.id), 'another body')).toEqual(duplicate)
    expect(await post(`${relay.url}/hook`, { id: other.id, body: '{}' })).toMatchObject({
      status: 200,
      body: { status: 'duplicate' },
    })
  })

  it('is spelled in more than one way and is one token still', async () => {
    const { id, body, as } = await token(envelope('batch.failed'))
    expect(await sendSigned(relay, as(id), body)).toEqual(received)
    const headers = as(`${id}_b`)
    const respelled = { ...headers, 'webhook-signature': respell(headers['webhook-signature']) }
    expect(respelled['webhook-signature']).not.toBe(headers['webhook-signature'])
    expect(await sendSigned(relay, respelled, body)).toEqual(reused)
  })

  it('that comes with many webhook-ids at the same time works for exactly one of them', async () => {
    const { id, body, as } = await token(envelope('batch.failed'))
    const ids = Array.from({ length: 12 }, (_, n) => `${id}_${n}`)
    const answers = await Promise.all(ids.map((one) => sendSigned(relay, as(one), body)))
    expect(answers.filter(({ status }) => status === 200)).toEqual([received])
    expect(answers.filter(({ code }) => code === 'token_reused')).toHaveLength(11)
    expect(await count('gemini_relay.events where webhook_id = any ($1)', [ids])).toBe(1)
  })

  it('that is refused leaves nothing behind: its webhook-id is free for a request that is in order', async () => {
    const used = await token(envelope('batch.failed'))
    await sendSigned(relay, used.as(used.id), used.body)
    const fresh = await token(envelope('batch.failed'))
    expect(await sendSigned(relay, used.as(fresh.id), used.body)).toEqual(reused)
    expect(await sendSigned(relay, fresh.as(fresh.id), fresh.body)).toEqual(received)
  })

  it('is used up too when it comes with a known webhook-id, in the same group as the first one', async () => {
    const first = await token(envelope('batch.failed'))
    const second = await token(envelope('batch.failed'))
    await whileLocked(async (unlock) => {
      const blocker = post(`${relay.url}/hook`, { body: '{}' })
      await eventually(waitingForLocks, (waiting) => waiting > 0)
      const both = Promise.all([first, second].map(({ as, body }) => sendSigned(relay, as(first.id), body)))
      await new Promise((resolve) => setTimeout(resolve, 300))
      await unlock()
      expect((await blocker).status).toBe(200)
      expect((await both).map(({ result = '' }) => result).toSorted()).toEqual(['duplicate', 'received'])
    })
    for (const { as, id, body } of [first, second]) expect(await sendSigned(relay, as(`${id}_other`), body)).toEqual(reused)
  })

  it('that is refused makes no duplicate of a request in the same group that is in order', async () => {
    const used = await token(envelope('batch.failed'))
    await sendSigned(relay, used.as(used.id), used.body)
    const id = `msg_${randomUUID()}`
    await whileLocked(async (unlock) => {
      // While this one is being written, the next two gather to one group.
      const blocker = post(`${relay.url}/hook`, { body: '{}' })
      await eventually(waitingForLocks, (waiting) => waiting > 0)
      const refused = sendSigned(relay, used.as(id), used.body)
      await new Promise((resolve) => setTimeout(resolve, 300))
      const inOrder = post(`${relay.url}/hook`, { id, body: '{"in":"order"}' })
      await new Promise((resolve) => setTimeout(resolve, 300))
      await unlock()
      expect((await blocker).status).toBe(200)
      expect(await refused).toEqual(reused)
      expect(await inOrder).toMatchObject({ status: 200, body: { status: 'received' } })
    })
    const { rows } = await db.query<{ body: Buffer }>('select body from gemini_relay.events where webhook_id = $1', [id])
    expect(rows.map(({ body }) => body.toString())).toEqual(['{"in":"order"}'])
  })
})

/** The same signature with other bits in the last character, which holds fewer than six. */
function respell(token: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const last = alphabet.indexOf(token.at(-1) ?? '')
  return token.slice(0, -1) + alphabet.charAt(last ^ 1)
}

describe('deliveries that go in with their event', () => {
  it('are pending with nobody to take them, and leased where a place was reserved', async () => {
    const reserved: string[] = []
    const accepting = await startAcceptor(database.url)
    const session = createSession(accepting.pool)
    const acceptor = createAcceptor({
      session,
      plan: () => ({ rules: [], route: () => ['here', 'elsewhere'].map((sink) => ({ rule: 'all', sink })) }),
      horizonMs: (sink) => (sink === 'here' ? 60_000 : 1_000),
      ordered: () => false,
      desk: {
        reserve: (_, sink) => sink === 'here' && reserved.push(sink) > 0,
        cancel: (_, sink) => void reserved.splice(reserved.indexOf(sink), 1),
        handOver: (deliveries) => void reserved.splice(0, deliveries.length),
        overflowed() {},
      },
      holder: 'test',
      leaseMs: 30_000,
      leaseMarginMs: 2_000,
      log: silent,
    })
    try {
      const id = `msg_${randomUUID()}`
      await Promise.all([id, id, id].map((one) => acceptor.accept(verified({ id: one, body: '{}' }))))
      const { rows } = await db.query(
        `select d.sink, d.state, d.lease is not null as leased, round(extract(epoch from d.expires_at - d.created_at))::int as horizon
         from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where e.webhook_id = $1 order by d.sink`,
        [id],
      )
      expect(rows).toEqual([
        { sink: 'elsewhere', state: 'pending', leased: false, horizon: 1 },
        { sink: 'here', state: 'leased', leased: true, horizon: 60 },
      ])
      // Every place that was reserved was taken or given back, for the duplicates too.
      expect(reserved).toEqual([])
    } finally {
      session.release()
      await accepting.close()
    }
  })
})

/** Stands between a relay and its database, and can go away without a word, as a network does. */
async function startDatabaseProxy(url: string): Promise<{ url: string; cut: () => void; close: () => Promise<void> }> {
  const given = new pg.Client({ connectionString: url })
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = given.host.startsWith('/') ? connect(`${given.host}/.s.PGSQL.${given.port}`) : connect(given.port, given.host)
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => void [near, far].map((either) => either.destroy()))
    }
    near.pipe(far).pipe(near)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const password = typeof given.password === 'string' ? `:${encodeURIComponent(given.password)}` : ''
  const cut = () => {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }
  return {
    url: `postgres://${encodeURIComponent(given.user ?? '')}${password}@127.0.0.1:${address.port}/${given.database ?? ''}`,
    cut,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        cut()
      }),
  }
}
