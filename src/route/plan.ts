/** Which deliveries an event owes: (event, rules) → deliveries, before anything is committed. Pure. */
import type { RuleConfig } from '../config/schema.ts'
import { messageOf } from '../errors.ts'
import { createTurns } from '../turns.ts'
import type { RelayEvent } from '../types.ts'
import { compileCondition } from './expression.ts'
import { compilePattern } from './patterns.ts'
import { createRuleIndex } from './rule-index.ts'

export type PlannedDelivery =
  | { readonly rule: string; readonly sink: string }
  /** Born dead: the rule's condition failed on this event, or its pattern took too long, so nobody knows whether it wanted it. */
  | { readonly rule: string; readonly sink: string; readonly dead: { code: 'condition_error'; message: string } }

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

interface CompiledRule {
  /** One for each of its sinks. */
  deliveries: readonly { rule: string; sink: string }[]
  matches: (event: RelayEvent) => boolean
  condition: (event: RelayEvent) => boolean
}

/**
 * Compiles the rules of a configuration.
 *
 * @throws PatternError or ExpressionError when one does not compile; loading a configuration has reported those with positions
 */
export function compileRules({ rules }: { rules: readonly RuleConfig[] }): Plan {
  return planOf(rules, rules.map(createCompiler()))
}

/** As {@link compileRules}, while requests are answered. */
export async function compileRulesInTurns({ rules }: { rules: readonly RuleConfig[] }): Promise<Plan> {
  const turns = createTurns()
  const compile = createCompiler()
  const compiled: CompiledRule[] = []
  for (const rule of rules) {
    await turns.next()
    compiled.push(compile(rule))
  }
  return planOf(rules, compiled)
}

function planOf(configs: readonly RuleConfig[], rules: readonly CompiledRule[]): Plan {
  const candidates = createRuleIndex(configs.map(({ when }) => when))
  return {
    rules: configs.map(({ name, to }) => ({ name, sinks: to.map(({ sink }) => sink) })),
    route(event) {
      const planned: PlannedDelivery[] = []
      for (const position of candidates(event)) {
        const rule = rules[position]
        if (rule !== undefined) planned.push(...deliveriesOf(rule, event))
      }
      return planned
    },
  }
}

/** Rules of many teams ask the same, each of its own events: such a condition is one, and stays near at hand. */
function createCompiler(): (rule: RuleConfig) => CompiledRule {
  const conditions = new Map<string, CompiledRule['condition']>()
  function conditionOf(source: string): CompiledRule['condition'] {
    const known = conditions.get(source)
    if (known !== undefined) return known
    const compiled = compileCondition(source)
    conditions.set(source, compiled)
    return compiled
  }
  return ({ name, when, if: condition, to }) => ({
    deliveries: to.map(({ sink }) => ({ rule: name, sink })),
    matches: when === undefined ? () => true : compilePattern(when),
    condition: condition === undefined ? () => true : conditionOf(condition),
  })
}

function deliveriesOf({ deliveries, matches, condition }: CompiledRule, event: RelayEvent): readonly PlannedDelivery[] {
  try {
    return matches(event) && condition(event) ? deliveries : []
  } catch (error) {
    const dead = { code: 'condition_error', message: messageOf(error) } as const
    return deliveries.map((delivery) => ({ ...delivery, dead }))
  }
}
