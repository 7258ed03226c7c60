import { describe, expect, it } from 'vitest'
import { startSlackServer } from '../../src/demo/slack-server.ts'
import { allAre, allEnded, answersInTurn, named, send, sendAll, useForwarding } from '../setup/forwarding.ts'
import { eventually } from '../setup/sender.ts'
import { accept, answerWith } from '../sinks/receiver.ts'

const forwarding = useForwarding()

describe('a failed attempt', () => {
  it('is a row with number, code and message, is repeated by the schedule, and ends with the first success', async () => {
    forwarding
      .receiver()
      .respond(answersInTurn(answerWith(500, {}, 'first'), answerWith(502, {}, 'second'), (response) => void response.destroy()))
    const relay = await forwarding.start('retry: { initial: 50ms, factor: 1 }')
    await send(relay)
    expect(await forwarding.becomes('delivered')).toMatchObject({
      attempts: 4,
      code: null,
      message: null,
      tried: [
        { number: 1, code: 'unavailable', message: expect.stringContaining('answered 500: first') },
        { number: 2, code: 'unavailable', message: expect.stringContaining('answered 502: second') },
        { number: 3, code: 'unavailable', message: expect.stringContaining('cannot be reached') },
      ],
    })
  })

  it('is a timeout when there is no answer in time', async () => {
    forwarding.receiver().respond(answersInTurn(() => {}))
    const relay = await forwarding.start('timeout: 200ms, retry: { initial: 50ms }')
    await send(relay)
    expect(await forwarding.becomes('delivered')).toMatchObject({ attempts: 2, tried: [{ number: 1, code: 'timeout' }] })
  })

  it('is followed by longer and longer waits, up to the cap', async () => {
    forwarding.receiver().respond(answerWith(500))
    const relay = await forwarding.start(
      'retry: { initial: 300ms, factor: 3, max: 1s, jitter: 0, attempts: 4 }, breaker: { failures: 1000 }',
    )
    const at: number[] = []
    forwarding.receiver().respond((response, request) => {
      at.push(performance.now())
      answerWith(500)(response, request)
    })
    await send(relay)
    await forwarding.becomes('dead')
    const waits = at.slice(1).map((time, n) => time - (at[n] ?? 0))
    // Never before its time; after it, at the next look of the lane, once a second.
    for (const [n, least] of [300, 900, 1_000].entries()) {
      expect(waits[n]).toBeGreaterThanOrEqual(least - 5)
      expect(waits[n]).toBeLessThan(least + 3_000)
    }
  })

  it('ends the delivery as attempts_exhausted when it was the last that is allowed', async () => {
    forwarding.receiver().respond(answerWith(500, {}, 'broken'))
    const relay = await forwarding.start('retry: { initial: 20ms, factor: 1, attempts: 3 }')
    await send(relay)
    const row = await forwarding.becomes('dead')
    expect(row).toMatchObject({
      attempts: 3,
      code: 'attempts_exhausted',
      message: expect.stringMatching(/3 attempts.*unavailable.*broken/),
    })
    expect(row.tried.map(({ number, code }) => [number, code])).toEqual([
      [1, 'unavailable'],
      [2, 'unavailable'],
      [3, 'unavailable'],
    ])
    expect(forwarding.receiver().requests).toHaveLength(3)
  })

  it('ends the delivery as expired when the next one would come after the horizon', async () => {
    forwarding.receiver().respond(answerWith(500, {}, 'broken'))
    const relay = await forwarding.start('retry: { initial: 700ms, factor: 1, jitter: 0, horizon: 2s }')
    await send(relay)
    const row = await forwarding.becomes('dead')
    expect(row).toMatchObject({ code: 'expired', message: expect.stringContaining('broken') })
    expect(row.attempts).toBe(row.tried.length)
    expect(row.tried.length).toBeGreaterThanOrEqual(1)
    expect(row.tried.every(({ code }) => code === 'unavailable')).toBe(true)
  })

  it('that is an answer for good ends the delivery at once, with a row; any other is repeated', async () => {
    const forGood = [301, 400, 401, 403, 404, 409, 422, 451]
    const passing = [408, 425, 500, 502, 503, 504, 599]
    const answered = new Set<string>()
    forwarding.receiver().respond((response, request) => {
      const id = String(request.headers['webhook-id'])
      const status = Number(id.replace('msg_', ''))
      if (passing.includes(status) && answered.has(id)) return accept(response, request)
      answered.add(id)
      answerWith(status, {}, 'no')(response, request)
    })
    const relay = await forwarding.start('retry: { initial: 20ms }, breaker: { failures: 100 }')
    await sendAll(
      relay,
      [...forGood, ...passing].map((status) => `msg_${status}`),
    )
    const rows = await eventually(forwarding.deliveries, allEnded)
    const byStatus = new Map(rows.map((row) => [Number(row.webhook_id.replace('msg_', '')), row]))
    for (const status of forGood) {
      const code = 'rejected'
      const tried = [{ number: 1, code, message: expect.stringContaining(String(status)) }]
      expect(byStatus.get(status)).toMatchObject({ state: 'dead', attempts: 1, code, tried })
    }
    for (const status of passing) {
      expect(byStatus.get(status)).toMatchObject({ state: 'delivered', attempts: 2, tried: [{ number: 1, code: 'unavailable' }] })
    }
    expect(forwarding.receiver().requests).toHaveLength(forGood.length + 2 * passing.length)
  })
})

describe('a rate limit', () => {
  it('pauses the sink for as long as it asks, costs no attempt and leaves no row', async () => {
    const at: number[] = []
    const answers = answersInTurn(answerWith(429, { 'retry-after': '2' }))
    forwarding.receiver().respond((response, request) => {
      at.push(performance.now())
      answers(response, request)
    })
    const relay = await forwarding.start('concurrency: 1, retry: { initial: 20ms, attempts: 1 }')
    await sendAll(relay, named(4))
    const rows = await eventually(forwarding.deliveries, allAre('delivered'))
    expect(rows.map(({ attempts, tried }) => ({ attempts, tried }))).toEqual(named(4).map(() => ({ attempts: 1, tried: [] })))
    expect(at).toHaveLength(5)
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThanOrEqual(1_990)
  })

  it('does not let new traffic overtake what waited for its end', async () => {
    forwarding.receiver().respond(answersInTurn(answerWith(429, { 'retry-after': '1' })))
    const relay = await forwarding.start('concurrency: 1')
    const ids = named(200)
    // Steadily, through the pause and its end.
    for (const id of ids) await Promise.all([send(relay, id), new Promise((resolve) => setTimeout(resolve, 10))])
    await eventually(forwarding.deliveries, allAre('delivered'))
    const [limited, ...rest] = forwarding.seen()
    expect(limited).toBe(ids[0])
    // The limited one is due when its time is up; all others in the order in which they came.
    expect(rest.filter((id) => id !== limited)).toEqual(ids.slice(1))
  })

  it('of one Slack channel holds up no other channel of the same sink', async () => {
    const slack = await startSlackServer()
    try {
      slack.respond({ kind: 'rate_limited', retryAfter: 3 })
      const relay = await forwarding.start('', {
        sinks: `  ops: { type: slack, token: xoxb-test, api_url: "${slack.url}", channel: C0LIMITED, text: "{{ event.webhook_id }}", rate: 1000/s }`,
        rules: `- { name: limited, if: "event.data.to == 'limited'", to: [ops] }
  - { name: free, if: "event.data.to == 'free'", to: [{ sink: ops, channel: C0FREE }] }`,
      })
      await send(relay, 'msg_limited_1', { to: 'limited' })
      const [first] = await eventually(
        () => slack.requests(),
        (requests) => requests.length === 1,
      )
      await send(relay, 'msg_limited_2', { to: 'limited' })
      for (const id of named(5, 'msg_free')) await send(relay, id, { to: 'free' })
      const free = await eventually(
        () => slack.messages(),
        (messages) => messages.length >= 5,
        2_500,
      )
      expect(free.map(({ channel }) => channel)).toEqual(named(5).map(() => 'C0FREE'))
      const all = await eventually(
        () => slack.messages(),
        (messages) => messages.length === 7,
      )
      for (const { at } of all.filter(({ channel }) => channel === 'C0LIMITED'))
        expect(at).toBeGreaterThanOrEqual((first?.at ?? 0) + 3_000)
      await eventually(forwarding.deliveries, allAre('delivered'))
    } finally {
      await slack.close()
    }
  })
})

describe('the circuit breaker', () => {
  it('opens after so many failures in a row; what waits is not attempted; one probe closes it and all arrives, oldest first', async () => {
    forwarding.receiver().respond(answerWith(500))
    const relay = await forwarding.start(
      'concurrency: 1, retry: { initial: 60s }, breaker: { failures: 3, cooldown: 700ms, max: 700ms }',
    )
    const ids = named(30)
    await sendAll(relay, ids)
    await eventually(
      () => relay.log(),
      (log) => log.includes('breaker open'),
    )
    await eventually(forwarding.deliveries, (rows) => rows.every(({ state }) => state === 'pending'))
    expect(forwarding.receiver().requests).toHaveLength(3)
    expect((await forwarding.deliveries()).filter(({ attempts }) => attempts > 0)).toHaveLength(3)

    // Half-open: one attempt at a time, each of another cooldown.
    await eventually(
      () => forwarding.receiver().requests.length,
      (requests) => requests >= 5,
    )
    const openedAt = performance.now()
    const probes = forwarding.receiver().requests.length
    await eventually(
      () => forwarding.receiver().requests.length,
      (requests) => requests > probes,
    )
    expect(performance.now() - openedAt).toBeGreaterThan(350)

    forwarding.receiver().respond(accept)
    const before = forwarding.receiver().requests.length
    const failed = new Set(forwarding.seen())
    const waiting = ids.filter((id) => !failed.has(id))
    await eventually(forwarding.deliveries, (rows) => rows.filter(({ state }) => state === 'delivered').length >= waiting.length)
    expect(forwarding.seen().slice(before)).toEqual(waiting)
    const rows = await forwarding.deliveries()
    expect(
      rows
        .filter(({ webhook_id }) => waiting.includes(webhook_id))
        .every(({ attempts, tried }) => attempts === 1 && tried.length === 0),
    ).toBe(true)
    expect(relay.log()).toContain('breaker closed')
  })

  it('does not open for refusals, which are answers', async () => {
    forwarding.receiver().respond(answerWith(422))
    const relay = await forwarding.start('breaker: { failures: 2 }')
    await sendAll(relay, named(10))
    await eventually(forwarding.deliveries, allAre('dead'))
    expect(relay.log()).not.toContain('breaker open')
  })

  it('lets a backlog go before new traffic after an outage', async () => {
    forwarding.receiver().respond(answerWith(500))
    const relay = await forwarding.start(
      'concurrency: 1, retry: { initial: 60s }, breaker: { failures: 1, cooldown: 500ms, max: 500ms }',
    )
    await sendAll(relay, named(60, 'old'))
    await eventually(
      () => relay.log(),
      (log) => log.includes('breaker open'),
    )
    forwarding.receiver().respond(accept)
    const failed = new Set(forwarding.seen())
    const before = forwarding.receiver().requests.length
    const newOnes = named(60, 'new')
    await sendAll(relay, newOnes)
    const owed = [...named(60, 'old'), ...newOnes]
    await eventually(
      forwarding.deliveries,
      (rows) => rows.filter(({ state }) => state === 'delivered').length >= owed.length - failed.size - 1,
    )
    const delivered = forwarding.seen().slice(before)
    const expected = owed.filter((id) => delivered.includes(id))
    expect(delivered).toEqual(expected)
  })
})

describe('concurrency and rate', () => {
  it('has no more attempts under way than concurrency allows, and uses what it allows', async () => {
    let underWay = 0
    let most = 0
    forwarding.receiver().respond((response, request) => {
      most = Math.max(most, ++underWay)
      setTimeout(() => {
        underWay--
        accept(response, request)
      }, 20)
    })
    const relay = await forwarding.start('concurrency: 3')
    await Promise.all(named(40).map((id) => send(relay, id)))
    await eventually(forwarding.deliveries, allAre('delivered'))
    expect(most).toBe(3)
  })

  it('starts no more attempts than the rate allows', async () => {
    const at: number[] = []
    forwarding.receiver().respond((response, request) => {
      at.push(performance.now())
      accept(response, request)
    })
    const relay = await forwarding.start('concurrency: 8, rate: 10/s')
    await Promise.all(named(20).map((id) => send(relay, id)))
    await eventually(forwarding.deliveries, allAre('delivered'))
    const tookMs = (at.at(-1) ?? 0) - (at[0] ?? 0)
    // 19 gaps of 100 ms; a request's way to the receiver may take a little longer for the first than for the last.
    expect(tookMs).toBeGreaterThan(1_800)
    expect(tookMs).toBeLessThan(10_000)
  })
})

describe('a condition that throws', () => {
  it('makes the deliveries of its own rule dead from birth, and no other', async () => {
    const relay = await forwarding.start('', {
      sinks: '  other: { type: log }',
      rules: `- { name: throws, if: "event.data.count > 10", to: [forward, other] }
  - { name: fine, to: [forward] }`,
    })
    await send(relay, 'msg_odd', { count: 'many' })
    const rows = await eventually(
      forwarding.deliveries,
      (all) => all.length === 3 && all.every(({ state }) => state === 'dead' || state === 'delivered'),
    )
    expect(rows.filter(({ rule }) => rule === 'throws')).toMatchObject(
      ['forward', 'other'].map((sink) => ({
        sink,
        state: 'dead',
        code: 'condition_error',
        attempts: 0,
        tried: [],
        message: expect.stringMatching(/\w/),
      })),
    )
    expect(rows.filter(({ rule }) => rule === 'fine')).toMatchObject([{ state: 'delivered' }])
    expect(forwarding.seen()).toEqual(['msg_odd'])
  })
})
