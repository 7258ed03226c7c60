/** argv → command → exit code: 0 ok, 1 a negative answer or a failure, 2 usage. */
import { Command, CommanderError } from 'commander'
import { ConfigError, formatIssues } from '../config/issues.ts'
import { RelayError, messageOf } from '../errors.ts'
import { version } from '../version.ts'
import { addCheck } from './check.ts'
import { addDeliveries } from './deliveries.ts'
import { addDemo } from './demo.ts'
import { addEmulate } from './emulate.ts'
import { addExplain } from './explain.ts'
import { addInit } from './init/index.ts'
import { addReconcile } from './reconcile.ts'
import { addReplay } from './replay.ts'
import { addSend } from './send.ts'
import { addServe } from './serve.ts'
import { addSinks } from './sinks.ts'
import { addTest } from './test/index.ts'
import { addWebhooks } from './webhooks/index.ts'

export async function run(argv: readonly string[]): Promise<number> {
  let isForMachines = false
  const program = new Command('gemini-relay')
    .description(
      'Receives Gemini API webhooks, keeps each exactly once, and delivers them by rules to where people and systems wait.',
    )
    .version(version)
    .exitOverride()
    .showHelpAfterError('(--help shows what there is)')
    .configureHelp({ showGlobalOptions: true })
    .hook('preAction', (_, command) => {
      isForMachines = command.opts()['json'] === true
      if (command.name() !== 'serve') process.stdout.on('error', endOnBrokenOutput)
    })
  for (const add of [
    addInit,
    addServe,
    addDemo,
    addCheck,
    addTest,
    addExplain,
    addSend,
    addEmulate,
    addWebhooks,
    addDeliveries,
    addSinks,
    addReplay,
    addReconcile,
  ])
    add(program)
  try {
    await program.parseAsync(argv)
    return Number(process.exitCode ?? 0)
  } catch (error) {
    if (isForMachines && error instanceof RelayError) process.stdout.write(`${JSON.stringify({ errors: errorsIn(error) })}\n`)
    return report(error)
  }
}

/** `| head` closes the pipe when it has enough: no failure. A full disk is one. `serve` has the log sink look after its output. */
function endOnBrokenOutput(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`gemini-relay: the output cannot be written: ${error.message}\n`)
  process.exit(1)
}

/** Standard output is JSON with `--json`, whatever comes of it. */
function errorsIn(error: RelayError): readonly unknown[] {
  if (error instanceof ConfigError) return error.issues
  const { code, message, hint } = error
  return [{ code, message, ...(hint === undefined ? {} : { hint }) }]
}

function report(error: unknown): number {
  // commander has printed its own message; help and version come here too, as 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (error instanceof ConfigError) {
    process.stderr.write(`${formatIssues(error.issues)}\n`)
    return 1
  }
  if (error instanceof RelayError) {
    process.stderr.write(`gemini-relay: ${error.message}\n${error.hint === undefined ? '' : `  ${error.hint}\n`}`)
    return error.code === 'usage' ? 2 : 1
  }
  process.stderr.write(
    `gemini-relay: unexpected: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`,
  )
  return 1
}
