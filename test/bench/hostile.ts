/**
 * How long what was made to hold the thread holds it: each sample is compiled, and run on the largest event that the default
 * body limit lets in. The suite asks of the same samples that they end.
 */
import { compileSample, hostileSamples, type HostileSample } from '../fixtures/hostile-rules.ts'
import { hostileEvent } from '../fixtures/hostile-events.ts'
import type { Bench, Result } from './bench.ts'
import { measured, rounded, type Measured } from './statistics.ts'

/** No more than this may hold the thread. */
const boundMs = 50
/** Each is measured so often, for every repeat. The first time, when nothing is compiled yet, is one of them. */
const runsPerRepeat = 4
const shownRows = 20

interface Block {
  sample: HostileSample
  /** Reading it, or running it on the event. */
  at: 'load' | 'run'
  wall: Measured
  /** Of all threads of the process: what a wait for the processor does not add to, and the collector does. */
  cpu: Measured
}

export function runHostile(bench: Bench): Promise<Result> {
  bench.say(`hostile: ${hostileSamples.length} samples`)
  const blocks = hostileSamples.flatMap((sample) => measure(bench, sample)).toSorted((a, b) => b.wall.max - a.wall.max)
  const most = (figure: (block: Block) => number) => rounded(Math.max(...blocks.map(figure)))
  return Promise.resolve({
    json: {
      samples: hostileSamples.length,
      ms_max: most(({ wall }) => wall.max),
      ms_median_max: most(({ wall }) => wall.median),
      cpu_ms_max: most(({ cpu }) => cpu.max),
      cpu_ms_median_max: most(({ cpu }) => cpu.median),
      over_50_ms_of_wall: blocks.filter(({ wall }) => wall.max > boundMs).length,
      over_50_ms_of_cpu: blocks.filter(({ cpu }) => cpu.max > boundMs).length,
    },
    tables: {
      [`Longest single block of ${blocks.length}, in ms, of ${runsPerRepeat * bench.repeats} runs each; the ${shownRows} longest`]:
        [
          ['sample', 'event', 'while', 'max', 'median', 'min', 'CPU max', 'CPU median', 'ends'],
          ...blocks.slice(0, shownRows).map(rowOf),
        ],
    },
  })
}

function rowOf({ sample, at, wall, cpu }: Block): string[] {
  const figures = [wall.max, wall.median, wall.min, cpu.max, cpu.median].map((ms) => ms.toFixed(1))
  return [`${sample.kind}: ${sample.name}`, sample.data, at, ...figures, sample.ending]
}

function measure(bench: Bench, sample: HostileSample): Block[] {
  const [loads, runs]: [Taken[], Taken[]] = [[], []]
  for (let n = 0; n < runsPerRepeat * bench.repeats; n++) {
    if (n % runsPerRepeat === 0) bench.probe()
    let run: ReturnType<typeof compileSample> | undefined
    loads.push(taken(() => (run = compileSample(sample))))
    if (run === undefined) continue
    const ready = run
    const event = hostileEvent(sample.data)
    runs.push(taken(() => ready(event)))
  }
  const blocks: Block[] = [{ sample, at: 'load', ...summary(loads) }]
  return runs.length === 0 ? blocks : [...blocks, { sample, at: 'run', ...summary(runs) }]
}

interface Taken {
  wallMs: number
  cpuMs: number
}

/** An error is one way to end. */
function taken(work: () => unknown): Taken {
  const [started, before] = [performance.now(), process.cpuUsage()]
  try {
    work()
  } catch {
    // That it ends as it should is for the suite to say.
  }
  const wallMs = performance.now() - started
  const { user, system } = process.cpuUsage(before)
  return { wallMs, cpuMs: (user + system) / 1_000 }
}

function summary(all: readonly Taken[]): Pick<Block, 'wall' | 'cpu'> {
  return { wall: measured(all.map(({ wallMs }) => wallMs)), cpu: measured(all.map(({ cpuMs }) => cpuMs)) }
}
