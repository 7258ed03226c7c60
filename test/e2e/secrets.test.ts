/**
 * No secret gets out: the relay runs with every kind of secret that there is, at the most talkative level, each part of it is made
 * to fail, and all that it said, answered and stored is searched for each secret in every spelling.
 */
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { generateSigningKey, type SigningKey } from '../../src/emulator/keys.ts'
import { startJwksServer, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { signJwt, type WebhookHeaders } from '../../src/emulator/sign.ts'
import { attachEmbedded } from '../../src/store/embedded/index.ts'
import { certificate } from '../fixtures/pem.ts'
import { leaksIn, signingSecret, spellingsOf } from '../fixtures/spellings.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { createEmissions, type Serving } from '../setup/emissions.ts'
import { freePorts } from '../setup/free-ports.ts'
import { kafkaUsers } from '../setup/kafka-broker.ts'
import { createTopics, ownKafkaSuite } from '../setup/kafka-suite.ts'
import { envelope, eventually, signedHeaders } from '../setup/sender.ts'
import { startReceiver, type Receiver, type ReceivedRequest } from '../sinks/receiver.ts'

/** Random, with characters that each encoding writes differently. */
const made = (): string => Array.from('@:/?#%&+ö ~!', (odd) => odd + randomBytes(2).toString('hex')).join('')
const madeSigning = (): string => `whsec_${randomBytes(32).toString('base64')}`
const plain = (...secrets: string[]): Buffer[] => secrets.map((secret) => Buffer.from(secret))

/** The base64 of a key, without the lines that all keys have. */
function pemCore(pem: string): string {
  return pem.replaceAll(/-----[^-]+-----|\n/g, '')
}

const tlsKey = generateKeyPairSync('rsa', { modulusLength: 2_048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()

/** What a receiver, or a Slack, that is no friend answers: whatever it was sent. */
function echo({ path, headers, body }: ReceivedRequest): string[] {
  const { authorization = '' } = headers
  return [`Cannot POST ${path}`, decodeURIComponent(path), `authorization: ${authorization}`, body.toString().slice(0, 40)]
}

let directory: string
let jwks: JwksServer
let receiver: Receiver
let signer: SigningKey

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'gemini-relay-secrets-'))
  signer = await generateSigningKey('RS256')
  jwks = await startJwksServer({ keys: [signer.publicJwk] })
  receiver = await startReceiver()
})
afterAll(async () => {
  await receiver.close()
  await jwks.close()
  rmSync(directory, { recursive: true, force: true })
})

/** @returns its path */
function file(name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

/** As another user, in the same place. */
function asUser(url: string, user: string, password: string): string {
  return url.replace(/^(\w+:\/\/)(?:[^@/]*@)?/, (_, scheme: string) => `${scheme}${user}:${encodeURIComponent(password)}@`)
}

async function query(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const result: unknown = await client.query(sql)
    return [result].flat().flatMap((one) => (one instanceof pg.Result ? one.rows : []))
  } finally {
    await client.end()
  }
}

/** A user who may do what he likes in a database of his own, until he is shut out. */
interface OwnedDatabase {
  admin: TestDatabase
  url: string
  shutOut(): Promise<void>
  letIn(): Promise<void>
  drop(): Promise<void>
}

async function ownedDatabase(password: string): Promise<OwnedDatabase> {
  const admin = await createTestDatabase()
  const user = `relay_${randomBytes(6).toString('hex')}`
  const [{ name } = {}] = await query(admin.url, 'select current_database() as name')
  await query(admin.url, `create role ${user} login password ${pg.escapeLiteral(password)}`)
  await query(admin.url, `alter database ${String(name)} owner to ${user}`)
  return {
    admin,
    url: asUser(admin.url, user, password),
    async shutOut() {
      await query(admin.url, `alter role ${user} nologin`)
      await query(admin.url, `select pg_terminate_backend(pid) from pg_stat_activity where usename = '${user}'`)
    },
    letIn: async () => void (await query(admin.url, `alter role ${user} login`)),
    async drop() {
      await admin.drop()
      const server = await createTestDatabase()
      await query(server.url, `drop role ${user}`)
      await server.drop()
    },
  }
}

/** Every row of every table of the relay's. */
async function contentsOf(url: string): Promise<string> {
  const tables = await query(url, `select table_name as name from information_schema.tables where table_schema = 'gemini_relay'`)
  const rows = await Promise.all(
    tables.map(({ name }) => query(url, `select coalesce(json_agg(t), '[]')::text as text from gemini_relay.${String(name)} t`)),
  )
  return rows
    .flat()
    .map(({ text }) => String(text))
    .join('\n')
}

describe('a relay whose parts all fail', () => {
  const emissions = createEmissions()
  const passwords = { relay: made(), table: made(), http: made(), sasl: made() }
  const token = `xoxb-${randomBytes(24).toString('hex')}`
  const httpQuery = randomBytes(20).toString('hex')
  const httpPath = randomBytes(20).toString('hex')
  const signing = {
    current: madeSigning(),
    last: madeSigning(),
    forward: madeSigning(),
    malformed: `whsec_!${randomBytes(24).toString('hex')}`,
  }
  const webToken = randomBytes(24).toString('hex')
  const adminToken = randomBytes(24).toString('hex')
  const jwts: string[] = []
  const dead = new Map<string, { code: unknown; message: unknown }[]>()
  let relayDatabase: OwnedDatabase
  let tableDatabase: OwnedDatabase
  let secrets: Record<string, Buffer[]>

  /** Nobody listens there. */
  let closed = 0
  let adminPort = 0

  const yaml = (port: number) => `
server: { host: 127.0.0.1, port: 0 }
admin: { port: ${adminPort}, token: "\${ADMIN_TOKEN}" }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: /hook
    static: { secrets: ["\${CURRENT}", "\${LAST}"] }
    dynamic: { jwks_uri: "${jwks.url}", audience: here }
sinks:
  echoed: { type: slack, token: "\${TOKEN}", channel: C0123456789, api_url: "http://127.0.0.1:${port}/api/", rate: 100/s }
  away: { type: slack, token: "\${TOKEN}", channel: C0123456789, api_url: "http://127.0.0.1:${closed}/", rate: 100/s, retry: { attempts: 1 } }
  forward:
    type: http
    url: "\${FORWARD_URL}"
    secret: "\${file:forward_secret}"
    allow_private: true
  elsewhere:
    type: table
    url: "\${TABLE_URL}"
    table: jobs
    create: true
    key: [id]
    columns: { id: event.subject }
  unheard: { type: kafka, brokers: ["127.0.0.1:${closed}"], topic: t, sasl: { mechanism: plain, username: u, password: "\${SASL}" }, retry: { attempts: 1 } }
  locked: { type: kafka, brokers: ["127.0.0.1:${port}"], topic: t, tls: { key: "\${TLS_KEY}", cert: "\${TLS_CERT}" }, retry: { attempts: 1 } }
  trace: { type: log }
rules:
  - { name: all, to: [echoed, away, forward, elsewhere, unheard, locked, trace] }
`

  beforeAll(async () => {
    ;[closed = 0, adminPort = 0] = await freePorts(2)
    relayDatabase = await ownedDatabase(passwords.relay)
    tableDatabase = await ownedDatabase(passwords.table)
    file('forward_secret', `${signing.forward}\n`)
    const privateJwk = signer.privateKey.export({ format: 'jwk' })
    secrets = {
      'signing secret': signingSecret(signing.current),
      'signing secret that is rotated out': signingSecret(signing.last),
      'secret of the http sink, from a file': signingSecret(signing.forward),
      'signing secret that is none': plain(signing.malformed.slice(6)),
      'Slack token': plain(token.slice(5)),
      'password of the database': plain(passwords.relay),
      'password of the table sink': plain(passwords.table),
      'password in the url of the http sink': plain(passwords.http),
      'query of the url of the http sink': plain(httpQuery),
      'path of the url of the http sink': plain(httpPath),
      'SASL password': plain(passwords.sasl),
      'token of the admin port': plain(adminToken),
      'TLS key': plain(pemCore(tlsKey)).concat(Buffer.from(pemCore(tlsKey), 'base64')),
      'private key of a sender': [Buffer.from(privateJwk.d ?? '', 'base64url')],
    }
    const forwardUrl = `http://forwarder:${encodeURIComponent(passwords.http)}@127.0.0.1:${receiver.port}/hooks/${httpPath}?token=${httpQuery}`
    const config = file('relay.yaml', yaml(receiver.port))
    const env = {
      DATABASE_URL: relayDatabase.url,
      CURRENT: signing.current,
      LAST: signing.last,
      TOKEN: token,
      FORWARD_URL: forwardUrl,
      TABLE_URL: tableDatabase.url,
      SASL: passwords.sasl,
      TLS_KEY: tlsKey,
      ADMIN_TOKEN: adminToken,
      TLS_CERT: certificate,
    }
    let forwarded = 0
    receiver.respond((response, request) => {
      if (request.path.startsWith('/api/')) {
        // Where a failure's message is cut, give or take.
        const dots = '.'.repeat(1_690 + (receiver.requests.length % 10) * 12)
        const messages = [`not ${request.headers.authorization}`, `${dots}${token}`]
        response.writeHead(200, { 'content-type': 'application/json' })
        response.end(JSON.stringify({ ok: false, error: 'invalid_auth', response_metadata: { messages } }))
      } else {
        const known = [...echo(request), signing.forward]
        const text = known[forwarded % known.length] ?? ''
        // First at the beginning, then where the message is cut.
        const before = forwarded++ < known.length ? '' : '.'.repeat(180)
        response.writeHead(400, { 'x-echo': text }).end(before + text)
      }
    })

    const relay = await emissions.serve(['-c', config], env)
    await talkTo(relay)
    await shutOutOfTheTable()
    await failures(relay)
    await command(config, env, relay)
    await shutOutOfTheDatabase(relay, config, env)
    await relay.stop()
    await startWrong(config, env)
  }, 180_000)

  afterAll(async () => {
    await emissions.close()
    await relayDatabase?.drop()
    await tableDatabase?.drop()
  })

  async function answerOf(what: string, url: string, init: RequestInit = {}): Promise<number> {
    const response = await fetch(url, init)
    emissions.note(`answer to ${what}`, `${JSON.stringify([...response.headers])} ${await response.text()}`)
    return response.status
  }

  const deliver = (what: string, { url }: Serving, headers: WebhookHeaders | Record<string, string>, body: string) =>
    answerOf(what, `${url}/hook`, { method: 'POST', headers: { ...headers }, body })

  async function jwt(audience: string): Promise<{ headers: WebhookHeaders; body: string }> {
    const body = envelope('batch.failed')
    const headers = await signJwt({ id: `msg_${randomUUID()}`, timestamp: new Date(), body, key: signer, audience })
    jwts.push(headers['webhook-signature'])
    return { headers, body }
  }

  async function talkTo(relay: Serving): Promise<void> {
    const body = envelope('batch.failed')
    const statuses: number[] = []
    for (const secret of [signing.current, signing.last])
      statuses.push(await deliver('an event', relay, signedHeaders({ body }, secret), body))
    for (let more = 0; more < 8; more++)
      statuses.push(await deliver('an event', relay, signedHeaders({ body }, signing.current), body))
    const first = await jwt('here')
    statuses.push(await deliver('a token', relay, first.headers, first.body))
    expect(new Set(statuses)).toEqual(new Set([200]))

    const elsewhere = await jwt('elsewhere')
    const tampered = { ...elsewhere.headers, 'webhook-signature': elsewhere.headers['webhook-signature'].slice(0, -20) }
    const refused = [
      await deliver('a token again', relay, { ...first.headers, 'webhook-id': 'msg_other' }, first.body),
      await deliver('a token for others', relay, elsewhere.headers, elsewhere.body),
      await deliver('a token cut short', relay, tampered, elsewhere.body),
      await deliver('the secret as a signature', relay, { ...first.headers, 'webhook-signature': signing.current }, body),
      await deliver('the secret as a version', relay, { ...first.headers, 'webhook-signature': `v1,${signing.current}` }, body),
      await deliver('another’s signature', relay, signedHeaders({ body }, madeSigning()), body),
      await answerOf('a wrong path', `${relay.url}/hook/${webToken}?secret=${encodeURIComponent(signing.current)}`, {
        method: 'POST',
        body,
      }),
      await answerOf('a wrong method', `${relay.url}/hook?secret=${encodeURIComponent(signing.current)}`),
    ]
    expect(refused).toEqual([400, 400, 400, 400, 400, 400, 404, 405])
    await sendRaw(
      relay,
      `POST /hook HTTP/1.1\r\nhost: a\r\nwebhook-signature: ${signing.current}\r\nbad header ${first.headers['webhook-signature']}\r\n\r\n`,
    )
    for (const path of ['/livez', '/readyz']) await answerOf(path, relay.url + path)
    const metrics = `http://127.0.0.1:${adminPort}/metrics`
    expect(await answerOf('/metrics', metrics, { headers: { authorization: `Bearer ${adminToken}` } })).toBe(200)
    expect(
      await answerOf('/metrics with half a token', metrics, { headers: { authorization: `Bearer ${adminToken.slice(9)}` } }),
    ).toBe(401)
  }

  async function sendRaw({ url }: Serving, text: string): Promise<void> {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => emissions.note('answer to what is not HTTP', chunk.toString()))
    socket.end(text)
    await once(socket, 'close')
  }

  async function shutOutOfTheTable(): Promise<void> {
    await eventually(
      () => query(tableDatabase.admin.url, 'select count(*)::int as n from jobs'),
      ([row]) => Number(row?.['n']) > 0,
    )
    await tableDatabase.shutOut()
  }

  /** Every sink has failed once as it was meant to. */
  async function failures(relay: Serving): Promise<void> {
    const body = envelope('batch.failed')
    expect(await deliver('an event', relay, signedHeaders({ body }, signing.current), body)).toBe(200)
    await eventually(
      () => query(relayDatabase.admin.url, `select sink, code, message from gemini_relay.deliveries where state = 'dead'`),
      (rows) => {
        dead.clear()
        for (const { sink, code, message } of rows) dead.set(String(sink), [...(dead.get(String(sink)) ?? []), { code, message }])
        const often = ['echoed', 'forward'].every((sink) => (dead.get(sink)?.length ?? 0) >= 12)
        return often && ['away', 'elsewhere', 'unheard', 'locked'].every((sink) => dead.has(sink))
      },
      60_000,
    )
  }

  async function command(config: string, env: Record<string, string>, { url }: Serving): Promise<void> {
    const ends = (expected: number, ...commands: string[][]) =>
      allEnd(
        expected,
        commands.map((args) => [...args, '-c', config]),
        env,
      )
    const shown = await query(
      relayDatabase.admin.url,
      `select distinct on (sink) id::text from gemini_relay.deliveries where state = 'dead'`,
    )
    const ids = shown.map(({ id }) => String(id))
    await ends(0, ['check'], ['check', '--json'], ['deliveries', 'list'], ['deliveries', 'list', '--json'])
    await ends(0, ...ids.map((id) => ['deliveries', 'show', id]), ['deliveries', 'show', ids[0] ?? '', '--json'])
    await ends(0, ['replay', '--dead', '--sink', 'forward', '--json'])
    await ends(1, ['replay', 'msg_unknown'], ['send', 'batch.failed', '--url', `http://127.0.0.1:${closed}/hook`])

    const key = file('sender.json', JSON.stringify({ ...signer.privateKey.export({ format: 'jwk' }), kid: signer.kid }))
    const quoted = readFileSync(key, 'utf8')
    const broken = [quoted.replace('"d":"', '"d":'), quoted.slice(0, -40), pemCore(tlsKey), tlsKey.slice(0, 900)]
    const send = ['send', 'batch.failed', '--url', `${url}/hook`]
    await ends(0, send, [...send, '--json', '--scheme', 'jwt', '--key', key])
    await ends(2, ...broken.map((text, n) => [...send, '--key', file(`broken-${n}.json`, text)]))
  }

  /** Several at a time: most of what a command takes is its start. */
  async function allEnd(code: number, commands: readonly string[][], env: Record<string, string>): Promise<void> {
    const ran = await Promise.all(commands.map((args) => emissions.run(args, env)))
    expect(ran.map((one, n) => [commands[n], one.code, one.output])).toEqual(
      commands.map((args) => [args, code, expect.any(String)]),
    )
  }

  async function shutOutOfTheDatabase(relay: Serving, config: string, env: Record<string, string>): Promise<void> {
    await relayDatabase.shutOut()
    const body = envelope('batch.failed')
    expect(await deliver('an event without a database', relay, signedHeaders({ body }, signing.current), body)).toBe(503)
    await eventually(
      () => answerOf('/readyz without a database', `${relay.url}/readyz`),
      (status) => status === 503,
    )
    expect((await emissions.run(['deliveries', 'list', '-c', config], env)).code).toBe(1)
    await relayDatabase.letIn()
    await eventually(
      () => answerOf('/readyz', `${relay.url}/readyz`),
      (status) => status === 200,
    )
    emissions.note('the relay’s tables', await contentsOf(relayDatabase.admin.url))
  }

  /** Each with one thing wrong: none of them gets as far as to listen. */
  async function startWrong(config: string, env: Record<string, string>): Promise<void> {
    const start = [['serve', '-c', config]]
    const check = [
      ['check', '-c', config],
      ['check', '--json', '-c', config],
    ]
    await allEnd(1, start, env) // still shut out of the table's database
    await relayDatabase.shutOut()
    await allEnd(1, start, env)
    await relayDatabase.letIn()
    const user = /\/\/([^:]*):[^@]*@/
    await allEnd(1, start, {
      ...env,
      DATABASE_URL: relayDatabase.url.replace(user, `//$1:${encodeURIComponent(passwords.table)}@`),
    })
    await allEnd(1, start, { ...env, DATABASE_URL: relayDatabase.url.replace(/\/\/([^:]*):/, '//$1:%') })
    await allEnd(1, [...start, ...check], {
      ...env,
      CURRENT: signing.malformed,
      TOKEN: `${token}\n`,
      DATABASE_URL: passwords.relay,
      TABLE_URL: `http://${passwords.table}`,
      FORWARD_URL: passwords.http,
      SASL: '',
      ADMIN_TOKEN: adminToken.slice(0, 15),
      TLS_KEY: pemCore(tlsKey),
    })
    file('forward_secret', signing.malformed)
    await allEnd(1, check, env)
  }

  it('has failed in each of them, with what the other side said in the message', () => {
    const codes = Object.fromEntries([...dead].map(([sink, ends]) => [sink, [...new Set(ends.map(({ code }) => code))]]))
    expect(codes).toEqual({
      echoed: ['unauthorized'],
      away: ['attempts_exhausted'],
      forward: ['rejected'],
      elsewhere: ['unauthorized'],
      unheard: ['attempts_exhausted'],
      locked: ['attempts_exhausted'],
    })
    const said = (sink: string) => (dead.get(sink) ?? []).map(({ message }) => String(message)).join('\n')
    expect(said('echoed')).toContain('not Bearer [hidden]')
    expect(said('forward')).toContain('Cannot POST [hidden]')
    expect(said('forward')).toContain('authorization: Basic [hidden]')
  })

  it('has said much, at the most talkative level', () => {
    const all = emissions.all()
    expect(all.length).toBeGreaterThan(50)
    expect(all.find(({ where }) => where.startsWith('serve'))?.text).toContain('"level":"debug"')
    expect(jwts).toHaveLength(2)
  })

  it('has given away none of its secrets in any spelling', () => {
    const received = { 'token that was received': plain(...jwts), 'part of a path': plain(webToken) }
    expect(leaksIn(emissions.all(), { ...secrets, ...received })).toEqual([])
  })

  it('would have been caught with any of them, in every spelling and cut short', () => {
    for (const [name, values] of Object.entries(secrets)) {
      for (const { text, least } of values.flatMap(spellingsOf)) {
        for (const part of [text, text.slice(0, least), text.slice(-least)]) {
          const found = leaksIn([{ where: 'log', text: `{"error":"no ${part} there"}` }], { [name]: values })
          expect(found).toEqual([expect.objectContaining({ secret: name, where: 'log' })])
        }
      }
    }
  })
})

it('a relay with the embedded Postgres gives away nothing of its password', async () => {
  const emissions = createEmissions()
  onTestFinished(() => emissions.close())
  const dataDir = mkdtempSync(join(tmpdir(), 'gemini-relay-secrets-'))
  // As root the server runs as another user, who has to get in.
  chmodSync(dataDir, 0o711)
  const config = file('embedded.yaml', 'server: { host: 127.0.0.1, port: 0 }\nsources: {}\n')
  const env = { RELAY_DATA_DIR: dataDir }
  const relay = await emissions.serve(['-c', config], env)
  const { url } = await attachEmbedded({ dataDir })
  const [, password = ''] = /:([^:@]+)@/.exec(url) ?? []
  try {
    expect((await emissions.run(['deliveries', 'list', '-c', config], env)).code).toBe(0)
    expect((await emissions.run(['serve', '-c', config], env)).code).toBe(1) // in use
    emissions.note('/readyz', await (await fetch(`${relay.url}/readyz`)).text())
  } finally {
    await relay.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
  expect(password.length).toBeGreaterThan(24)
  expect(leaksIn(emissions.all(), { password: plain(decodeURIComponent(password)) })).toEqual([])
})

ownKafkaSuite('a relay that Kafka turns away', (kafka) => {
  it.each(['plain', 'scram-sha-256', 'scram-sha-512'])('gives away no password by %s', async (mechanism) => {
    const emissions = createEmissions()
    onTestFinished(() => emissions.close())
    const database = await createTestDatabase()
    const topic = `relay-${randomUUID()}`
    await createTopics(kafka(), { topic })
    const wrong = made()
    const { writer, stranger } = kafkaUsers
    const right = [writer.password, stranger.password]
    const secret = madeSigning()
    const sinkOf = (username: string, password: string) =>
      `{ type: kafka, brokers: ["127.0.0.1:${kafka().own.saslPort}"], topic: ${topic}, sasl: { mechanism: ${mechanism}, username: ${username}, password: "\${${password}}" } }`
    const config = file(
      `${mechanism}.yaml`,
      `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  wrong: ${sinkOf('writer', 'WRONG')}
  allowed: ${sinkOf('writer', 'WRITER')}
  denied: ${sinkOf('stranger', 'STRANGER')}
rules: [{ name: all, to: [wrong, allowed, denied] }]
`,
    )
    const env = { DATABASE_URL: database.url, SECRET: secret, WRONG: wrong, WRITER: writer.password, STRANGER: stranger.password }
    const relay = await emissions.serve(['-c', config], env)
    try {
      const body = envelope('batch.failed')
      const answer = await fetch(`${relay.url}/hook`, { method: 'POST', headers: signedHeaders({ body }, secret), body })
      expect(answer.status).toBe(200)
      const ended = await eventually(
        () => query(database.url, 'select sink, state, code from gemini_relay.deliveries order by sink'),
        (rows) => rows.length === 3 && rows.every(({ state }) => state === 'delivered' || state === 'dead'),
        30_000,
      )
      expect(ended).toEqual([
        { sink: 'allowed', state: 'delivered', code: null },
        { sink: 'denied', state: 'dead', code: 'unauthorized' },
        { sink: 'wrong', state: 'dead', code: 'unauthorized' },
      ])
      await emissions.run(['deliveries', 'list', '--json', '-c', config], env)
      emissions.note('the relay’s tables', await contentsOf(database.url))
    } finally {
      await relay.stop()
      await database.drop()
    }
    expect(
      leaksIn(emissions.all(), {
        'wrong password': plain(wrong),
        password: plain(...right),
        'signing secret': signingSecret(secret),
      }),
    ).toEqual([])
  })
})
