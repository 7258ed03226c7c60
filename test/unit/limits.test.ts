import { beforeEach, describe, expect, it } from 'vitest'
import { createLimits, type Limits, type Turn } from '../../src/deliver/limits.ts'
import { sinkConfig } from '../sinks/config.ts'

interface Waiter {
  name: string
  turn: Turn
  /** Attempts that it still wants to start. */
  wants: number
}

let now: number
let limits: Limits
/** Who started an attempt, in order. */
let started: string[]

beforeEach(() => {
  now = 0
  started = []
})

function share(odd: Record<string, unknown>): void {
  limits = createLimits(sinkConfig('http', { url: 'http://127.0.0.1/', ...odd }), () => now)
}

function join(name: string): Waiter {
  const waiter: Waiter = { name, wants: 0, turn: limits.join(() => start(waiter, 0)) }
  return waiter
}

/** As a lane does: as many as may, of those it has. */
function start(waiter: Waiter, more: number): void {
  waiter.wants += more
  while (waiter.wants > 0 && waiter.turn.mayStart()) {
    waiter.wants -= 1
    waiter.turn.started()
    started.push(waiter.name)
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('lanes of one sink', () => {
  it('have no more attempts under way together than the sink takes', async () => {
    share({ concurrency: 3 })
    const [one, other] = [join('one'), join('other')]
    start(one, 2)
    start(other, 5)
    await settled()
    expect(started).toEqual(['one', 'one', 'other'])
    expect(limits.running()).toBe(3)
    one.turn.ended()
    await settled()
    expect(started).toHaveLength(4)
  })

  it('take turns for places while both wait for them', async () => {
    share({ concurrency: 1 })
    const [one, other] = [join('one'), join('other')]
    start(one, 4)
    start(other, 3)
    for (let n = 0; n < 6; n++) {
      one.turn.ended()
      // The lane that has ended one is the first to ask.
      start(one, 0)
      await settled()
    }
    expect(started).toEqual(['one', 'other', 'one', 'other', 'one', 'other', 'one'])
  })

  it('take turns for the rate', async () => {
    share({ rate: '1/s', concurrency: 100 })
    const [one, other] = [join('one'), join('other')]
    start(one, 3)
    start(other, 3)
    for (now = 1_000; now < 6_000; now += 1_000) {
      start(one, 0)
      await settled()
      start(other, 0)
    }
    expect(started).toEqual(['one', 'other', 'one', 'other', 'one', 'other'])
  })

  it('wait for none that has nothing to start any more', async () => {
    share({ concurrency: 1 })
    const [one, other] = [join('one'), join('other')]
    start(one, 3)
    start(other, 1)
    other.wants = 0
    other.turn.leave()
    one.turn.ended()
    start(one, 0)
    expect(started).toEqual(['one', 'one'])
    start(other, 1)
    other.wants = 0 // Its leases are lost, say: it finds that out when it is called.
    one.turn.ended()
    await settled()
    expect(started).toEqual(['one', 'one', 'one'])
  })

  it('share a pause, and one probe of the breaker', async () => {
    share({ concurrency: 5, breaker: { failures: 1, cooldown: '1s' } })
    const [one, other] = [join('one'), join('other')]
    limits.pause(300)
    now = 200
    expect(limits.pausedMs()).toBe(100)
    limits.breaker.failed()
    now = 1_200
    start(one, 2)
    start(other, 2)
    await settled()
    expect(started).toEqual(['one'])
    limits.breaker.succeeded()
    one.turn.ended()
    await settled()
    expect(started).toHaveLength(4)
  })
})

it('a sink with one lane calls nobody', () => {
  share({ concurrency: 2 })
  const only = join('only')
  start(only, 3)
  expect(started).toEqual(['only', 'only'])
  only.turn.ended()
  start(only, 0)
  expect(started).toEqual(['only', 'only', 'only'])
})
