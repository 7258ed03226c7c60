/**
 * The emulator's time: starts at the real one and can run faster or jump. What is due in a jump happens in its order, each at
 * the time for which it was planned.
 */

export interface EmulatedClock {
  /** Milliseconds since the epoch. */
  now: () => number
  /** Emulated seconds in a real one. */
  speed: () => number
  setSpeed: (speed: number) => void
  /** @param ms milliseconds to jump */
  advance: (ms: number) => void
  /** Calls `act` with `time` once the clock shows it; at the earliest after what is running now. */
  at: (time: number, act: (time: number) => void) => Cancel
  stop: () => void
}

export type Cancel = () => void

interface Plan {
  time: number
  act: (time: number) => void
}

/** What `setTimeout` can wait for: longer waits are looked at again. */
const longestTimerMs = 2 ** 31 - 1

/** @param realNow milliseconds since the epoch, by a clock that runs at speed 1 */
export function createClock(speed = 1, realNow: () => number = Date.now): EmulatedClock {
  let started = { real: realNow(), emulated: realNow(), speed }
  /** By time, then in the order they were planned. */
  const plans: Plan[] = []
  let timer: NodeJS.Timeout | undefined
  let stopped = false

  const now = () => started.emulated + (realNow() - started.real) * started.speed

  function restart(emulated: number, nextSpeed: number): void {
    started = { real: realNow(), emulated, speed: nextSpeed }
    wait()
  }

  function wait(): void {
    clearTimeout(timer)
    const next = plans[0]
    if (next === undefined || stopped) return
    timer = setTimeout(run, Math.min(longestTimerMs, Math.max(0, Math.ceil((next.time - now()) / started.speed))))
  }

  function run(): void {
    const until = now()
    for (let next = plans[0]; next !== undefined && next.time <= until; next = plans[0]) {
      plans.shift()
      next.act(next.time)
    }
    wait()
  }

  return {
    now,
    speed: () => started.speed,
    setSpeed: (next) => restart(now(), next),
    advance: (ms) => restart(now() + ms, started.speed),
    at(time, act) {
      const plan = { time, act }
      const place = plans.findLastIndex((other) => other.time <= time) + 1
      plans.splice(place, 0, plan)
      if (place === 0) wait()
      return () => {
        const found = plans.indexOf(plan)
        if (found >= 0) plans.splice(found, 1)
      }
    },
    stop() {
      stopped = true
      clearTimeout(timer)
      plans.length = 0
    },
  }
}
