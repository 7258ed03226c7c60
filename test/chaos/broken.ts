/**
 * `npm run chaos:broken [-- NAME…]`: builds with one promise broken each, and the chaos run that has to notice. A build that
 * passes shows a hole in the oracle.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Command } from 'commander'
import { root } from '../setup/root.ts'

/** What shows the bug, so that no time goes into faults that do not. Seeds were chosen for drawing the fault early. */
interface Plan {
  seconds: number
  seed: number
  only: string
  /** Beyond a lease, which is what an honest build may need. */
  settle: number
  /** New messages a second, where it takes many of them. */
  rate?: number
}

const plans: Readonly<Record<string, Plan>> = {
  'ack-before-commit': { seconds: 20, seed: 1, only: 'kill postgres,stop postgres,kill backend', settle: 45 },
  'dedupe-in-memory': { seconds: 10, seed: 1, only: 'sink', settle: 45 },
  'delivered-before-sent': { seconds: 20, seed: 1, only: 'kill relay,sink', settle: 45 },
  'lease-never-expires': { seconds: 15, seed: 1, only: 'kill relay', settle: 45 },
  'order-ignored': { seconds: 15, seed: 1, only: 'kill relay,sink', settle: 45 },
  'lease-without-fencing': { seconds: 45, seed: 3, only: 'connection,sink', settle: 60 },
  'reload-before-check': { seconds: 20, seed: 1, only: 'reload', settle: 45 },
  'reload-forgets-queue': { seconds: 20, seed: 1, only: 'reload,sink', settle: 45 },
  'reload-keeps-texts': { seconds: 30, seed: 19, only: 'reload', settle: 45 },
  'reload-without-barrier': { seconds: 40, seed: 50, only: 'reload', settle: 45, rate: 400 },
  'retry-in-memory': { seconds: 20, seed: 47, only: 'kill relay,stop relay,upgrade relay,sink', settle: 45 },
}

const patches = join(root, 'test/chaos/broken')
const copied = ['src', 'scripts', 'package.json', 'tsconfig.json', 'tsconfig.build.json']

const names = readdirSync(patches)
  .filter((file) => file.endsWith('.patch'))
  .map((file) => basename(file, '.patch'))
  .toSorted()

const program = new Command('chaos:broken')
  .description(
    'Applies each patch of test/chaos/broken to a copy, and runs the chaos run on it until the oracle fails. Exit code 1: one passed.',
  )
  .argument('[names...]', `builds: ${names.join(', ')}; all when none is named`)
  .option('--control', 'run each plan on the build as it is, too: there the oracle has to be silent', false)
  .action(run)

await program.parseAsync()

function run(chosen: string[], { control }: { control: boolean }): void {
  const unknown = chosen.filter((name) => !names.includes(name))
  if (unknown.length > 0) program.error(`no build ${unknown.join(', ')}; there are ${names.join(', ')}`)
  const lines: string[] = []
  for (const name of chosen.length > 0 ? chosen : names) {
    const plan = plans[name]
    if (plan === undefined) throw new Error(`broken.ts has no plan for ${name}.patch`)
    if (control) {
      const found = violationsOf(join(root, 'dist/main.js'), plan)
      if (found.size > 0) process.exitCode = 1
      lines.push(
        `${name}: ${found.size === 0 ? 'without the patch nothing is found' : `FALSE ALARM without the patch: ${told(found)}`}`,
      )
    }
    const found = violationsOf(build(name), plan)
    if (found.size === 0) process.exitCode = 1
    lines.push(`${name}: ${found.size === 0 ? 'NOT FOUND' : `found: ${told(found)}`}`)
    rmSync(homeOf(name), { recursive: true, force: true })
  }
  process.stdout.write(`\n${lines.join('\n')}\n`)
}

/** Inside the checkout, where its modules are found. */
function homeOf(name: string): string {
  return join(root, '.cache/chaos/broken', `${name}-${process.pid}`)
}

/** @returns its `main.js` */
function build(name: string): string {
  const home = homeOf(name)
  rmSync(home, { recursive: true, force: true })
  mkdirSync(home, { recursive: true })
  for (const part of copied) cpSync(join(root, part), join(home, part), { recursive: true })
  const patch = join(patches, `${name}.patch`)
  const applied = spawnSync('patch', ['--strip=1', '--fuzz=0', '--batch', `--input=${patch}`], { cwd: home, encoding: 'utf8' })
  if (applied.status !== 0) {
    throw new Error(`${patch} does not apply any more: make it anew.\n${applied.stdout}${applied.stderr}`)
  }
  execFileSync(process.execPath, [join(home, 'scripts/build.js')], { cwd: home, stdio: 'inherit' })
  return join(home, 'dist/main.js')
}

/** By check, how many violations there are. */
function violationsOf(binary: string, { seconds, seed, only, settle, rate }: Plan): Map<string, number> {
  const dir = mkdtempSync(join(tmpdir(), 'gemini-relay-broken-'))
  const json = join(dir, 'report.json')
  const main = new URL('./main.js', import.meta.url).pathname
  const args = ['--seconds', String(seconds), '--seed', String(seed), '--only', only, '--settle', String(settle)]
  if (rate !== undefined) args.push('--rate', String(rate))
  const { status } = spawnSync(process.execPath, [main, ...args, '--no-kafka', '--relay', binary, '--json', json], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  // 1 is also how a run ends that could not be made: then there is no report.
  const { violations, logs } = readReport(json, status)
  if (logs !== null) rmSync(join(logs, '..'), { recursive: true, force: true })
  rmSync(dir, { recursive: true, force: true })
  const counts = new Map<string, number>()
  for (const { check } of violations) counts.set(check, (counts.get(check) ?? 0) + 1)
  return counts
}

function readReport(file: string, status: number | null): { violations: { check: string }[]; logs: string | null } {
  try {
    return JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw new Error(`the chaos run ended with ${status} and left no report`, { cause })
  }
}

function told(found: ReadonlyMap<string, number>): string {
  return [...found].map(([check, count]) => `${check} (${count})`).join('; ')
}
