/** `npm run chaos -- --seconds N --seed S [--json FILE]`: traffic under faults, and an oracle that says whether a promise broke. */
import { rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { root } from '../setup/root.ts'
import { describeFault, drawSchedule, faultKinds, type FaultKind } from './faults.ts'
import { runChaos, type Report } from './run.ts'

interface Options {
  seconds: number
  seed: number
  rate: number
  settle: number
  json?: string
  relay: string
  only: FaultKind[]
  kafka: boolean
  keep: boolean
  verbose: boolean
}

const program = new Command('chaos')
  .description(
    'Runs two relays under faults drawn from a seed, and checks what the design promises. Exit code 1: a promise broke.',
  )
  .option('--seconds <n>', 'how long faults are made', wholeNumber, 60)
  .option('--seed <n>', 'draws faults and messages', wholeNumber, 1)
  .option('--rate <n>', 'new messages a second', wholeNumber, 120)
  .option('--settle <seconds>', 'how long everything may take to come to rest afterwards', wholeNumber, 120)
  .option('--json <file>', 'write the figures and the violations to this file')
  .option('--relay <file>', 'the main.js of another build', join(root, 'dist/main.js'))
  .option('--only <kinds>', `faults of these kinds only, between commas: ${faultKinds.join(', ')}`, kindList, [])
  .option('--no-kafka', 'without a Kafka sink')
  .option('--keep', 'keep logs and data even when nothing broke', false)
  .option('--verbose', 'print the schedule first', false)
  .action(run)

await program.parseAsync()

async function run(options: Options): Promise<void> {
  const { seed, seconds, only, json } = options
  if (options.verbose) {
    for (const { atMs, fault } of drawSchedule(seed, seconds, only))
      say(`${(atMs / 1_000).toFixed(1).padStart(7)} s  ${describeFault(fault)}`)
  }
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
  const { report, rig } = await runChaos(
    {
      seed,
      seconds,
      binary: resolve(options.relay),
      perSecond: options.rate,
      settleSeconds: options.settle,
      only,
      withKafka: options.kafka,
      say,
      progress,
    },
    interrupted.signal,
  )
  await rig.stop()
  const broken = report.violations.length > 0
  const logs = broken || options.keep ? join(rig.dir, 'logs') : null
  if (logs === null) rmSync(rig.dir, { recursive: true, force: true })
  else rmSync(join(rig.dir, 'postgres'), { recursive: true, force: true })
  if (json !== undefined) writeFileSync(json, `${JSON.stringify({ ...report, logs }, null, 2)}\n`)
  print({ ...report, logs })
  process.exitCode = broken ? 1 : 0
}

function print({ violations, logs, faults, ...figures }: Report): void {
  for (const { check, what, id, story } of violations.filter(
    (violation) => violation.story.length > 0 || violation.id === undefined,
  )) {
    process.stdout.write(`\n${check}: ${id ?? ''} ${what}\n${story.map((line) => `  ${line}\n`).join('')}`)
  }
  const told = Object.entries({ ...figures, violations: violations.length }).map(([name, value]) => `${name} ${value}`)
  process.stdout.write(`\n${told.join(', ')}\n`)
  process.stdout.write(
    `${Object.entries(faults)
      .map(([kind, count]) => `${kind} ${count}`)
      .join(', ')}\n`,
  )
  if (logs !== null) process.stdout.write(`logs: ${logs}\n`)
  if (violations.length > 0)
    process.stdout.write(`repeat: npm run chaos -- --seconds ${figures.seconds} --seed ${figures.seed}\n`)
}

function say(line: string): void {
  process.stderr.write(`${clear()}${line}\n`)
}

function progress(line: string): void {
  process.stderr.write(process.stderr.isTTY ? `${clear()}${line.slice(0, process.stderr.columns - 1)}` : `${line}\n`)
}

function clear(): string {
  return process.stderr.isTTY ? '\r\u001b[K' : ''
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('expected a whole number')
  return Number(text)
}

function kindList(text: string): FaultKind[] {
  return text.split(',').map((word) => {
    const kind = faultKinds.find((known) => known === word.trim())
    if (kind === undefined) throw new InvalidArgumentError(`there is no fault ${word.trim()}`)
    return kind
  })
}
