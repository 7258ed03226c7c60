import type { Command } from 'commander'
import { runDemo } from '../demo/demo.ts'
import { createLog } from '../log.ts'
import { withLogLevel } from './options.ts'
import { nextSignal } from './serve.ts'

export function addDemo(program: Command): void {
  withLogLevel(program.command('demo'), 'error')
    .description('show the whole way on this machine: signed webhooks become Slack messages, Kafka records and table rows')
    .option('--once', 'end after the first round: 0 only if everything arrived', false)
    .action(async ({ once, logLevel }: { once: boolean; logLevel: string }) => {
      const stopping = new AbortController()
      void nextSignal(() => stopping.abort())
      const complete = await runDemo({ once, env: process.env, log: createLog({ level: logLevel }), signal: stopping.signal })
      if (!complete) process.exitCode = 1
    })
}
