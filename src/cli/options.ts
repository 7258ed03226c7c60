/** Options that several commands share, stated once. */
import type { Command } from 'commander'
import { defaultConfigFile } from '../config/load.ts'

export interface ConfigOption {
  config: string
}

export interface JsonOption {
  json: boolean
}

export function withConfig(command: Command): Command {
  return command.option('-c, --config <file>', 'configuration', process.env.RELAY_CONFIG ?? defaultConfigFile)
}

export function withJson(command: Command): Command {
  return command.option('--json', 'print JSON for machines', false)
}
