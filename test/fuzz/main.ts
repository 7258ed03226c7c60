/** `npm run fuzz [-- --requests N --seed S --json FILE]`: hostile requests at a real relay, and an oracle that knows who signed what. */
import { writeFileSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { machine } from '../bench/bench.ts'
import { rounded } from '../bench/statistics.ts'
import { openConnection, type Connection } from './connection.ts'
import { createFindings, type Findings } from './findings.ts'
import { createGenerator } from './generator.ts'
import { createJudge, type Judge } from './judge.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { allowedGrowth, createMemory, settledRequests, type Memory } from './memory.ts'
import { startRig, type Rig } from './rig.ts'
import type { Volley } from './volley.ts'

interface Options {
  requests: number
  seed: number
  only?: number
  json?: string
}

/** At once; enough that the relay always has something to do. */
const connections = 48

const progressMs = 5_000

/** The relay fetches its keys once a source, and for unknown ones every 30 s at most. */
const jwksFetchSeconds = 30

const say = (line: string): void => void process.stderr.write(`${line}\n`)

const program = new Command('fuzz')
  .description('Sends generated and mutated requests to a relay, and finds what it should not have done with them.')
  .option('--requests <n>', 'how many', integer, 20_000)
  .option('--seed <n>', 'the same requests for the same seed; keys and clock are those of the run', integer, 1)
  .option('--only <volley>', 'one volley, as a finding names it', integer)
  .option('--json <file>', 'write the figures to this file')
  .action(run)

await program.parseAsync()

function integer(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected an integer')
  return Number(text)
}

async function run(options: Options): Promise<void> {
  const findings = createFindings(options.seed, say)
  const ledger = createLedger()
  const judge = createJudge(findings, ledger)
  const memory = createMemory()
  const rig = await startRig(findings)
  try {
    const fuzzed = await fuzz(options, { rig, findings, ledger, judge, memory })
    const report = await reportOf(options, { ...fuzzed, rig, findings, ledger, judge, memory })
    if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`)
    process.stdout.write(`${JSON.stringify({ ...report, kinds: undefined, answers: undefined }, null, 2)}\n`)
  } finally {
    memory.stop()
    await rig.stop()
  }
  if (findings.all().length > 0) process.exitCode = 1
}

interface Parts {
  rig: Rig
  findings: Findings
  ledger: Ledger
  judge: Judge
  memory: Memory
}

interface Fuzzed {
  sent: number
  seconds: number
}

/** Every connection takes the next volley when its last one is answered. */
async function fuzz({ requests, seed, only }: Options, { rig, findings, ledger, judge, memory }: Parts): Promise<Fuzzed> {
  const generate = createGenerator(seed, rig.keys)
  let volleys = only ?? 0
  let sent = 0
  const started = performance.now()
  memory.start(rig.pid, () => sent)
  const progress = setInterval(() => {
    const perSecond = Math.round(sent / ((performance.now() - started) / 1_000))
    say(
      `fuzz: ${sent.toLocaleString('en')} of ${requests.toLocaleString('en')} requests, ${perSecond}/s, ${judge.accepted()} accepted, ${findings.all().length} findings, relay ${Math.round(memory.now())} MB`,
    )
  }, progressMs)

  function next(): Volley | undefined {
    if (rig.hasEnded() || sent >= requests || (only !== undefined && volleys > only)) return undefined
    const volley = generate(volleys++)
    sent += volley.shots.length
    for (const { event } of volley.shots) if (event !== undefined) ledger.sign(event)
    return volley
  }

  async function work(): Promise<void> {
    let connection: Connection | undefined
    for (let volley = next(); volley !== undefined; volley = next()) {
      if (connection?.isOpen() !== true) {
        connection?.destroy()
        connection = await openConnection(rig.port)
      }
      const outcome = await connection.fire(volley)
      judge.judge(volley, outcome)
      if (outcome.ended === 'late' || outcome.garbage !== undefined) connection.destroy()
    }
    connection?.destroy()
  }

  const workers = await Promise.allSettled(Array.from({ length: connections }, work))
  clearInterval(progress)
  memory.stop()
  const failed = workers.find((worker) => worker.status === 'rejected')
  // A relay that is gone is a finding already.
  if (failed !== undefined && !rig.hasEnded()) throw failed.reason
  return { sent, seconds: (performance.now() - started) / 1_000 }
}

async function reportOf({ seed }: Options, { sent, seconds, rig, findings, ledger, judge, memory }: Fuzzed & Parts) {
  const { middle, end } = memory.middleAndEnd(sent)
  if (sent >= settledRequests && end > middle * (1 + allowedGrowth)) {
    findings.report({ kind: 'memory', what: `the relay grew from ${rounded(middle)} to ${rounded(end)} MB` })
  }
  const fetches = rig.keys.jwksRequests()
  if (fetches > 3 * (2 + seconds / jwksFetchSeconds)) {
    findings.report({ kind: 'answer', what: `strangers made the relay fetch its keys ${fetches} times` })
  }
  if (rig.keys.trapRequests() > 0) findings.report({ kind: 'forgery', what: 'the relay fetched keys where a token told it to' })
  await rig.stopRelay()
  const stored = await ledger.compare(rig.databaseUrl, findings)
  return {
    seed,
    requests: sent,
    seconds: rounded(seconds),
    per_second: Math.round(sent / seconds),
    accepted: judge.accepted(),
    stored,
    forgeries: findings.count('forgery'),
    crashes: findings.count('crash'),
    findings: findings.all().map(({ kind, what, volley }) => ({ kind, what, volley })),
    rss_middle_mb: rounded(middle),
    rss_end_mb: rounded(end),
    jwks_requests: fetches,
    machine: machine(),
    kinds: judge.kinds(),
    answers: judge.answers(),
  }
}
