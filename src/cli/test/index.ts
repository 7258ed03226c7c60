import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { RelayError, messageOf } from '../../errors.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from '../options.ts'
import { junitOf } from './junit.ts'
import { asJson, hasFailed, resultsOf, type Result } from './results.ts'
import { textOf } from './text.ts'

interface TestOptions extends ConfigOption, JsonOption {
  junit?: string
  strict: boolean
}

export function addTest(program: Command): void {
  withJson(withConfig(program.command('test')))
    .description('run the cases of configurations, those in them and those in *.test.yaml beside them; nothing is sent')
    .argument('[files...]', 'configurations or their test files, instead of --config')
    .option('--junit <file>', 'write the results as JUnit XML too')
    .option('--strict', 'fail where no case touches a rule', false)
    .action((files: readonly string[], options: TestOptions) => {
      const results = resultsOf(files.length === 0 ? [options.config] : files)
      process.stdout.write(options.json ? `${jsonOf(results, options)}\n` : `${results.map(textOf).join('\n')}\n`)
      if (options.junit !== undefined) write(options.junit, junitOf(results))
      if (results.every((result) => 'cases' in result && result.cases.length === 0))
        throw new RelayError('not_found', 'there is no case', {
          hint: 'cases stand under `tests` of a configuration, or in relay.test.yaml beside relay.yaml',
        })
      if (results.some((result) => hasFailed(result, options))) process.exitCode = 1
    })
}

function jsonOf(results: readonly Result[], options: TestOptions): string {
  return JSON.stringify({ passed: !results.some((result) => hasFailed(result, options)), configurations: results.map(asJson) })
}

function write(file: string, text: string): void {
  try {
    writeFileSync(file, text)
  } catch (error) {
    throw new RelayError('usage', `--junit: ${file} cannot be written: ${messageOf(error)}`)
  }
}
