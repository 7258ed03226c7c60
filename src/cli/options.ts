/** Options that several commands share, stated once. */
import { InvalidArgumentError, Option, type Command } from 'commander'
import { defaultConfigFile } from '../config/include.ts'
import { isLoopback } from '../loopback.ts'

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

export function portNumber(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('expected a port from 0 to 65535')
  return Number(text)
}

/** As Gemini takes one; plain http leads to this machine, where the emulator is. */
export function publicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && isLoopback(url.hostname))) return text
  throw new InvalidArgumentError('expected an address such as https://relay.example.com/webhooks/gemini')
}
