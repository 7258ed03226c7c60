/** `npm run guards [-- --only TEXT]`: takes each guard away in a copy of the sources, and sees that its tests fail. */
import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { root } from '../setup/root.ts'
import { guards, type Guard } from './guards.ts'

const run = promisify(execFile)

/** A test that waits for an answer in vain takes half a minute. */
const limitMs = 180_000

const program = new Command('guards')
  .description('Takes each guard of docs/hostile-input.md away in a copy of the sources, and sees that its tests fail.')
  .option('--only <text>', 'those whose attack holds this text')
  .option('--from <n>', 'those from this number on, counted from 1', Number, 1)
  .action(check)

await program.parseAsync()

async function check({ only = '', from }: { only?: string; from: number }): Promise<void> {
  const copy = mkdtempSync(join(tmpdir(), 'gemini-relay-guards-'))
  try {
    for (const name of ['src', 'test', 'package.json', 'tsconfig.json', 'vitest.config.ts']) {
      cpSync(join(root, name), join(copy, name), { recursive: true })
    }
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'))
    for (const guard of guards.slice(from - 1).filter(({ attack }) => attack.includes(only))) {
      const failed = await without(copy, guard)
      if (failed.length === 0) process.exitCode = 1
      const seen = failed.length === 0 ? 'NOTHING FAILED' : `${failed.length} failed, such as “${failed[0]}”`
      process.stdout.write(`| ${guard.attack} | ${guard.removal} | ${guard.test}: ${seen} |\n`)
    }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** @returns the names of the tests that failed */
async function without(copy: string, { attack, edits, test, names }: Guard): Promise<string[]> {
  const originals = new Map(edits.map(([file]) => [file, readFileSync(join(root, file), 'utf8')]))
  for (const [file, find, replace] of edits) {
    const text = readFileSync(join(copy, file), 'utf8')
    if (!text.includes(find)) throw new Error(`${attack}: ${file} does not hold ${JSON.stringify(find)} any more`)
    writeFileSync(
      join(copy, file),
      text.replace(find, () => replace),
    )
  }
  try {
    return await failures(copy, `test/integration/hostile-${test}.test.ts`, names)
  } finally {
    for (const [file, text] of originals) writeFileSync(join(copy, file), text)
  }
}

interface Report {
  testResults: { message: string; assertionResults: { status: string; fullName: string }[] }[]
}

async function failures(cwd: string, file: string, names: string): Promise<string[]> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs')
  const args = [vitest, 'run', file, '-t', names, '--reporter=json', '--testTimeout=40000', '--hookTimeout=40000']
  // Failing tests make an exit code; their report is on stdout all the same.
  const { stdout } = await run(process.execPath, args, { cwd, timeout: limitMs, maxBuffer: 64 * 1_048_576 }).catch(
    (error: unknown) => ({
      stdout: typeof error === 'object' && error !== null && 'stdout' in error ? String(error.stdout) : '',
    }),
  )
  const report: Report = JSON.parse(stdout.slice(stdout.indexOf('{"')))
  const results = report.testResults.flatMap(({ assertionResults }) => assertionResults)
  if (!results.some(({ status }) => status === 'passed' || status === 'failed')) {
    throw new Error(`${file} -t ${names}: no test ran: ${report.testResults.map(({ message }) => message).join('; ')}`)
  }
  return results.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
}
