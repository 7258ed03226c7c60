/** How a plan is shown: a line an action, and what they come to. */
import type { Action, DeclaredPlan, Undeclared, WebhooksPlan } from '../../gemini/declared.ts'
import { oneLine } from '../table.ts'

export type Prune = 'kept' | 'deleted'

export function planText(plan: WebhooksPlan, prune: Prune): string {
  const lines = plan.webhooks.flatMap((one) => [
    ...(one.actions.length === 0
      ? [`= unchanged ${one.declaration.name}`]
      : one.actions.map((action) => actionText(one, action))),
    ...othersText(one),
  ])
  return [...lines, ...plan.undeclared.map((one) => undeclaredText(one, prune)), summaryText(countsOf(plan, prune))].join('\n')
}

export function actionText({ declaration: { name, source, uri, events } }: DeclaredPlan, action: Action): string {
  const { kind } = action
  if (kind === 'forget') return `- forget ${name}: webhook ${action.id} is gone at Gemini`
  if (kind === 'create') return `+ create ${name}: ${uri}, events: ${events.join(', ')}`
  if (kind === 'adopt') return `+ adopt ${name}: webhook ${action.id} calls ${uri} already`
  if (kind === 'move') return `~ move ${name}: source: ${action.from} → ${source}`
  if (kind === 'update') return `~ update ${name}: ${changesIn(action).join(', ')}`
  if (kind === 'rotate') return `~ rotate ${name} (its secret is not known here)`
  return `! enable ${name} (${whyDisabled(action.state)})`
}

export function whyDisabled(state: string): string {
  if (state === 'disabled_due_to_failed_deliveries') return 'Gemini disabled it: its deliveries failed'
  return state === 'disabled' ? 'it was disabled by hand' : `it is ${oneLine(state)}`
}

function changesIn({ was, change: { uri, subscribed_events: events, name } }: Extract<Action, { kind: 'update' }>): string[] {
  return [
    ...(uri === undefined ? [] : [`uri: ${oneLine(was.uri)} → ${uri}`]),
    ...(events === undefined ? [] : [`events: ${differenceText(was.subscribed_events, events)}`]),
    ...(name === undefined ? [] : [`name: ${oneLine(was.name ?? '(none)')} → ${name}`]),
  ]
}

function differenceText(before: readonly string[], after: readonly string[]): string {
  const more = after.filter((type) => !before.includes(type)).map((type) => `+${type}`)
  const less = before.filter((type) => !after.includes(type)).map((type) => `-${type}`)
  return [...more, ...less].map(oneLine).join(' ')
}

function othersText({ others }: DeclaredPlan): string[] {
  return others.map(({ id, name = '' }) => `  webhook ${id} ${oneLine(name)} calls the same address, and is left alone`)
}

export function undeclaredText({ endpoint: { id, name }, webhook }: Undeclared, prune: Prune): string {
  if (webhook === undefined) return `- forget ${name}: webhook ${id} is gone at Gemini, and no longer declared`
  return prune === 'deleted'
    ? `- delete ${name}: webhook ${id} is no longer declared`
    : `- no longer declared: ${name}, webhook ${id} (kept; --prune deletes it)`
}

const kinds = ['create', 'adopt', 'move', 'update', 'rotate', 'enable', 'forget', 'delete'] as const
export type Counts = Record<(typeof kinds)[number], number>

export function countsOf({ webhooks, undeclared }: WebhooksPlan, prune: Prune): Counts {
  const counts = { create: 0, adopt: 0, move: 0, update: 0, rotate: 0, enable: 0, forget: 0, delete: 0 }
  for (const { kind } of webhooks.flatMap(({ actions }) => actions)) counts[kind] += 1
  for (const { webhook } of undeclared) {
    if (webhook === undefined) counts.forget += 1
    else if (prune === 'deleted') counts.delete += 1
  }
  return counts
}

export function isNothing(counts: Counts): boolean {
  return kinds.every((kind) => counts[kind] === 0)
}

/** The usual ones also where there are none; the others where there are. */
function summaryText(counts: Counts): string {
  if (isNothing(counts)) return 'nothing to do: all webhooks are as declared'
  const shown = kinds.filter((kind) => counts[kind] > 0 || ['create', 'update', 'delete'].includes(kind))
  return shown.map((kind) => `${counts[kind]} to ${kind}`).join(', ')
}
