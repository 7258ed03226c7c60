import type { Command } from 'commander'
import { ConfigError, formatIssues } from '../config/issues.ts'
import { loadConfig, type LoadedConfig } from '../config/load.ts'
import { createLog } from '../log.ts'
import { checkConnections, type Connection } from './connections.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'
import { formatTable, oneLine } from './table.ts'

interface CheckOptions extends ConfigOption, JsonOption {
  strict: boolean
  connect: boolean
}

export function addCheck(program: Command): void {
  withJson(withConfig(program.command('check')))
    .description('say what is wrong with a configuration, and what is probably not meant; 1 when it is not valid')
    .option('--strict', 'take what is probably not meant for a mistake', false)
    .option('--connect', 'also ask the database, the Gemini API and every sink; nothing is delivered or made', false)
    .action(async ({ config: file, json, strict, connect }: CheckOptions) => {
      let loaded: LoadedConfig
      try {
        loaded = loadConfig({ file, env: process.env })
        if (strict && loaded.warnings.length > 0) throw new ConfigError(file, loaded.warnings)
      } catch (error) {
        if (!json || !(error instanceof ConfigError)) throw error
        process.stdout.write(`${JSON.stringify({ valid: false, errors: error.issues, warnings: [] })}\n`)
        process.exitCode = 1
        return
      }
      // What the clients log comes back as a finding.
      const log = createLog({ level: 'silent' })
      const connections = connect ? await checkConnections(loaded, { env: process.env, log }) : undefined
      report(loaded, json, connections)
      if (connections?.some(({ state }) => state === 'problem')) process.exitCode = 1
    })
}

function report({ config, file, hash, warnings }: LoadedConfig, json: boolean, connections?: readonly Connection[]): void {
  const counts = {
    sources: Object.keys(config.sources).length,
    rules: config.rules.length,
    sinks: Object.keys(config.sinks).length,
  }
  if (json) {
    const found = connections === undefined ? {} : { connections }
    process.stdout.write(`${JSON.stringify({ valid: true, hash, errors: [], warnings, ...counts, ...found })}\n`)
    return
  }
  if (warnings.length > 0) process.stdout.write(`${formatIssues(warnings)}\n`)
  const noun = (count: number, one: string) => `${count} ${one}${count === 1 ? '' : 's'}`
  process.stdout.write(
    `${file} is valid: ${noun(counts.sources, 'source')}, ${noun(counts.rules, 'rule')}, ${noun(counts.sinks, 'sink')}, ${noun(warnings.length, 'warning')} (${hash})\n`,
  )
  if (connections !== undefined) process.stdout.write(`${connectionText(connections)}\n`)
}

/** Nothing is cut: what to do about a problem stands at the end. */
function connectionText(connections: readonly Connection[]): string {
  const rows = connections.map(({ to, state, message }) => [state, to, oneLine(message)])
  return formatTable(['state', 'connection', 'found'], rows, Infinity)
}
