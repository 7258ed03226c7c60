import { beforeEach, describe, expect, it } from 'vitest'
import { createPace } from '../../src/deliver/rate.ts'

let now: number
const clock = () => now

beforeEach(() => {
  now = 5_000
})

it('without a rate never waits', () => {
  const pace = createPace(undefined, clock)
  for (let n = 0; n < 100; n++) pace.started()
  expect([pace.waitMs(), pace.within(1_000)]).toEqual([0, Infinity])
})

describe('one a second', () => {
  const everySecond = () => createPace({ count: 1, perMs: 1_000 }, clock)

  it('starts at once, then a whole second after the last', () => {
    const pace = everySecond()
    expect(pace.waitMs()).toBe(0)
    pace.started()
    expect(pace.waitMs()).toBe(1_000)
    now += 400
    expect(pace.waitMs()).toBe(600)
    now += 600
    expect(pace.waitMs()).toBe(0)
  })

  it('makes up for nothing after a quiet time', () => {
    const pace = everySecond()
    pace.started()
    now += 60_000
    pace.started()
    expect(pace.waitMs()).toBe(1_000)
  })

  it('counts from the start that was late, not from when it was due', () => {
    const pace = everySecond()
    pace.started()
    now += 1_300
    pace.started()
    expect(pace.waitMs()).toBe(1_000)
  })
})

it.each([
  [{ count: 10, perMs: 1_000 }, 10_000, 100],
  [{ count: 300, perMs: 60_000 }, 10_000, 50],
  [{ count: 1, perMs: 3_600_000 }, 10_000, 1],
])('%o: so many start within %i ms: %i', (rate, ms, starts) => {
  expect(createPace(rate, clock).within(ms)).toBe(starts)
})

it.each([
  ['timers on time', 1],
  ['timers 15 ms late', 15],
])('keeps a rate of 1000 a second with %s: not more than that, and not much less', (_, lateMs) => {
  const pace = createPace({ count: 1_000, perMs: 1_000 }, clock)
  const began = now
  let starts = 0
  while (now - began < 10_000) {
    while (pace.waitMs() === 0) {
      pace.started()
      starts++
    }
    now += pace.waitMs() + lateMs
  }
  expect(starts).toBeLessThanOrEqual(10_000 + 21)
  expect(starts).toBeGreaterThan(9_000)
})
