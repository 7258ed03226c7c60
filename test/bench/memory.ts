/** How large the relay gets while a sink is down and more and more is owed to it. */
import { prepare } from './accept.ts'
import type { Bench, Result } from './bench.ts'
import { startGenerator, type Generator } from './generator.ts'
import { residentMb } from './resident.ts'
import { startRelay, yamlHead } from './servers.ts'
import { median, rounded, spread } from './statistics.ts'
import { fromEnv } from './trial.ts'

const backlog = fromEnv('BENCH_BACKLOG', 500_000)
const steps = 5
const step = backlog / steps

const connections = 64
/** Far longer than a step takes: it ends when its requests are used up. */
const stepSeconds = 600
const sampleMs = 50

/** Nobody listens there: what is accepted stays pending. */
const yaml = `${yamlHead}sinks:
  down: { type: http, url: "http://127.0.0.1:9/", allow_private: true }
rules:
  - { name: everything, to: [down] }
`

/** In megabytes. */
interface Sizes {
  /** At the start and after each step. */
  at: number[]
  max: number
}

export async function runMemory(bench: Bench): Promise<Result> {
  const generator = startGenerator()
  const runs: Sizes[] = []
  try {
    for (let repeat = 0; repeat < bench.repeats; repeat++) {
      bench.probe()
      const sizes = await fill(bench, generator)
      runs.push(sizes)
      bench.say(`memory, ${repeat + 1}/${bench.repeats}: ${sizes.at.map(rounded).join(', ')} MB, at most ${rounded(sizes.max)}`)
    }
  } finally {
    await generator.stop()
  }
  return resultOf(bench, runs)
}

async function fill(bench: Bench, generator: Generator): Promise<Sizes> {
  const relay = await startRelay(yaml, await bench.postgres.createDatabase('memory'))
  const at = [residentMb(relay.pid)]
  let max = 0
  const sampling = setInterval(() => (max = Math.max(max, residentMb(relay.pid))), sampleMs)
  try {
    for (let n = 0; n < steps; n++) {
      await generator.slice(prepare(relay, undefined, 'hmac', step), { connections, seconds: stepSeconds })
      at.push(residentMb(relay.pid))
    }
  } finally {
    clearInterval(sampling)
    await relay.stop()
  }
  return { at, max }
}

function resultOf(bench: Bench, runs: readonly Sizes[]): Result {
  const backlogs = Array.from({ length: steps + 1 }, (_, n) => n * step)
  const sizesAt = (n: number): number[] => runs.map(({ at }) => at[n] ?? Number.NaN)
  return {
    json: {
      rss_mb: Object.fromEntries(backlogs.map((count, n) => [count, rounded(median(sizesAt(n)))])),
      max_mb: rounded(median(runs.map(({ max }) => max))),
      runs,
    },
    tables: {
      [`Memory: MB of the relay while a sink is down; medians of ${bench.repeats} (spread)`]: [
        ['pending', 'resident MB'],
        ...backlogs.map((count, n) => [count.toLocaleString('en'), spread(sizesAt(n), 0)]),
        [
          'at most',
          spread(
            runs.map(({ max }) => max),
            0,
          ),
        ],
      ],
    },
  }
}
