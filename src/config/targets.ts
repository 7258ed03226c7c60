import type { Config, RuleConfig, TargetConfig } from './schema.ts'

/** A rule that feeds a sink, with what it says about it. */
export interface Target {
  rule: string
  target: TargetConfig
}

/** The rules that feed a sink, in their order. */
export function targetsOf(rules: readonly RuleConfig[], sink: string): Target[] {
  return rules.flatMap((rule) => rule.to.filter((target) => target.sink === sink).map((target) => ({ rule: rule.name, target })))
}

/** Whether the Gemini API is asked for jobs. */
export function anyEnriches({ sinks, rules }: Pick<Config, 'sinks' | 'rules'>): boolean {
  return Object.keys(sinks).some((sink) => targetsOf(rules, sink).some(({ target }) => target.enrich !== undefined))
}
