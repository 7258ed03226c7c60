import fc from 'fast-check'
import { expect, it } from 'vitest'
import { retrySchema } from '../../src/config/sink-schema.ts'
import { longestRetryAfterMs, retryDelayMs } from '../../src/deliver/backoff.ts'

const retry = (odd: Record<string, unknown> = {}) => retrySchema.parse({ jitter: 0, ...odd })

it('waits 1 s before the second attempt, then twice as long each time, and never longer than an hour', () => {
  const delays = [1, 2, 3, 4, 12, 13, 1_000, 10_000].map((attempts) => retryDelayMs(retry(), attempts, 0))
  expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 2_048_000, 3_600_000, 3_600_000, 3_600_000])
})

it('follows initial, factor and max', () => {
  const odd = retry({ initial: '500ms', factor: 3, max: '5s' })
  expect([1, 2, 3, 4].map((attempts) => retryDelayMs(odd, attempts, 0))).toEqual([500, 1_500, 4_500, 5_000])
})

it('takes up to its jitter off a delay', () => {
  const odd = retry({ initial: '1000ms', jitter: 0.2 })
  expect([0, 0.5, 0.999_999].map((random) => retryDelayMs(odd, 1, random))).toEqual([1_000, 900, 800])
})

it('waits at least as long as the sink asked, and at most an hour for that', () => {
  expect(retryDelayMs(retry(), 1, 0, 30_000)).toBe(30_000)
  expect(retryDelayMs(retry(), 1, 0, 30)).toBe(1_000)
  expect(retryDelayMs(retry(), 1, 0, 86_400_000)).toBe(longestRetryAfterMs)
  expect(retryDelayMs(retry({ initial: '1d', max: '1d' }), 1, 0, 1_000)).toBe(86_400_000)
})

it('is a whole number of milliseconds that Postgres can add to a date, whatever the schedule', () => {
  const schedules = fc.record({
    initial: fc.integer({ min: 0, max: 1_000_000 }).map((ms) => `${ms}ms`),
    factor: fc.double({ min: 1, max: 10, noNaN: true }),
    max: fc.integer({ min: 0, max: 10_000_000 }).map((ms) => `${ms}ms`),
    jitter: fc.double({ min: 0, max: 1, noNaN: true }),
  })
  const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
  fc.assert(
    fc.property(schedules, fc.integer({ min: 1, max: 10_000 }), random, (odd, attempts, part) => {
      const schedule = retrySchema.parse(odd)
      const delay = retryDelayMs(schedule, attempts, part)
      expect(Number.isSafeInteger(delay)).toBe(true)
      expect(delay).toBeGreaterThanOrEqual(0)
      expect(delay).toBeLessThanOrEqual(Math.max(schedule.max, 0))
    }),
  )
})
