/** Options that several commands share, stated once. */
import { Option, type Command } from 'commander'
import { defaultConfigFile } from '../config/load.ts'

export interface ConfigOption {
  config: string
}

export interface JsonOption {
  json: boolean
}

export function withConfig(command: Command): Command {
  return command.option('-c, --config <file>', 'configuration', process.env.RELAY_CONFIG || defaultConfigFile)
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON for machines', false)
}

export function withLogLevel(command: Command, fallback: string): Command {
  const level = new Option('--log-level <level>', 'what the relay logs').choices(['debug', 'info', 'warn', 'error'])
  return command.addOption(level.env('LOG_LEVEL').default(fallback))
}
