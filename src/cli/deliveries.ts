import { InvalidArgumentError, Option, type Command } from 'commander'
import { loadConfig } from '../config/load.ts'
import { RelayError } from '../errors.ts'
import { findDelivery, listDeliveries, type AttemptRow, type DeliveryRow } from '../store/look.ts'
import { withDatabase } from './database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'
import { ago, formatTable, oneLine } from './table.ts'

type ListOptions = ConfigOption & JsonOption & { state?: string; sink?: string; rule?: string; limit: number }

export function addDeliveries(program: Command): void {
  const deliveries = program.command('deliveries').description('look at what is owed, delivered and dead')
  withJson(withConfig(deliveries.command('list')))
    .description('list deliveries, newest first')
    .addOption(new Option('--state <state>', 'only those').choices(['pending', 'leased', 'delivered', 'dead']))
    .option('--sink <sink>', 'only to this sink')
    .option('--rule <rule>', 'only of this rule')
    .option('--limit <n>', 'at most so many', positive, 50)
    .action(async ({ config, json, ...filter }: ListOptions) => {
      const loaded = loadConfig({ file: config, env: process.env })
      const rows = await withDatabase(loaded, (pool) => listDeliveries(pool, filter))
      // Not an error: what an earlier configuration left can still be listed.
      if (filter.sink !== undefined && !Object.hasOwn(loaded.config.sinks, filter.sink))
        process.stderr.write(`the configuration has no sink ${filter.sink}\n`)
      process.stdout.write(json ? `${JSON.stringify(rows)}\n` : `${listText(rows, filter.limit)}\n`)
    })
  withJson(withConfig(deliveries.command('show')))
    .description('show one delivery with its failed attempts and its event')
    .argument('<id>', 'the delivery’s id', digits)
    .action(async (id: string, { config, json }: ConfigOption & JsonOption) => {
      const found = await withDatabase(loadConfig({ file: config, env: process.env }), (pool) => findDelivery(pool, id))
      if (found === undefined)
        throw new RelayError('not_found', `there is no delivery ${id}`, { hint: '`gemini-relay deliveries list` shows them' })
      const body = found.body.toString('utf8')
      process.stdout.write(
        json
          ? `${JSON.stringify({ ...found.delivery, failed_attempts: found.attempts, body })}\n`
          : `${showText(found.delivery, found.attempts, body)}\n`,
      )
    })
}

function listText(rows: readonly DeliveryRow[], limit: number): string {
  if (rows.length === 0) return 'no such deliveries'
  const table = formatTable(
    ['ID', 'STATE', 'SINK', 'RULE', 'EVENT', 'TYPE', 'TRIES', 'AGE', 'ERROR'],
    rows.map((row) => [
      row.replay === 0 ? row.id : `${row.id} (replay ${row.replay})`,
      row.state,
      row.sink,
      row.rule,
      row.webhook_id,
      oneLine(row.type),
      String(row.attempts),
      ago(row.created_at),
      row.code === null ? '' : `${row.code}: ${oneLine(row.message)}`,
    ]),
  )
  return rows.length < limit ? table : `${table}\n… the newest ${limit}; --limit shows more`
}

function showText(row: DeliveryRow, attempts: readonly AttemptRow[], body: string): string {
  const facts: [string, string][] = [
    ['delivery', row.replay === 0 ? row.id : `${row.id} (replay ${row.replay})`],
    ['state', row.state],
    ['sink', row.sink],
    ['rule', row.rule],
    ['event', `${row.webhook_id} (number ${row.event_id}, source ${row.source})`],
    ['type', oneLine(row.type)],
    ['subject', oneLine(row.subject)],
    ['created', row.created_at.toISOString()],
    ...(row.due_at === null ? [] : [['due', row.due_at.toISOString()] satisfies [string, string]]),
    ...(row.ended_at === null
      ? [['expires', row.expires_at.toISOString()] satisfies [string, string]]
      : [['ended', row.ended_at.toISOString()] satisfies [string, string]]),
    ['attempts', `${row.attempts}${row.takeovers > 0 ? `, taken over ${row.takeovers} times` : ''}`],
    ...(row.code === null ? [] : [['error', `${row.code}: ${oneLine(row.message)}`] satisfies [string, string]]),
  ]
  const failures = attempts.map(
    ({ number, ended_at, code, message }) => `  ${number}  ${ended_at.toISOString()}  ${code}: ${oneLine(message)}`,
  )
  return [
    ...facts.map(([name, value]) => `${name.padEnd(9)} ${value}`),
    ...(failures.length === 0 ? [] : ['', 'failed attempts', ...failures]),
    '',
    'event as received',
    `  ${oneLine(body)}`,
  ].join('\n')
}

function positive(text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < 1 || value > 10_000) throw new InvalidArgumentError('expected a number from 1 to 10000')
  return value
}

function digits(text: string): string {
  if (!/^\d{1,18}$/.test(text)) throw new InvalidArgumentError('expected a number')
  return text
}
