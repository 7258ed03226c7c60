import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { createLog } from '../log.ts'
import { serve } from '../serve.ts'
import { withConfig, withLogLevel, type ConfigOption } from './options.ts'

interface ServeCommandOptions extends ConfigOption {
  logLevel: string
}

export function addServe(program: Command): void {
  withLogLevel(withConfig(program.command('serve')), 'info')
    .description('receive webhooks and deliver them, until SIGTERM or SIGINT')
    .action(async ({ config, logLevel }: ServeCommandOptions) => {
      const log = createLog({ level: logLevel })
      const starting = new AbortController()
      const stopAsked = nextSignal(() => starting.abort())
      const relay = await serve({
        loaded: loadConfig({ file: config, env: process.env }),
        env: process.env,
        log,
        signal: starting.signal,
      })
      const signal = await stopAsked
      log.info(`${signal}: finishing what is under way; a second signal exits at once`)
      await relay.stop()
      log.info('stopped')
    })
}

/** The first SIGTERM or SIGINT; a second one ends the process at once. */
export function nextSignal(onFirst: () => void = () => {}): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        if (asked) process.exit(1)
        asked = true
        onFirst()
        resolve(signal)
      })
    }
  })
}
