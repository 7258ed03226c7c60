import type { Target } from '../config/targets.ts'

/** What each rule that feeds a sink makes of a delivery. */
export interface ByRule<T> {
  /** Undefined for a rule that does not feed the sink. */
  get(rule: string): T | undefined
}

/**
 * Each is compiled with the first delivery of its rule: all of a thousand at once would hold the thread that answers requests. That it
 * compiles was found out when the configuration was loaded.
 */
export function byRule<T>(targets: readonly Target[], compile: (target: Target) => T): ByRule<T> {
  const uncompiled = new Map(targets.map((target) => [target.rule, target]))
  const compiled = new Map<string, T>()
  return {
    get(rule) {
      const target = uncompiled.get(rule)
      if (target !== undefined) {
        compiled.set(rule, compile(target))
        uncompiled.delete(rule)
      }
      return compiled.get(rule)
    },
  }
}
