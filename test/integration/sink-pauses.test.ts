import { describe, expect, it } from 'vitest'
import { pauseSink, resumeSink } from '../../src/store/sink-pauses.ts'
import { allAre, answersInTurn, named, send, sendAll, useForwarding } from '../setup/forwarding.ts'
import { eventually } from '../setup/sender.ts'
import type { TestRelay } from '../setup/relay.ts'
import { accept, answerWith } from '../sinks/receiver.ts'

const forwarding = useForwarding()

/** Each answers 410 from now on. */
const gone = answerWith(410, {}, 'no more, please')

const goneMessage = expect.stringMatching(/^127\.0\.0\.1:\d+ answered 410: no more, please$/)

async function readyz(relay: TestRelay): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${relay.url}/readyz`)
  return { status: response.status, body: await response.json() }
}

async function pausedIn(relay: TestRelay): Promise<void> {
  await eventually(
    () => readyz(relay),
    ({ body }) => JSON.stringify(body).includes('"paused_sinks":[{'),
  )
}

/** As the command does it. */
async function resume(): Promise<void> {
  expect(await resumeSink(forwarding.db(), 'forward')).toBe(true)
}

async function pause(reason = 'maintenance'): Promise<boolean> {
  return pauseSink(forwarding.db(), { sink: 'forward', reason, address: null, current: null })
}

async function rows(): Promise<{ sink: string; reason: string; address: string | null }[]> {
  return (await forwarding.db().query('select sink, reason, address from gemini_relay.sink_pauses')).rows
}

describe('a sink that answers 410', () => {
  it('is paused: the delivery is pending again at no cost, what comes waits, and all of it goes out when it is resumed', async () => {
    forwarding.receiver().respond(gone)
    const relay = await forwarding.start('concurrency: 1, retry: { attempts: 1 }')
    await send(relay, 'msg_0')
    await pausedIn(relay)
    expect(await forwarding.becomes('pending')).toMatchObject({ attempts: 0, code: 'gone', message: goneMessage, tried: [] })
    await sendAll(relay, named(20))
    // Longer than a lane waits between two looks.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(forwarding.seen()).toEqual(['msg_0'])
    expect(await forwarding.deliveries()).toSatisfy(allAre('pending'))
    expect(await rows()).toEqual([{ sink: 'forward', reason: goneMessage, address: expect.stringMatching(/^[0-9a-f]{32}$/) }])

    forwarding.receiver().respond(accept)
    const resumedAt = performance.now()
    await resume()
    await eventually(
      () => forwarding.seen().length,
      (count) => count > 1,
    )
    // Sooner than by polling.
    expect(performance.now() - resumedAt).toBeLessThan(1_500)
    await eventually(forwarding.deliveries, allAre('delivered'))
    expect(forwarding.seen().toSorted()).toEqual(['msg_0', 'msg_0', ...named(20)].toSorted())
    expect((await forwarding.deliveries()).map(({ attempts, code }) => [attempts, code])).toEqual(
      Array.from({ length: 21 }, () => [1, null]),
    )
  })

  it('says so once in the log and in /readyz, which stays 200, without what is secret', async () => {
    forwarding.receiver().respond((response) => void response.writeHead(410).end('no hook for t0ken-of-ours\u0007'))
    const relay = await forwarding.start('headers: { x-token: "${TOKEN}" }', { env: { TOKEN: 't0ken-of-ours' } })
    await send(relay)
    await pausedIn(relay)
    const { status, body } = await readyz(relay)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      detail: {
        paused_sinks: [
          { sink: 'forward', reason: expect.stringMatching(/answered 410: no hook for \[hidden\]$/), since: expect.any(String) },
        ],
      },
    })
    const told = relay
      .log()
      .split('\n')
      .filter((line) => line.includes('sink paused'))
    expect(told).toHaveLength(1)
    expect(told[0]).toMatch(/"level":40.*answered 410/)
    expect(relay.log() + JSON.stringify(body)).not.toContain('t0ken')
  })

  it('is left alone by every relay, and by one that starts later', async () => {
    forwarding.receiver().respond(gone)
    const [first, second] = [await forwarding.start(), await forwarding.start()]
    await send(first)
    await Promise.all([first, second].map(pausedIn))
    // The second may have claimed what the first gave back, before it heard of the pause.
    const met = forwarding.seen().length
    expect(met).toBeLessThanOrEqual(2)
    await sendAll(second, named(5))
    await first.stop()
    const third = await forwarding.start()
    await pausedIn(third)
    await sendAll(third, named(5, 'later'))
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(forwarding.seen()).toHaveLength(met)
    forwarding.receiver().respond(accept)
    await resume()
    await eventually(forwarding.deliveries, allAre('delivered'))
    expect(await forwarding.deliveries()).toHaveLength(11)
  })

  it('is paused again where it answers the same after it was resumed', async () => {
    forwarding.receiver().respond(answersInTurn(gone, gone))
    const relay = await forwarding.start()
    await send(relay)
    await pausedIn(relay)
    await resume()
    await eventually(
      () => forwarding.seen().length,
      (count) => count === 2,
    )
    await eventually(rows, (found) => found.length === 1)
    await resume()
    expect(await forwarding.becomes('delivered')).toMatchObject({ attempts: 1 })
  })

  it('is resumed at start where its address has changed since, and not where only the query has', async () => {
    forwarding.receiver().respond(gone)
    const relay = await forwarding.start()
    await send(relay, 'msg_0')
    await pausedIn(relay)
    await relay.stop()
    const url = `http://127.0.0.1:${forwarding.receiver().port}/`
    const same = await forwarding.start('', { url: `${url}?key=other` })
    await pausedIn(same)
    await same.stop()

    forwarding.receiver().respond(accept)
    const moved = await forwarding.start('', { url: `${url}new` })
    expect(await forwarding.becomes('delivered')).toMatchObject({ attempts: 1 })
    expect(moved.log()).toContain('its address is not the one that answered 410')
    expect(await rows()).toEqual([])
  })

  it('is left alone also while Postgres cannot be told, which is tried until it holds', async () => {
    forwarding.receiver().respond(gone)
    const relay = await forwarding.start()
    await forwarding.db().query('alter table gemini_relay.sink_pauses rename to away')
    await send(relay)
    await pausedIn(relay)
    await sendAll(relay, named(3))
    await new Promise((resolve) => setTimeout(resolve, 3_000))
    expect(forwarding.seen()).toHaveLength(1)
    await forwarding.db().query('alter table gemini_relay.away rename to sink_pauses')
    await eventually(rows, (found) => found.length === 1)
    await pausedIn(relay)
  })

  it('lets its deliveries expire by their horizon', async () => {
    forwarding.receiver().respond(gone)
    const relay = await forwarding.start('retry: { horizon: 2s }')
    await send(relay)
    await pausedIn(relay)
    const row = await eventually(
      async () => (await forwarding.deliveries())[0],
      (found) => found?.state === 'dead',
      90_000,
    )
    expect(row).toMatchObject({ code: 'expired', message: expect.stringContaining('answered 410') })
  }, 100_000)
})

describe('a sink that somebody pauses', () => {
  it('is left alone within a second, whatever its type, and other sinks go on', async () => {
    const relay = await forwarding.start('', {
      sinks: '  jobs: { type: table, table: jobs, key: [id], create: true, columns: { id: event.webhook_id } }',
      rules: '- { name: all, to: [forward, jobs] }',
    })
    await pauseSink(forwarding.db(), { sink: 'jobs', reason: 'maintenance', address: null, current: null })
    await pausedIn(relay)
    await sendAll(relay, named(3))
    await eventually(
      () => forwarding.seen().length,
      (count) => count === 3,
    )
    const states = async () => (await forwarding.deliveries()).map(({ sink, state }) => `${sink} ${state}`)
    await eventually(states, (found) => found.filter((state) => state === 'forward delivered').length === 3)
    expect((await states()).filter((state) => state === 'jobs pending')).toHaveLength(3)
    await resumeSink(forwarding.db(), 'jobs')
    await eventually(forwarding.deliveries, allAre('delivered'))
  })

  it('stays paused at another address, and is not resumed by a 410 before it', async () => {
    forwarding.receiver().respond(gone)
    const relay = await forwarding.start()
    expect(await pause()).toBe(true)
    expect(await pause('again')).toBe(false)
    await pausedIn(relay)
    await relay.stop()
    await forwarding.start('', { url: `http://127.0.0.1:${forwarding.receiver().port}/other` })
    expect(await rows()).toEqual([{ sink: 'forward', reason: 'maintenance', address: null }])
  })

  it('is heard of by polling where no notification comes', async () => {
    const relay = await forwarding.start()
    await forwarding.db().query(`insert into gemini_relay.sink_pauses (sink, reason) values ('forward', 'silently')`)
    await pausedIn(relay)
    await send(relay)
    await forwarding.db().query('delete from gemini_relay.sink_pauses')
    expect(await forwarding.becomes('delivered')).toMatchObject({ attempts: 1 })
  })

  it('gives back what it holds at once, keeping its order', async () => {
    const relay = await forwarding.start('concurrency: 1, order: subject')
    const held: (() => void)[] = []
    forwarding.receiver().respond((response) => void held.push(() => response.writeHead(204).end()))
    await sendAll(relay, named(5))
    await eventually(
      () => held.length,
      (count) => count === 1,
    )
    await pause()
    await pausedIn(relay)
    held[0]?.()
    await eventually(
      async () => (await forwarding.deliveries()).map(({ state }) => state),
      (states) => states.join() === 'delivered,pending,pending,pending,pending',
    )
    forwarding.receiver().respond(accept)
    await resume()
    await eventually(forwarding.deliveries, allAre('delivered'))
    expect(forwarding.seen()).toEqual(named(5))
  })
})
