import { readFileSync } from 'node:fs'
import type { Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../config/load.ts'
import { dryEvent } from '../dry/event.ts'
import { createExplainer, type Explained, type ExplainedDelivery } from '../dry/explain.ts'
import { RelayError, messageOf } from '../errors.ts'
import type { Mismatch } from '../route/mismatch.ts'
import { stringifyJson } from '../sinks/deep-json.ts'
import { findEvents } from '../store/replay.ts'
import type { StoredEvent } from '../types.ts'
import { chooseSource } from './choose-source.ts'
import { withDatabase } from './database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'
import { oneLine } from './table.ts'

interface ExplainOptions extends ConfigOption, JsonOption {
  source?: string
}

export function addExplain(program: Command): void {
  withJson(withConfig(program.command('explain')))
    .description(
      'say of each rule whether it wants an event, or the first reason why not, and what it would send; nothing is sent',
    )
    .argument('<event>', 'a file with an envelope as JSON, or the number or webhook-id of a stored event')
    .option('-s, --source <source>', 'source of an event from a file; needed when there are several')
    .action(async (wanted: string, { config: file, json, source }: ExplainOptions) => {
      const loaded = loadConfig({ file, env: process.env })
      const stored = isFile(wanted) ? fromFile(wanted, chooseSource(loaded, source).name) : await fromStore(loaded, wanted)
      const rules = createExplainer(loaded.config).explain({ stored, resource: null })
      process.stdout.write(json ? `${stringifyJson({ event: stored.event, rules })}\n` : `${textOf(stored, rules)}\n`)
    })
}

function isFile(wanted: string): boolean {
  return /[./\\]/.test(wanted)
}

function fromFile(file: string, source: string): StoredEvent {
  try {
    return dryEvent({ body: JSON.parse(readFileSync(file, 'utf8')), source, receivedAt: new Date() })
  } catch (error) {
    throw new RelayError('usage', `${file} holds no event: ${messageOf(error)}`, {
      hint: 'expected an envelope as Gemini sends it: {"type": "batch.succeeded", "data": {"id": "…"}}',
    })
  }
}

async function fromStore(loaded: LoadedConfig, id: string): Promise<StoredEvent> {
  const [stored] = await withDatabase(loaded, (pool) => findEvents(pool, [id]))
  if (stored === undefined)
    throw new RelayError('not_found', `no stored event ${id}`, { hint: 'a file is named with its path: ./event.json' })
  return stored
}

function textOf({ event }: StoredEvent, rules: readonly Explained[]): string {
  const head = `${oneLine(event.type)} ${oneLine(event.subject)} (source ${event.source})`
  const none = rules.some(({ outcome }) => outcome === 'matched') ? [] : ['no rule wants it: it is kept, and goes nowhere']
  return [head, ...rules.flatMap(linesOf), ...none].join('\n')
}

function linesOf(explained: Explained): string[] {
  const { rule } = explained
  if (explained.outcome === 'matched') return [`✓ ${rule}`, ...explained.deliveries.flatMap(deliveryLines)]
  if (explained.outcome === 'no_match') return [`✗ ${rule}: ${mismatchText(explained.mismatch)}`]
  if (explained.outcome === 'condition_error')
    return [`! ${rule}: its condition fails, so what it feeds is dead: ${oneLine(explained.message)}`]
  const why = fieldTexts(explained)
  return [`✗ ${rule}: the condition is false: ${oneLine(explained.condition)}`, ...why.map((line) => `    ${line}`)]
}

export function fieldTexts({ seen, missing }: Extract<Explained, { outcome: 'condition_false' }>): string[] {
  const there = Object.entries(seen).map(([field, value]) => `${field} is ${shown(value)}`)
  return [...there, ...missing.map((field) => `${field} is missing`)]
}

export function mismatchText({ path, wanted, alternatives, ...found }: Mismatch): string {
  if (alternatives !== undefined) return `none of ${path}: ${alternatives.map(mismatchText).join('; ')}`
  const seen = 'seen' in found ? `is ${shown(found.seen)}` : 'is missing'
  return `${path} ${seen}, wanted ${shown(wanted)}`
}

function deliveryLines(delivery: ExplainedDelivery): string[] {
  if ('fails' in delivery)
    return [`    ${delivery.sink}: cannot be rendered: ${delivery.fails.code}: ${oneLine(delivery.fails.message)}`]
  return [`    ${delivery.sink}`, ...Object.entries(delivery.sends).map(([name, value]) => `      ${name}: ${shown(value)}`)]
}

export function shown(value: unknown): string {
  return value === undefined ? 'nothing' : oneLine(stringifyJson(value))
}
