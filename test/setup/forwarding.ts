/** A relay in this process that feeds an http sink, the receiver behind it, and what the database says of the deliveries. */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { accept, startReceiver, type Receiver, type Respond } from '../sinks/receiver.ts'
import { createTestDatabase, type TestDatabase } from './database.ts'
import { startRelay, type ReloadableRelay, type TestRelay } from './relay.ts'
import { envelope, eventually, post, secret } from './sender.ts'

export interface Forwarding {
  /** Connections to the relay's database. */
  db(): pg.Pool
  /** Made anew for each test. */
  receiver(): Receiver
  /**
   * Starts a relay, one of any number; all are stopped after the test.
   *
   * @param sink of the http sink `forward`, in YAML
   */
  start(sink?: string, more?: MoreConfig & { env?: Record<string, string> }): Promise<ReloadableRelay>
  /** What `start` writes. */
  yaml: (sink?: string, more?: MoreConfig) => string
  /** What the receiver saw: webhook-ids in order. */
  seen: () => string[]
  /** Every delivery, oldest first. */
  deliveries: () => Promise<DeliveryState[]>
  /** Waits until the first delivery is in this state. */
  becomes(state: string): Promise<DeliveryState>
}

/** In YAML. */
export interface MoreConfig {
  server?: string
  sources?: string
  sinks?: string
  /** Other than `all`, which feeds `forward`. */
  rules?: string
  /** Other than the receiver's own. */
  url?: string
}

export interface DeliveryState {
  id: string
  webhook_id: string
  rule: string
  sink: string
  state: string
  attempts: number
  takeovers: number
  code: string | null
  message: string | null
  /** The rows of `attempts`, in order. */
  tried: { number: number; code: string; message: string }[]
}

/** Call it once in a test file; each test begins with an empty schema. */
export function useForwarding(): Forwarding {
  let database: TestDatabase
  let db: pg.Pool
  let receiver: Receiver
  const relays: TestRelay[] = []

  beforeAll(async () => {
    database = await createTestDatabase()
    db = new pg.Pool({ connectionString: database.url, max: 4 })
  })
  afterAll(async () => {
    await db.end()
    await database.drop()
  })
  beforeEach(async () => {
    receiver = await startReceiver()
    await db.query('drop schema if exists gemini_relay cascade; drop schema public cascade; create schema public')
  })
  afterEach(async () => {
    // First, so that no attempt under way holds up the relay's exit.
    await receiver.close()
    await Promise.all(relays.splice(0).map((relay) => relay.stop()))
  })

  async function deliveries(): Promise<DeliveryState[]> {
    const { rows } = await db.query<DeliveryState>(
      `select d.id, e.webhook_id, d.rule, d.sink, d.state, d.attempts, d.takeovers, d.code, d.message,
         coalesce((select json_agg(json_build_object('number', a.number, 'code', a.code, 'message', a.message) order by a.id)
           from gemini_relay.attempts a where a.delivery_id = d.id), '[]') as tried
       from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id order by d.id`,
    )
    return rows
  }

  function yaml(sink = '', more: MoreConfig = {}): string {
    const { server = '', sources = '', sinks = '', rules = '- { name: all, to: [forward] }' } = more
    const { url = `http://127.0.0.1:${receiver.port}/` } = more
    return `
server: { host: 127.0.0.1, port: 0, ${server} }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } }
${sources}
sinks:
  forward: { type: http, url: "${url}", allow_private: true, ${sink} }
${sinks}
rules:
  ${rules}
`
  }

  return {
    db: () => db,
    receiver: () => receiver,
    deliveries,
    seen: () => receiver.requests.map(({ headers }) => String(headers['webhook-id'])),
    yaml,
    async start(sink, { env = {}, ...more } = {}) {
      const relay = await startRelay({ yaml: yaml(sink, more), env: { DATABASE_URL: database.url, SECRET: secret, ...env } })
      relays.push(relay)
      return relay
    },
    async becomes(state) {
      const [row] = await eventually(deliveries, (rows) => rows[0]?.state === state)
      if (row === undefined) throw new Error('no delivery')
      return row
    },
  }
}

/** One event that is answered 200. */
export async function send(relay: TestRelay, id = `msg_${randomUUID()}`, data: Record<string, unknown> = {}): Promise<string> {
  const headers = { connection: 'close' }
  expect(await post(`${relay.url}/hook`, { id, body: envelope('batch.failed', data), headers })).toMatchObject({ status: 200 })
  return id
}

/** One after the other. */
export async function sendAll(relay: TestRelay, ids: readonly string[]): Promise<void> {
  for (const id of ids) await send(relay, id)
}

/** Ids whose order is their number. */
export function named(count: number, name = 'msg'): string[] {
  return Array.from({ length: count }, (_, n) => `${name}_${String(n).padStart(4, '0')}`)
}

export const allAre =
  (state: string) =>
  (rows: readonly DeliveryState[]): boolean =>
    rows.length > 0 && rows.every((row) => row.state === state)

export const allEnded = (rows: readonly DeliveryState[]): boolean =>
  rows.length > 0 && rows.every(({ state }) => state === 'delivered' || state === 'dead')

/** The first answers in turn, then success. */
export function answersInTurn(...answers: Respond[]): Respond {
  return (response, request) => (answers.shift() ?? accept)(response, request)
}
