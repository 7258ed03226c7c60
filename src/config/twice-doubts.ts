/** Rules that say what an earlier one says: whatever matches goes out twice. */
import type { Fault } from './issues.ts'
import type { Config, Pattern, PatternNode } from './schema.ts'

export function twiceDoubts({ rules }: Pick<Config, 'rules'>): Fault[] {
  const earlier = new Map<string, string>()
  return rules.flatMap(({ name, when = {}, if: condition, to }, index) => {
    const wanted = `${ofPattern(when)} ${ofValue(condition)}`
    const keys = to.map((target) => `${wanted} ${ofValue(target)}`)
    const repeated = keys.map((key) => earlier.get(key))
    keys.forEach((key) => earlier.has(key) || earlier.set(key, name))
    const [first] = repeated
    if (first !== undefined && repeated.every((other) => other === first)) {
      const message = `this rule does what \`${first}\` does: each delivery is made twice`
      return [{ path: ['rules', index, 'name'], message, quotes: true } satisfies Fault]
    }
    return repeated.flatMap((other, n): Fault[] => {
      const message = `\`${other}\` feeds \`${to[n]?.sink}\` the same with the same events: each comes twice`
      return other === undefined ? [] : [{ path: ['rules', index, 'to', n], message, quotes: true }]
    })
  })
}

/** The same text for what means the same: fields in whatever order, values too, and a value or a list of it. */
function ofPattern(pattern: PatternNode | Pattern): string {
  if (Array.isArray(pattern)) {
    const items = [...new Set(pattern.map(ofValue))].toSorted()
    return items.length === 1 ? `${items[0]}` : `[${items.join(',')}]`
  }
  if (typeof pattern !== 'object' || pattern === null) return ofValue(pattern)
  const entries = Object.entries(pattern).map(([key, child]) => `${JSON.stringify(key)}:${ofPattern(child)}`)
  return `{${entries.toSorted().join(',')}}`
}

/** Of other values the order of lists counts. */
function ofValue(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(ofValue).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'none'
  const entries = Object.entries(value).map(([key, child]) => `${JSON.stringify(key)}:${ofValue(child)}`)
  return `{${entries.toSorted().join(',')}}`
}
