import { InvalidArgumentError, type Command } from 'commander'
import { acceptSettings } from '../accept/commit-statement.ts'
import { loadConfig } from '../config/load.ts'
import { durationMs } from '../config/values.ts'
import { geminiAccess } from '../gemini/access.ts'
import { createGeminiRest } from '../gemini/rest.ts'
import { reconcile, type Reconciled } from '../reconcile/reconcile.ts'
import { doubtsIn, summaryOf } from '../reconcile/summary.ts'
import { chooseSource } from './choose-source.ts'
import { withDatabase } from './database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'
import { formatTable, oneLine } from './table.ts'

type ReconcileCommandOptions = ConfigOption & JsonOption & { since?: number; source?: string; dryRun: boolean }

/** Twice what Gemini retries for. */
const usualSinceMs = 172_800_000

export function addReconcile(program: Command): void {
  withJson(withConfig(program.command('reconcile')))
    .description(
      'ask the Gemini API for batches that ended, and make the events that never came; a running relay delivers them. ' +
        'Interactions cannot be reconciled: the API cannot list them',
    )
    .option(
      '--since <duration>',
      'batches that ended so long ago at most (default: that of gemini.reconcile, else 48h)',
      duration,
    )
    .option('-s, --source <source>', 'whose events are made; needed when the configuration has several sources')
    .option('--dry-run', 'only show what would be made', false)
    .action(async ({ config: file, json, since, source, dryRun }: ReconcileCommandOptions) => {
      const loaded = loadConfig({ file, env: process.env })
      const { config, plan } = loaded
      const rest = createGeminiRest(geminiAccess(config.gemini, process.env))
      const options = {
        rest,
        config,
        plan,
        source: chooseSource(loaded, source ?? config.gemini.reconcile?.source).name,
        sinceMs: since ?? config.gemini.reconcile?.since ?? usualSinceMs,
        dryRun,
        ...(process.stderr.isTTY ? { progress: showProgress } : {}),
      }
      const reconciled = await withDatabase(loaded, (pool) => reconcile({ ...options, pool }), acceptSettings)
      process.stdout.write(json ? `${JSON.stringify(asJson(reconciled, dryRun))}\n` : report(reconciled, dryRun))
    })
}

/** Over the line before, to its end. */
function showProgress(line: string): void {
  process.stderr.write(`\r${line}\u001B[K`)
}

function report(reconciled: Reconciled, dryRun: boolean): string {
  if (process.stderr.isTTY) process.stderr.write('\r\u001B[K')
  const summary = summaryOf(reconciled)
  const rows = reconciled.missing.map(({ name, type, endedAt }) => [type, endedAt.toISOString(), oneLine(name)])
  const shown = dryRun && rows.length > 0 ? `${formatTable(['TYPE', 'ENDED', 'BATCH'], rows)}\n` : ''
  const told = dryRun ? summary.replace('events made', 'events would be made') : summary
  const doubts = doubtsIn(reconciled).map((doubt) => `${oneLine(doubt)}\n`)
  return `${shown}${told}\n${doubts.join('')}interactions are not among them: the API cannot list them\n`
}

function asJson({ since, ended, made, there, missing, unknownStates, unreadable }: Reconciled, dryRun: boolean) {
  const names = missing.map(({ name, type, endedAt }) => ({ batch: name, type, ended_at: endedAt }))
  return {
    since,
    ended,
    made,
    there,
    unknown_states: unknownStates,
    unreadable,
    ...(dryRun ? { dry_run: true, missing: names } : {}),
  }
}

function duration(text: string): number {
  const { data, error } = durationMs.safeParse(text)
  if (error !== undefined) throw new InvalidArgumentError('expected a duration such as 30m, 48h or 7d')
  return data
}
