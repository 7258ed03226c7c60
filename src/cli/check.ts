import type { Command } from 'commander'
import { ConfigError, formatIssues } from '../config/issues.ts'
import { loadConfig, type LoadedConfig } from '../config/load.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'

interface CheckOptions extends ConfigOption, JsonOption {
  strict: boolean
}

export function addCheck(program: Command): void {
  withJson(withConfig(program.command('check')))
    .description('say what is wrong with a configuration, and what is probably not meant; 1 when it is not valid')
    .option('--strict', 'take what is probably not meant for a mistake', false)
    .action(({ config: file, json, strict }: CheckOptions) => {
      try {
        const loaded = loadConfig({ file, env: process.env })
        if (strict && loaded.warnings.length > 0) throw new ConfigError(file, loaded.warnings)
        report(loaded, json)
      } catch (error) {
        if (!json || !(error instanceof ConfigError)) throw error
        process.stdout.write(`${JSON.stringify({ valid: false, errors: error.issues, warnings: [] })}\n`)
        process.exitCode = 1
      }
    })
}

function report({ config, file, warnings }: LoadedConfig, json: boolean): void {
  const counts = {
    sources: Object.keys(config.sources).length,
    rules: config.rules.length,
    sinks: Object.keys(config.sinks).length,
  }
  if (json) {
    process.stdout.write(`${JSON.stringify({ valid: true, errors: [], warnings, ...counts })}\n`)
    return
  }
  if (warnings.length > 0) process.stdout.write(`${formatIssues(warnings)}\n`)
  const noun = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`
  process.stdout.write(
    `${file} is valid: ${noun(counts.sources, 'source')}, ${noun(counts.rules, 'rule')}, ${noun(counts.sinks, 'sink')}, ${noun(warnings.length, 'warning')}\n`,
  )
}
