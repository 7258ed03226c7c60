/** What a benchmark is given, and what it gives back. */
import { createHash } from 'node:crypto'
import { availableParallelism, cpus } from 'node:os'
import { measured, type Measured } from './statistics.ts'
import type { BenchPostgres } from './postgres.ts'

export interface Bench {
  postgres: BenchPostgres
  /** How often each thing is measured. */
  repeats: number
  /** A line of progress. */
  say: (line: string) => void
  /** Notes how fast this machine is at this moment; called before every measurement. */
  probe: () => void
}

/** A table of a report: the first row is its heading. */
export type Table = readonly (readonly string[])[]

export interface Result {
  /** Under the benchmark's name in the JSON file. */
  json: Record<string, unknown>
  /** By heading. */
  tables: Record<string, Table>
}

export interface Benchmark {
  name: string
  /** One line, for the list. */
  about: string
  run: (bench: Bench) => Promise<Result>
}

/** Fixed work of about 15 ms: where its time varies, so does everything else that was measured meanwhile. */
const probeRounds = 40
const probeBytes = Buffer.alloc(256 * 1_024, 'gemini')

export function createProbe(): { probe: () => void; noise: () => Measured & { unit: 'ms'; probes: number } } {
  const times: number[] = []
  return {
    probe() {
      const started = performance.now()
      for (let round = 0; round < probeRounds; round++) createHash('sha256').update(probeBytes).digest()
      times.push(performance.now() - started)
    },
    noise: () => ({ ...measured(times), unit: 'ms', probes: times.length }),
  }
}

export function machine(): string {
  return `${availableParallelism()} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}, ${process.platform} ${process.arch}`
}
