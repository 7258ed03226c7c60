import { assert, date, oneof, property, string } from 'fast-check'
import { describe, expect, test } from 'vitest'
import { rateLimitPauseMs, retryAfterMs } from '../../src/sinks/retry-after.ts'

const now = Date.parse('2026-11-20T10:00:00Z')

describe('Retry-After', () => {
  test.each([
    ['0', 0],
    ['2', 2_000],
    ['0120', 120_000],
    [' 7 ', 7_000],
    ['3600', 3_600_000],
    ['Fri, 20 Nov 2026 10:00:05 GMT', 5_000],
  ])('%j is honoured', (header, expected) => {
    expect(retryAfterMs(header, now)).toBe(expected)
  })

  test.each([['3601'], ['86400'], ['9'.repeat(400)], ['Sat, 21 Nov 2026 10:00:00 GMT'], ['Fri, 31 Dec 9999 23:59:59 GMT']])(
    '%j is cut to an hour',
    (header) => {
      expect(retryAfterMs(header, now)).toBe(3_600_000)
    },
  )

  test('a date that has passed is no wait', () => {
    expect(retryAfterMs('Fri, 20 Nov 2026 09:59:59 GMT', now)).toBe(0)
  })

  test.each([
    [''],
    ['-1'],
    ['+1'],
    ['1.5'],
    ['1e3'],
    ['0x10'],
    ['30s'],
    ['2, 3'],
    ['soon'],
    ['NaN'],
    ['2026-11-20T10:00:05Z'],
    ['Fri, 20 Nov 2026 10:00:05'],
    ['Fri, 20 Nov 2026 10:00:05 +0000'],
    ['Mon, 20 Nov 2026 10:00:05 GMT'],
    ['Tue, 31 Feb 2026 10:00:05 GMT'],
    ['Friday, 20-Nov-26 10:00:05 GMT'],
    [null],
    [undefined],
  ])('%j is as good as absent', (header) => {
    expect(retryAfterMs(header, now)).toBeUndefined()
  })

  test('whatever comes, the answer is absent or between nothing and an hour', () => {
    assert(
      property(
        oneof(
          string(),
          date({ noInvalidDate: true }).map((any) => any.toUTCString()),
        ),
        (header) => {
          const ms = retryAfterMs(header, now)
          expect(ms === undefined || (Number.isFinite(ms) && ms >= 0 && ms <= 3_600_000)).toBe(true)
        },
      ),
    )
  })
})

describe('the pause after a 429', () => {
  test('is what was asked for', () => {
    expect(rateLimitPauseMs('2', now)).toBe(2_000)
  })

  test.each([['0'], ['Fri, 20 Nov 2026 09:00:00 GMT']])(
    'is a second where %j asks for none, so that it cannot become a busy loop',
    (header) => {
      expect(rateLimitPauseMs(header, now)).toBe(1_000)
    },
  )

  test.each([[undefined], ['soon']])('is half a minute where %j says nothing', (header) => {
    expect(rateLimitPauseMs(header, now)).toBe(30_000)
  })
})
