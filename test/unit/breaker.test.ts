import { beforeEach, describe, expect, it } from 'vitest'
import { breakerSchema } from '../../src/config/sink-schema.ts'
import { createBreaker, type Breaker } from '../../src/deliver/breaker.ts'

let now: number
let breaker: Breaker

beforeEach(() => {
  now = 10_000
  breaker = createBreaker(breakerSchema.parse({ failures: 3, cooldown: '1s', max: '3s' }), () => now)
})

function fail(times: number): boolean[] {
  return Array.from({ length: times }, () => breaker.failed())
}

it('opens with the third failure in a row, and says so once', () => {
  expect(fail(3)).toEqual([false, false, true])
  expect([breaker.state(), breaker.waitMs()]).toEqual(['open', 1_000])
})

it('starts to count again after a success', () => {
  fail(2)
  breaker.succeeded()
  expect(fail(2)).toEqual([false, false])
  expect(breaker.state()).toBe('closed')
})

it('is half-open once its cooldown is over, not a millisecond before', () => {
  fail(3)
  now += 999
  expect([breaker.state(), breaker.waitMs()]).toEqual(['open', 1])
  now += 1
  expect([breaker.state(), breaker.waitMs()]).toEqual(['half_open', 0])
})

describe('half-open', () => {
  beforeEach(() => {
    fail(3)
    now += 1_000
  })

  it('closes with one success, and needs as many failures as before to open again', () => {
    breaker.succeeded()
    expect([breaker.state(), breaker.waitMs()]).toEqual(['closed', 0])
    expect(fail(3)).toEqual([false, false, true])
    expect(breaker.waitMs()).toBe(1_000)
  })

  it('opens with one failure, each time for twice as long up to its maximum', () => {
    const waits = Array.from({ length: 4 }, () => {
      expect(breaker.failed()).toBe(true)
      const waitMs = breaker.waitMs()
      now += waitMs
      return waitMs
    })
    expect(waits).toEqual([2_000, 3_000, 3_000, 3_000])
  })
})

it('does not wait longer for failures of attempts that were under way when it opened', () => {
  fail(3)
  expect(fail(10)).toEqual(Array.from({ length: 10 }, () => false))
  expect(breaker.waitMs()).toBe(1_000)
})

it('closes for a success that was under way when it opened', () => {
  fail(3)
  breaker.succeeded()
  expect(breaker.state()).toBe('closed')
})

it('stays finite after thousands of failed probes', () => {
  fail(3)
  for (let probe = 0; probe < 5_000; probe++) {
    now += breaker.waitMs()
    breaker.failed()
  }
  expect(breaker.waitMs()).toBe(3_000)
})
