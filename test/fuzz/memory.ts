/** The relay's resident size over the run. */
import { residentMb } from '../bench/resident.ts'
import { median } from '../bench/statistics.ts'

export interface Memory {
  /** @param done requests that were answered so far */
  start: (pid: number, done: () => number) => void
  stop: () => void
  now: () => number
  /** Medians, in megabytes, around the middle of the run and at its end. */
  middleAndEnd: (total: number) => { middle: number; end: number }
}

const sampleMs = 250

/** Parts of the run, 0 to 1: one sample tells more of the garbage collector than of the relay. */
const middle = [0.45, 0.55] as const
const end = [0.9, 1] as const

/** Below so many requests the relay is still warming up, and its size says nothing. */
export const settledRequests = 300_000

/** What it may have grown by from the middle to the end. */
export const allowedGrowth = 0.1

export function createMemory(): Memory {
  const samples: { done: number; mb: number }[] = []
  let timer: NodeJS.Timeout | undefined
  return {
    start(pid, done) {
      timer = setInterval(() => samples.push({ done: done(), mb: residentMb(pid) }), sampleMs)
    },
    stop: () => clearInterval(timer),
    now: () => samples.at(-1)?.mb ?? Number.NaN,
    middleAndEnd(total) {
      const within = ([from, to]: readonly [number, number]) =>
        median(samples.filter(({ done }) => done >= from * total && done <= to * total).map(({ mb }) => mb))
      return { middle: within(middle), end: within(end) }
    },
  }
}
