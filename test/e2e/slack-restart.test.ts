/** Slack's `thread` and `update` in real relay processes: stopped, killed, and two at once. */
import pg from 'pg'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { startSlackServer, type SlackServer } from '../../src/demo/slack-server.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

let database: TestDatabase
let db: pg.Pool
let slack: SlackServer
const relays: RelayProcess[] = []

beforeEach(async () => {
  database = await createTestDatabase()
  db = new pg.Pool({ connectionString: database.url, max: 3 })
  slack = await startSlackServer()
})
afterEach(async () => {
  await Promise.all(relays.splice(0).map((relay) => relay.kill()))
  await slack.close()
  await db.end()
  await database.drop()
})

async function start(setting: string): Promise<RelayProcess> {
  const relay = await spawnRelay({
    yaml: `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources: { gemini: { path: /hook, static: { secrets: ["\${SECRET}"] } } }
sinks:
  ops: { type: slack, token: xoxb-test, channel: C0123456789, api_url: "${slack.url}", rate: 200/s, concurrency: 8, ${setting} }
rules: [{ name: states, to: [ops] }]
`,
    env: { DATABASE_URL: database.url, SECRET: secret },
  })
  relays.push(relay)
  return relay
}

/** @param minute of the event's time */
async function send(relay: RelayProcess, type: string, job: string, minute: number): Promise<void> {
  const body = envelope(type, { id: job }, new Date(Date.UTC(2026, 10, 20, 10, minute)).toISOString())
  expect(await post(`${relay.url}/hook`, { body, headers: { connection: 'close' } })).toMatchObject({ status: 200 })
}

async function allDelivered(count: number, limitMs?: number): Promise<void> {
  const states = async () => {
    const { rows } = await db.query<{ state: string }>('select state from gemini_relay.deliveries')
    return rows.map(({ state }) => state)
  }
  await eventually(states, (all) => all.length === count && all.every((state) => state === 'delivered'), limitMs)
}

/** Each message as its text, after an arrow where it answers another. */
function shown(): string[] {
  const all = slack.messages()
  return all.map(({ text, threadTs }) => {
    const root = all.find(({ ts }) => ts === threadTs)
    return threadTs === undefined ? text : `${root?.text ?? 'gone'} → ${text}`
  })
}

describe('the message of a job', () => {
  const threaded = ['interaction.requires_action b1', 'interaction.requires_action b1 → interaction.completed b1']
  it.each<[setting: string, how: 'stop' | 'kill', signal: string, wanted: string[]]>([
    ['thread: subject', 'stop', 'SIGTERM', threaded],
    ['thread: subject', 'kill', 'SIGKILL', threaded],
    ['update: subject', 'stop', 'SIGTERM', ['interaction.completed b1']],
    ['update: subject', 'kill', 'SIGKILL', ['interaction.completed b1']],
  ])('holds with `%s` across a restart between two events (%s, %s)', async (setting, how, _, wanted) => {
    const before = await start(setting)
    await send(before, 'interaction.requires_action', 'b1', 1)
    await allDelivered(1)
    await before[how]()
    await send(await start(setting), 'interaction.completed', 'b1', 2)
    await allDelivered(2)
    expect(shown()).toEqual(wanted)
  })

  it('is not posted again by the relay that takes over from one killed after it was stored and before it counted', async () => {
    const killed = await start('thread: subject')
    slack.respond({ kind: 'slow', ms: 1_000 })
    await send(killed, 'interaction.requires_action', 'b1', 1)
    await eventually(
      () => slack.requests().length,
      (calls) => calls === 1,
    )
    const locker = await db.connect()
    try {
      // The outcome has to wait for this; what Slack answered has not.
      await locker.query('begin; lock table gemini_relay.delivery_rows in share mode')
      await eventually(
        async () => (await db.query('select from gemini_relay.slack_messages')).rowCount,
        (stored) => stored === 1,
      )
      await killed.kill()
      // Or its statement would still be carried out.
      await locker.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gemini-relay deliver'
        and datname = current_database()`)
      await locker.query('rollback')
    } finally {
      locker.release()
    }
    const next = await start('thread: subject')
    await send(next, 'interaction.completed', 'b1', 2)
    await allDelivered(2, 60_000)
    expect(next.log()).toContain('took over deliveries of an expired lease')
    expect(shown()).toEqual(threaded)
  }, 90_000)
})

describe('two relays on one database', () => {
  const jobs = Array.from({ length: 25 }, (_, n) => `job_${n}`)
  const each = 6

  /** All at once, to both: the order in which events of a job are accepted is anybody's. */
  async function sendAll(setting: string): Promise<void> {
    const both = await Promise.all([start(setting), start(setting)])
    const sending = jobs.flatMap((job) =>
      Array.from({ length: each }, (_, n) => {
        const relay = both[n % 2]
        if (relay === undefined) throw new Error('no relay')
        return send(relay, `state.${n}`, job, n)
      }),
    )
    await Promise.all(sending)
    await allDelivered(jobs.length * each, 45_000)
    const holders = await Promise.all(both.map(async (relay) => relay.log()))
    expect(holders.join('')).not.toContain('"level":"error"')
  }

  it('make one thread of each job', async () => {
    await sendAll('thread: subject')
    const roots = slack.messages().filter(({ threadTs }) => threadTs === undefined)
    expect(roots.map(({ text }) => text.replace(/^\S+ /, '')).toSorted()).toEqual(jobs.toSorted())
    for (const root of roots) {
      const thread = slack.messages().filter(({ ts, threadTs }) => ts === root.ts || threadTs === root.ts)
      const [, job] = root.text.split(' ')
      expect(thread.map(({ text }) => text).toSorted()).toEqual(Array.from({ length: each }, (_, n) => `state.${n} ${job}`))
    }
  }, 90_000)

  it('make one message of each job, which ends as its newest event says', async () => {
    await sendAll('update: subject')
    expect(shown().toSorted()).toEqual(jobs.map((job) => `state.${each - 1} ${job}`).toSorted())
  }, 90_000)
})
