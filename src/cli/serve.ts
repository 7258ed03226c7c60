import { closeSync, openSync } from 'node:fs'
import type { Command } from 'commander'
import { loadApart } from '../config/load-apart.ts'
import { loadConfig } from '../config/load.ts'
import { createLog } from '../log.ts'
import { serve } from '../serve.ts'
import { withConfig, withLogLevel, type ConfigOption } from './options.ts'

interface ServeCommandOptions extends ConfigOption {
  logLevel: string
  watch: boolean
}

/** After everything was stopped, in milliseconds. */
const leftOverMs = 1_000

export function addServe(program: Command): void {
  withLogLevel(withConfig(program.command('serve')), 'info')
    .description('receive webhooks and deliver them, until SIGTERM or SIGINT; SIGHUP reads the configuration again')
    .option('--no-watch', 'do not read the configuration again when its files change')
    .action(async ({ config, logLevel, watch }: ServeCommandOptions) => {
      const log = createLog({ level: logLevel })
      const starting = new AbortController()
      const stopAsked = nextSignal(() => starting.abort())
      const hangUps = onHangUp()
      const relay = await serve({
        load: () => loadConfig({ file: config, env: process.env }),
        loadAgain: () => loadApart({ file: config, env: { ...process.env } }),
        watch,
        env: process.env,
        log,
        signal: starting.signal,
      })
      hangUps.mean(() => void relay.reload('SIGHUP'))
      const signal = await stopAsked
      log.info(`${signal}: finishing what is under way; a second signal exits at once`)
      await relay.stop()
      log.info('stopped')
      // Nothing is left that is worth waiting for longer: a configuration that is still being read, say.
      setTimeout(() => process.exit(), leftOverMs).unref()
    })
}

/** SIGHUP asks for something, but where a terminal was closed: that ends the process, as SIGTERM does. */
function onHangUp(): { mean: (act: () => void) => void } {
  let act: (() => void) | undefined
  let missed = false
  // From the beginning: without a listener the signal ends the process at once.
  process.on('SIGHUP', () => {
    if (isTerminalGone()) process.kill(process.pid, 'SIGTERM')
    else if (act === undefined) missed = true
    else act()
  })
  return {
    mean(meant) {
      act = meant
      if (missed) meant()
    },
  }
}

/** Of a process that was started in one. */
function isTerminalGone(): boolean {
  if (!process.stderr.isTTY) return false
  try {
    closeSync(openSync('/dev/tty', 'r'))
    return false
  } catch {
    return true
  }
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
