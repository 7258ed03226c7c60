/** `npm run bench [-- NAME…] [--json FILE]`: runs the benchmarks one after the other and prints their tables. */
import { writeFileSync } from 'node:fs'
import { Command } from 'commander'
import { runAccept } from './accept.ts'
import { createProbe, machine, type Bench, type Benchmark, type Table } from './bench.ts'
import { runDrain } from './drain.ts'
import { runGrowth } from './growth.ts'
import { runHostile } from './hostile.ts'
import { runMemory } from './memory.ts'
import { runPath } from './path.ts'
import { startPostgres } from './postgres.ts'
import { runReload } from './reload.ts'
import { runRules } from './rules.ts'
import { runSoak } from './soak.ts'
import { runStart } from './start.ts'
import { rounded } from './statistics.ts'

const benchmarks: readonly Benchmark[] = [
  { name: 'accept', about: 'webhooks a second beside bare Koa and a hand-written receiver', run: runAccept },
  { name: 'path', about: 'events a second to a table and a Kafka topic, and how long one takes', run: runPath },
  { name: 'drain', about: 'deliveries a second after an outage of a sink, and accepting meanwhile', run: runDrain },
  { name: 'growth', about: 'accepting, carrying and claiming with 5,000,000 events stored', run: runGrowth },
  { name: 'memory', about: 'resident size while 500,000 deliveries wait for a sink', run: runMemory },
  { name: 'soak', about: 'ten minutes at full load: events a second and resident size, late beside early', run: runSoak },
  { name: 'start', about: 'seconds until the relay is ready', run: runStart },
  { name: 'rules', about: 'routing time of 1, 10, 100 and 1,000 rules', run: runRules },
  { name: 'reload', about: 'how long a request waits while 10, 100 and 1,000 rules are reloaded', run: runReload },
  { name: 'hostile', about: 'the longest that a hostile pattern, expression or text holds the thread', run: runHostile },
]

interface Options {
  json?: string
  repeats: string
}

const program = new Command('bench')
  .description(
    `Measures the relay on this machine. Benchmarks:\n${benchmarks.map(({ name, about }) => `  ${name.padEnd(8)} ${about}`).join('\n')}`,
  )
  .argument('[names...]', 'benchmarks to run; all when none is named')
  .option('--json <file>', 'write the figures to this file')
  .option('--repeats <n>', 'how often each thing is measured', '5')
  .action(run)

await program.parseAsync()

async function run(names: string[], { json, repeats }: Options): Promise<void> {
  const unknown = names.filter((name) => !benchmarks.some((benchmark) => benchmark.name === name))
  if (unknown.length > 0)
    program.error(`no benchmark ${unknown.join(', ')}; there are ${benchmarks.map(({ name }) => name).join(', ')}`)
  const chosen = benchmarks.filter(({ name }) => names.length === 0 || names.includes(name))
  const postgres = await startPostgres()
  const { probe, noise } = createProbe()
  const bench: Bench = { postgres, repeats: Number(repeats), say: (line) => process.stderr.write(`${line}\n`), probe }
  const figures: Record<string, unknown> = {}
  try {
    process.stdout.write(`${machine()}\n${postgres.about}\n\n`)
    for (const { name, run: measure } of chosen) {
      const result = await measure(bench)
      figures[name] = result.json
      for (const [heading, table] of Object.entries(result.tables)) process.stdout.write(`${heading}\n\n${markdown(table)}\n`)
      if (json !== undefined) writeFileSync(json, `${JSON.stringify({ ...figures, ...about() }, null, 2)}\n`)
    }
    const { median, min, max, probes } = noise()
    process.stdout.write(
      `noise probe: ${rounded(median)} ms (${rounded(min)}–${rounded(max)}) over ${probes} probes of the same work\n`,
    )
  } finally {
    await postgres.stop()
  }

  function about() {
    return { machine: machine(), postgres: postgres.about, noise: noise() }
  }
}

function markdown([heading = [], ...rows]: Table): string {
  return [heading, heading.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}
