import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { retryDelayMs, retryForMs } from '../../src/emulator/backoff.ts'
import { createClock } from '../../src/emulator/clock.ts'

describe('the emulated clock', () => {
  it('shows the real time at first, and runs at its speed from then on', () => {
    let real = 1_000
    const clock = createClock(10, () => real)
    expect(clock.now()).toBe(1_000)
    real += 50
    expect(clock.now()).toBe(1_500)
    clock.setSpeed(2)
    real += 50
    expect(clock.now()).toBe(1_600)
    clock.advance(60_000)
    expect(clock.now()).toBe(61_600)
    clock.stop()
  })

  it('does in a jump what falls due in it, in its order, also what is planned on the way', async () => {
    const clock = createClock()
    const start = clock.now()
    const done: [string, number][] = []
    const note = (what: string) => (time: number) => void done.push([what, Math.round(time - start)])
    clock.at(start + 3_000, note('third'))
    clock.at(start + 1_000, (time) => {
      note('first')(time)
      clock.at(time + 1_000, note('second'))
    })
    const cancel = clock.at(start + 2_500, note('cancelled'))
    clock.at(start + 100_000, note('later'))
    cancel()
    await sleep(20)
    expect(done).toEqual([])
    clock.advance(5_000)
    await sleep(20)
    expect(done).toEqual([
      ['first', 1_000],
      ['second', 2_000],
      ['third', 3_000],
    ])
    clock.stop()
  })

  it('keeps the order of what is due at the same time', async () => {
    const clock = createClock()
    const done: number[] = []
    for (const n of [1, 2, 3]) clock.at(0, () => void done.push(n))
    await sleep(20)
    expect(done).toEqual([1, 2, 3])
    clock.stop()
  })

  it('does nothing after it was stopped', async () => {
    const clock = createClock()
    let done = false
    clock.at(0, () => void (done = true))
    clock.stop()
    await sleep(20)
    expect(done).toBe(false)
  })
})

describe('the pauses between attempts', () => {
  it('double from 5 seconds to 2 hours, a fifth more or less', () => {
    const middle = [1, 2, 3, 11, 12, 40].map((attempts) => retryDelayMs(attempts, 0.5))
    expect(middle).toEqual([5_000, 10_000, 20_000, 5_120_000, 7_200_000, 7_200_000])
    expect([retryDelayMs(1, 0), retryDelayMs(1, 1)]).toEqual([4_000, 6_000])
  })

  it('are no shorter than what the receiver asks for, which is an hour at most', () => {
    expect(retryDelayMs(1, 0.5, 60)).toBe(60_000)
    expect(retryDelayMs(1, 0.5, 86_400)).toBe(3_600_000)
    expect(retryDelayMs(12, 0.5, 60)).toBe(7_200_000)
  })

  it('let about two dozen attempts into the 24 hours', () => {
    let [attempts, elapsed] = [0, 0]
    for (; elapsed <= retryForMs; attempts += 1) elapsed += retryDelayMs(attempts + 1, 0.5)
    expect(attempts).toBe(22)
  })
})
