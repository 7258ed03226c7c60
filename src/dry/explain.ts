/** What the rules make of an event, and why: for each rule whether it matched or the first reason why not, and what its deliveries would be. */
import type { Config, RuleConfig } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import { compileCondition } from '../route/expression.ts'
import { explainPattern, type Mismatch } from '../route/mismatch.ts'
import { missing } from '../route/patterns.ts'
import { createPreviews, type Preview, type Previews } from '../sinks/preview.ts'
import type { RelayEvent } from '../types.ts'
import type { DryInput } from './event.ts'

export type Explained =
  | { rule: string; outcome: 'matched'; deliveries: ExplainedDelivery[] }
  | { rule: string; outcome: 'no_match'; mismatch: Mismatch }
  /** The condition was false. `seen`: the fields that it names, as the event has them; `missing`: those that it does not have. */
  | { rule: string; outcome: 'condition_false'; condition: string; seen: Record<string, unknown>; missing: string[] }
  /** The condition failed: the deliveries are born dead. */
  | { rule: string; outcome: 'condition_error'; condition: string; message: string; sinks: string[] }

export type ExplainedDelivery = { sink: string } & Preview

export interface Explainer {
  explain: (input: DryInput) => Explained[]
}

export function createExplainer(config: Config): Explainer {
  const previews = createPreviews(config)
  const rules = config.rules.map((rule) => createRuleExplainer(rule, previews))
  return { explain: (input) => rules.map((explain) => explain(input)) }
}

function createRuleExplainer(rule: RuleConfig, previews: Previews): (input: DryInput) => Explained {
  const { name, when, if: condition, to } = rule
  const mismatchOf = when === undefined ? () => undefined : explainPattern(when)
  const holds = condition === undefined ? () => true : compileCondition(condition)
  return ({ stored, resource }) => {
    const mismatch = mismatchOf(stored.event)
    if (mismatch !== undefined) return { rule: name, outcome: 'no_match', mismatch }
    try {
      if (!holds(stored.event))
        return {
          rule: name,
          outcome: 'condition_false',
          condition: condition ?? '',
          ...fieldsIn(condition ?? '', stored.event),
        }
    } catch (error) {
      const sinks = to.map(({ sink }) => sink)
      return { rule: name, outcome: 'condition_error', condition: condition ?? '', message: messageOf(error), sinks }
    }
    const deliveries = to.map((target): ExplainedDelivery => {
      const enriched = 'enrich' in target && target.enrich !== undefined
      const delivery = { id: '0', rule: name, sink: target.sink, replay: 0, stored, ...(enriched ? { resource } : {}) }
      return { sink: target.sink, ...previews.of(delivery) }
    })
    return { rule: name, outcome: 'matched', deliveries }
  }
}

/** Chains of plain names after `event`. Good enough to see why: nothing is decided by it. */
function fieldsIn(condition: string, event: RelayEvent): { seen: Record<string, unknown>; missing: string[] } {
  const paths = new Set(
    [...condition.matchAll(/\bevent((?:\.\??[A-Za-z_]\w*)+)(?!\w*\()/g)].map(([, path = '']) => path.replaceAll('?', '')),
  )
  const fields = [...paths].map((path) => ({ name: `event${path}`, value: valueAt(event, path.slice(1).split('.')) }))
  return {
    seen: Object.fromEntries(fields.flatMap(({ name, value }) => (value === missing ? [] : [[name, value]]))),
    missing: fields.flatMap(({ name, value }) => (value === missing ? [name] : [])),
  }
}

function valueAt(value: unknown, names: readonly string[]): unknown {
  const [name, ...rest] = names
  if (name === undefined) return value
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return missing
  return valueAt(Reflect.get(value, name), rest)
}
