/** A relay for hostile requests: three sources with keys of every kind, plain sockets, and a look into its table. */
import { randomUUID } from 'node:crypto'
import { connect } from 'node:net'
import pg from 'pg'
import { expect } from 'vitest'
import { createAnswerReader, type Answer } from '../fuzz/answers.ts'
import { bytesOf, type Draft } from '../fuzz/draft.ts'
import { createKeys, type Keys } from '../fuzz/keys.ts'
import { createRandom } from '../fuzz/random.ts'
import { relayEnv, relayYaml } from '../fuzz/relay-config.ts'
import { draftOf, now, signedRequest, type Draw, type Signed, type Wanted } from '../fuzz/signed.ts'
import type { RefusalCode } from '../../src/errors.ts'
import { createTestDatabase } from './database.ts'
import { startRelay, type TestRelay } from './relay.ts'

export interface StoredEvent {
  webhook_id: string
  source: string
  type: string | null
  subject: string | null
  body: Buffer
  /** That matched, and whose condition did not fail. */
  rules: string[]
}

export interface HostileRelay {
  relay: TestRelay
  keys: Keys
  /** A request as it should be; by default an HMAC for the source `once`, signed now. */
  signed: (wanted?: Wanted) => Signed
  /** Sent at once, over one connection; the answers until all are there or the relay ends the connection. */
  send: (...requests: (Draft | Buffer)[]) => Promise<Exchange>
  /** Of events that are stored. */
  count: () => Promise<number>
  stored: (id: string) => Promise<StoredEvent | undefined>
  /** Sends what nobody has signed, and sees that it is refused so, and not stored. */
  refuses: (request: Signed | Draft, code: RefusalCode) => Promise<void>
  /** Sends what is in order, and sees that it is stored as it is. */
  takes: (request: Signed) => Promise<StoredEvent>
  /** Nothing that was sent may have met an error that nobody expected. */
  stop: () => Promise<void>
}

export interface Exchange {
  /** `200 received`, `400 malformed_header`, … in the order in which they came. */
  answers: string[]
  /** Whether the relay has ended the connection. */
  closed: boolean
}

/** Small, so that going over it is cheap. */
export const bodyLimit = 65_536

/** Without any of what was asked for, long after what a request takes. */
const silenceMs = 30_000

const rules = `
sinks:
  down: { type: http, url: "http://127.0.0.1:9/", allow_private: true }
rules:
  - { name: everything, to: [down] }
  - { name: pattern, when: { user_metadata: { priority: [high] } }, to: [down] }
  - { name: condition, if: "event.data.admin == true", to: [down] }
`

export async function startHostileRelay(): Promise<HostileRelay> {
  const database = await createTestDatabase()
  const keys = await createKeys()
  const relay = await startRelay({ yaml: relayYaml(keys, bodyLimit, rules), env: relayEnv(keys, database.url) })
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  const draw: Draw = { random: createRandom(1, 1), keys, freshId: randomUUID }

  const send = (...requests: (Draft | Buffer)[]) =>
    exchange(
      Number(new URL(relay.url).port),
      requests.map((request) => (Buffer.isBuffer(request) ? request : bytesOf(request))),
    )

  async function stored(id: string): Promise<StoredEvent | undefined> {
    const { rows } = await client.query<StoredEvent>(
      `select e.webhook_id, e.source, e.type, e.subject, e.body,
              array(select d.rule from gemini_relay.deliveries d where d.event_id = e.id and d.state <> 'dead' order by d.rule) as rules
       from gemini_relay.events e where e.webhook_id = $1`,
      [id],
    )
    return rows[0]
  }

  async function count(): Promise<number> {
    const { rows } = await client.query<{ count: string }>('select count(*) from gemini_relay.events')
    return Number(rows[0]?.count)
  }

  return {
    relay,
    count,
    keys,
    signed: (wanted = {}) => signedRequest(draw, { scheme: 'hmac', source: 'once', timestamp: now(0), ...wanted }),
    send,
    stored,
    async refuses(request, code) {
      const draft = 'target' in request ? request : draftOf(request)
      const before = await count()
      const { answers } = await send(draft)
      expect(answers).toEqual([expect.stringMatching(new RegExp(`^\\d{3} ${code}$`))])
      expect(await count()).toBe(before)
    },
    async takes(request) {
      expect((await send(draftOf(request))).answers).toEqual(['200 received'])
      const event = await stored(request.id)
      if (event === undefined) throw new Error(`${request.id} was answered 200 and is not stored`)
      return event
    },
    async stop() {
      await relay.stop()
      await client.end()
      await keys.stop()
      await database.drop()
      expect(relay.log()).not.toContain('unexpected error')
    },
  }
}

function exchange(port: number, requests: readonly Buffer[]): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const reader = createAnswerReader((n) => requests[n]?.toString('latin1', 0, 4).trim())
    const answers: string[] = []
    const socket = connect(port, '127.0.0.1', () => socket.write(Buffer.concat(requests)))
    let closed = false
    socket.setTimeout(silenceMs, () => socket.destroy(new Error(`no answer for ${silenceMs} ms after ${answers.join(', ')}`)))
    socket.on('data', (chunk: Buffer) => {
      try {
        answers.push(...reader.push(chunk).map(named))
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)))
        socket.destroy()
      }
      // What would follow, an answer too many or the end of the connection, comes with it or right after it.
      if (answers.length >= requests.length) setTimeout(() => socket.destroy(), 30)
    })
    socket.on('end', () => (closed = true))
    socket.on('error', reject)
    socket.on('close', () => resolve({ answers, closed }))
  })
}

function named({ status, body }: Answer): string {
  const json: unknown = body === '' ? {} : JSON.parse(body)
  if (typeof json !== 'object' || json === null) return `${status} ${body}`
  return `${status} ${'code' in json ? String(json.code) : 'status' in json ? String(json.status) : body}`.trim()
}
