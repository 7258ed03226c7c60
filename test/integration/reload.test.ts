/** A running relay is given other configurations. */
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { startSlackServer } from '../../src/demo/slack-server.ts'
import { send, useForwarding } from '../setup/forwarding.ts'
import type { ReloadableRelay } from '../setup/relay.ts'
import { envelope, eventually, post, signedHeaders } from '../setup/sender.ts'
import { answerWith } from '../sinks/receiver.ts'

const relays = useForwarding()
const { yaml } = relays

const received = () =>
  relays.receiver().requests.map(({ headers }) => `${String(headers['webhook-id'])} ${String(headers['relay-rule'])}`)

const detailSchema = z.object({
  detail: z.object({
    config: z.object({
      hash: z.string(),
      reloads: z.object({ applied: z.number(), refused: z.number() }),
      refused: z.object({ reason: z.string() }).optional(),
    }),
    unknown_deliveries: z.array(z.object({ sink: z.string(), rule: z.string() })),
  }),
})

async function ready(relay: ReloadableRelay) {
  const answer = await fetch(`${relay.url}/readyz`)
  const body = detailSchema.parse(await answer.json())
  const { config, unknown_deliveries: unknown } = body.detail
  return { status: answer.status, ...config, unknown }
}

/** Rule, sink and state of every delivery, in their order. */
async function deliveries(): Promise<string[]> {
  return (await relays.deliveries()).map(({ rule, sink, state }) => `${rule} ${sink} ${state}`)
}

describe('another configuration', () => {
  it('decides for the next event, over the connections that there are', async () => {
    const relay = await relays.start()
    const first = await send(relay)
    await eventually(received, (all) => all.length === 1)
    const before = await ready(relay)
    expect(await relay.reload(yaml('', { rules: '- { name: other, when: { type: batch.failed }, to: [forward] }' }))).toBe(true)
    const second = await send(relay)
    await post(`${relay.url}/hook`, { body: envelope('batch.succeeded') })
    await eventually(received, (all) => all.length === 2)
    expect(received()).toEqual([`${first} all`, `${second} other`])
    expect(new Set(relays.receiver().requests.map(({ connection }) => connection)).size).toBe(1)
    const after = await ready(relay)
    expect(after.hash).not.toBe(before.hash)
    expect(after.reloads).toEqual({ applied: 1, refused: 0 })
    expect(relay.log()).toContain(`"config":"${after.hash}","before":"${before.hash}"`)
  })

  it('that is broken changes nothing and is said; one that is mended is taken', async () => {
    const relay = await relays.start()
    const { hash } = await ready(relay)
    expect(await relay.reload(yaml('', { rules: '- { name: all, to: [forwrad] }' }))).toBe(false)
    const refused = await ready(relay)
    expect(refused).toMatchObject({ status: 200, hash, reloads: { applied: 0, refused: 1 } })
    expect(refused.refused?.reason).toMatch(/^a problem in .*relay\.yaml$/)
    expect(relay.log()).toMatch(/11:\d+: there is no sink `forwrad`, did you mean `forward`\?.*the one before stays/)
    const id = await send(relay)
    await eventually(received, (all) => all.includes(`${id} all`))
    expect(await relay.reload(yaml())).toBe(true)
    expect((await ready(relay)).refused).toBeUndefined()
  })

  it('whose table is not what it says is refused before anything of it runs', async () => {
    const relay = await relays.start()
    await relays.db().query('create table public.jobs (id text primary key)')
    const jobs = '  jobs: { type: table, table: jobs, key: [id], columns: { id: event.subject, state: event.type } }'
    expect(await relay.reload(yaml('', { sinks: jobs, rules: '- { name: all, to: [forward, jobs] }' }))).toBe(false)
    expect(relay.log()).toMatch(/column.*state/)
    await send(relay)
    expect(await deliveries()).toEqual([expect.stringMatching(/^all forward /)])
  })

  it.each([
    ['server: { port: 1, host: 127.0.0.1 }', '`server.port` cannot change while the relay runs: restart it, or change it back'],
    ['server: { port: 0, host: 127.0.0.2 }', '`server.host` cannot change while the relay runs: restart it, or change it back'],
    ['database: { url: embedded }', '`database.url` cannot change while the relay runs: restart it, or change it back'],
  ])('with %s is refused', async (line, message) => {
    const relay = await relays.start()
    const section = new RegExp(`^${line.split(':')[0]}:.*$`, 'm')
    expect(await relay.reload(yaml().replace(section, line))).toBe(false)
    expect(relay.log()).toMatch(new RegExp(`relay\\.yaml:[23]:\\d+: ${message.replaceAll('.', '\\.')}`))
  })

  it('that says the same is not counted', async () => {
    const relay = await relays.start()
    expect(await relay.reload(`${yaml()}# a remark`)).toBe(true)
    expect(await ready(relay)).toMatchObject({ reloads: { applied: 0, refused: 0 } })
  })

  it('takes its secrets, paths and limits from the next request on', async () => {
    const relay = await relays.start()
    const other = 'whsec_b3RoZXIgb3RoZXIgb3RoZXIgb3RoZXIgb3RoZXI='
    const sources = `  more: { path: /more, static: { secrets: ["${other}"] } }`
    const body = envelope('batch.failed')
    expect((await post(`${relay.url}/more`, { body })).status).toBe(404)
    expect(await relay.reload(yaml('', { sources, server: 'body_limit: 1kb' }))).toBe(true)
    expect((await post(`${relay.url}/more`, { id: 'a', body, headers: signedHeaders({ id: 'a', body }, other) })).status).toBe(
      200,
    )
    expect((await post(`${relay.url}/more`, { id: 'b', body })).status).toBe(400)
    expect((await post(`${relay.url}/hook`, { body: 'x'.repeat(1_025) })).status).toBe(413)
    expect(await relay.reload(yaml())).toBe(true)
    expect((await post(`${relay.url}/more`, { id: 'a', body, headers: signedHeaders({ id: 'a', body }, other) })).status).toBe(
      404,
    )
  })
})

describe('a sink', () => {
  it('whose settings change is made anew, and what it was doing ends', async () => {
    relays.receiver().respond((response) => setTimeout(() => response.writeHead(204).end(), 500))
    const relay = await relays.start()
    const id = await send(relay)
    await eventually(received, (all) => all.length === 1)
    expect(await relay.reload(yaml('timeout: 5s'))).toBe(true)
    const next = await send(relay)
    await eventually(deliveries, (all) => all.length === 2 && all.every((one) => one === 'all forward delivered'))
    expect(received()).toEqual([`${id} all`, `${next} all`])
    expect(new Set(relays.receiver().requests.map(({ connection }) => connection)).size).toBe(2)
  })

  it('that goes leaves what it is owed pending and in sight, and gets it when it is back', async () => {
    relays.receiver().respond(answerWith(503))
    const relay = await relays.start()
    const id = await send(relay)
    await eventually(received, (all) => all.length > 0)
    const trace = `- { name: all, to: [trace] }`
    expect(await relay.reload(yaml('', { sinks: '  trace: { type: log }', rules: trace }).replace(/^ {2}forward:.*$/m, ''))).toBe(
      true,
    )
    await eventually(deliveries, (all) => all.includes('all forward pending'))
    await eventually(
      () => ready(relay),
      ({ unknown }) => unknown.some(({ sink, rule }) => sink === 'forward' && rule === 'all'),
    )
    const attempts = relays.receiver().requests.length
    relays.receiver().respond((response) => response.writeHead(204).end())
    expect(await relay.reload(yaml())).toBe(true)
    await eventually(deliveries, (all) => all.join() === 'all forward delivered')
    expect(received().slice(attempts)).toEqual([`${id} all`])
    expect((await ready(relay)).unknown).toEqual([])
  })

  it('that is told to wait goes on waiting when rules around it change', async () => {
    relays.receiver().respond(answerWith(429, { 'retry-after': '60' }))
    const relay = await relays.start()
    await send(relay)
    await eventually(received, (all) => all.length === 1)
    await eventually(deliveries, (all) => all.join() === 'all forward pending')
    const rules = '- { name: all, to: [forward] }\n  - { name: more, to: [forward] }'
    expect(await relay.reload(yaml('', { rules }))).toBe(true)
    await send(relay)
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(received()).toHaveLength(1)
    expect(await deliveries()).toEqual(['all forward pending', 'all forward pending', 'more forward pending'])
  })

  it.each(['failed before', 'never was tried'])('that is given an order keeps it for what waits and %s', async (how) => {
    relays.receiver().respond(answerWith(503))
    const retry = 'retry: { initial: 100ms, factor: 1 }, breaker: { failures: 1000 }'
    const relay = await relays.start(retry)
    if (how === 'never was tried')
      await relays.db().query(`insert into gemini_relay.sink_pauses (sink, reason, paused_at) values ('forward', 'test', now())`)
    if (how === 'never was tried')
      await eventually(
        () => relay.log(),
        (log) => log.includes('sink paused'),
      )
    const ids = Array.from({ length: 12 }, (_, n) => `msg_${String(n).padStart(2, '0')}`)
    for (const id of ids.slice(0, 11)) await send(relay, id, { id: 'job' })
    if (how === 'failed before') await eventually(received, (all) => new Set(all).size === 11)
    expect(await relay.reload(yaml(`order: subject, ${retry}`))).toBe(true)
    await send(relay, ids[11], { id: 'job' })
    await relays.db().query('delete from gemini_relay.sink_pauses')
    // What was under way at the change ends first.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    const before = received().length
    await eventually(received, (all) => all.length > before + 3)
    expect(new Set(received().slice(before))).toEqual(new Set([`${ids[0]} all`]))
    relays.receiver().respond((response) => response.writeHead(204).end())
    await eventually(deliveries, (all) => all.every((one) => one === 'all forward delivered'), 30_000)
    expect(received().slice(-12)).toEqual(ids.map((id) => `${id} all`))
  })

  it('says what its rules say now, without a new connection', async () => {
    const slack = await startSlackServer()
    try {
      const ops = `  ops: { type: slack, token: xoxb-1234, channel: C0123456789, api_url: "${slack.url}", rate: 100/s }`
      const saying = (text: string) => ({
        sinks: ops,
        rules: `- { name: all, to: [{ sink: ops, text: "${text} {{ event.type }}" }] }`,
      })
      const relay = await relays.start('', saying('one'))
      await send(relay)
      await eventually(
        () => slack.messages(),
        (all) => all.length === 1,
      )
      expect(await relay.reload(yaml('', saying('two')))).toBe(true)
      await send(relay)
      const messages = await eventually(
        () => slack.messages(),
        (all) => all.length === 2,
      )
      expect(messages.map(({ text }) => text)).toEqual(['one batch.failed', 'two batch.failed'])
    } finally {
      await slack.close()
    }
  })
})
