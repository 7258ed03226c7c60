/** Which deliveries an event owes: (event, rules) → deliveries, before anything is committed. Pure. */
import type { RuleConfig } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import type { RelayEvent } from '../types.ts'
import { compileCondition } from './expression.ts'
import { compilePattern } from './patterns.ts'

export type PlannedDelivery =
  | { rule: string; sink: string }
  /** Born dead: the rule's condition failed on this event, so nobody knows whether it wanted it. */
  | { rule: string; sink: string; dead: { code: 'condition_error'; message: string } }

export interface PlannedRule {
  name: string
  /** Names, in the order of the rule. */
  sinks: readonly string[]
}

export interface Plan {
  rules: readonly PlannedRule[]
  /** Never throws: one rule's failure is that rule's. */
  route(event: RelayEvent): PlannedDelivery[]
}

interface CompiledRule extends PlannedRule {
  matches: (event: RelayEvent) => boolean
  condition: (event: RelayEvent) => boolean
}

/**
 * Compiles the rules of a configuration.
 *
 * @throws PatternError or ExpressionError when one does not compile; loading a configuration has reported those with positions
 */
export function compileRules(config: { rules: readonly RuleConfig[] }): Plan {
  const rules = config.rules.map(compileRule)
  return {
    rules: rules.map(({ name, sinks }) => ({ name, sinks })),
    route: (event) => rules.flatMap((rule) => deliveriesOf(rule, event)),
  }
}

function compileRule(rule: RuleConfig): CompiledRule {
  return {
    name: rule.name,
    sinks: rule.to.map(({ sink }) => sink),
    matches: rule.when === undefined ? () => true : compilePattern(rule.when),
    condition: rule.if === undefined ? () => true : compileCondition(rule.if),
  }
}

function deliveriesOf({ name, sinks, matches, condition }: CompiledRule, event: RelayEvent): PlannedDelivery[] {
  if (!matches(event)) return []
  try {
    return condition(event) ? sinks.map((sink) => ({ rule: name, sink })) : []
  } catch (error) {
    const dead = { code: 'condition_error', message: messageOf(error) } as const
    return sinks.map((sink) => ({ rule: name, sink, dead }))
  }
}
