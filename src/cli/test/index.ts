import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { RelayError, messageOf } from '../../errors.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from '../options.ts'
import { junitOf } from './junit.ts'
import { asJson, hasFailed, resultsOf, type Result } from './results.ts'
import { textOf } from './text.ts'
import { watchFiles } from './watch.ts'

interface TestOptions extends ConfigOption, JsonOption {
  junit?: string
  strict: boolean
  watch: boolean
}

export function addTest(program: Command): void {
  withJson(withConfig(program.command('test')))
    .description('run the cases of configurations, those in them and those in *.test.yaml beside them; nothing is sent')
    .argument('[files...]', 'configurations or their test files, instead of --config')
    .option('--junit <file>', 'write the results as JUnit XML too')
    .option('--strict', 'fail where no case touches a rule', false)
    .option('--watch', 'run again whenever one of the files changes, until it is stopped', false)
    .action((named: readonly string[], options: TestOptions) => {
      const files = named.length === 0 ? [options.config] : named
      // First: what changes while the cases run is run again.
      if (options.watch) watchFiles(files, () => void runOnce(files, options))
      process.exitCode = runOnce(files, options) ? 0 : 1
    })
}

/** @returns whether all is well */
function runOnce(files: readonly string[], options: TestOptions): boolean {
  const results = resultsOf(files)
  const passed = !results.some((result) => hasFailed(result, options))
  if (options.junit !== undefined) write(options.junit, junitOf(results))
  process.stdout.write(options.json ? `${jsonOf(results, passed)}\n` : `${results.map(textOf).join('\n')}\n`)
  if (results.some((result) => 'refused' in result || result.cases.length > 0)) return passed
  process.stderr.write(
    'gemini-relay: there is no case\n  cases stand under `tests` of a configuration, or in relay.test.yaml beside relay.yaml\n',
  )
  return false
}

function jsonOf(results: readonly Result[], passed: boolean): string {
  return JSON.stringify({ passed, configurations: results.map(asJson) })
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (error) {
    throw new RelayError('usage', `--junit: ${file} cannot be written: ${messageOf(error)}`)
  }
}
