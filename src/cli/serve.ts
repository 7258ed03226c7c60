import type { Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { createLog } from '../log.ts'
import { serve, type Relay } from '../serve.ts'
import { withConfig, withLogLevel, type ConfigOption } from './options.ts'

interface ServeCommandOptions extends ConfigOption {
  logLevel: string
  watch: boolean
}

export function addServe(program: Command): void {
  withLogLevel(withConfig(program.command('serve')), 'info')
    .description('receive webhooks and deliver them, until SIGTERM or SIGINT; SIGHUP reads the configuration again')
    .option('--no-watch', 'do not read the configuration again when its files change')
    .action(async ({ config, logLevel, watch }: ServeCommandOptions) => {
      const log = createLog({ level: logLevel })
      let relay: Relay | undefined
      // From the beginning: without a listener the signal ends the process.
      process.on('SIGHUP', () => void relay?.reload('SIGHUP'))
      const starting = new AbortController()
      const stopAsked = nextSignal(() => starting.abort())
      relay = await serve({
        load: () => loadConfig({ file: config, env: process.env }),
        watch,
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
