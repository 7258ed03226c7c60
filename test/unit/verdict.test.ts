import { describe, expect, it } from 'vitest'
import { retrySchema } from '../../src/config/sink-schema.ts'
import { failureEnd, pauseMs } from '../../src/deliver/verdict.ts'
import { failureRetryable, type FailureCode } from '../../src/errors.ts'
import { failed } from '../../src/sinks/sink.ts'

const retry = (odd: Record<string, unknown> = {}) => retrySchema.parse({ jitter: 0, ...odd })
const codes = Object.keys(failureRetryable).filter((code): code is FailureCode => code in failureRetryable)

it.each(codes.filter((code) => !failureRetryable[code]))('%s ends the delivery, with its own code and message', (code) => {
  expect(failureEnd(failed(code, 'why'), 1, retry(), 0)).toEqual({
    state: 'dead',
    delayMs: null,
    attempted: true,
    code,
    message: 'why',
  })
})

it.each(codes.filter((code) => failureRetryable[code] && !['rate_limited', 'gone', 'resource_unavailable'].includes(code)))(
  '%s is tried again by the schedule',
  (code) => {
    expect(failureEnd(failed(code, 'why'), 3, retry(), 0)).toEqual({
      state: 'pending',
      delayMs: 4_000,
      attempted: true,
      code,
      message: 'why',
    })
  },
)

it('a job that could not be fetched is asked for again by the schedule, and costs no attempt', () => {
  expect(failureEnd(failed('resource_unavailable', 'why'), 3, retry({ attempts: 1 }), 0)).toEqual({
    state: 'pending',
    delayMs: 4_000,
    attempted: false,
    code: 'resource_unavailable',
    message: 'why',
  })
})

it('waits longer where the sink asks for it', () => {
  expect(failureEnd(failed('unavailable', 'why', 90_000), 1, retry(), 0)).toMatchObject({ state: 'pending', delayMs: 90_000 })
})

describe('with a limit of attempts', () => {
  it.each([
    [1, 'pending'],
    [2, 'pending'],
    [3, 'exhausted'],
    [4, 'exhausted'],
  ])('attempt %i of 3 ends as %s, with how it failed', (attempts, state) => {
    expect(failureEnd(failed('timeout', 'why'), attempts, retry({ attempts: 3 }), 0)).toMatchObject({
      state,
      attempted: true,
      code: 'timeout',
      message: 'why',
    })
  })

  it('a refusal is no exhaustion', () => {
    expect(failureEnd(failed('rejected', 'why'), 3, retry({ attempts: 3 }), 0)).toMatchObject({ state: 'dead', code: 'rejected' })
  })

  it('a sink that wants no more costs no attempt, and the delivery keeps its place', () => {
    expect(failureEnd(failed('gone', 'why'), 99, retry({ attempts: 1 }), 0)).toEqual({
      state: 'pending',
      delayMs: null,
      attempted: false,
      code: 'gone',
      message: 'why',
    })
  })

  it('being told to wait is no attempt, however often', () => {
    expect(failureEnd(failed('rate_limited', 'why', 5_000), 99, retry({ attempts: 1 }), 0)).toEqual({
      state: 'pending',
      delayMs: 5_000,
      attempted: false,
      code: 'rate_limited',
      message: 'why',
    })
  })
})

it('pauses for what was asked, an hour at most, and for the first delay where nothing was asked', () => {
  expect(pauseMs(failed('rate_limited', '', 2_000), retry())).toBe(2_000)
  expect(pauseMs(failed('rate_limited', '', 9e9), retry())).toBe(3_600_000)
  expect(pauseMs(failed('rate_limited', ''), retry({ initial: '7s' }))).toBe(7_000)
})
