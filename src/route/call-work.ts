/** What the functions of expressions take, and how large what they give can be: see expression-work.ts. */
import type { Call } from './ast.ts'
import type { Size } from './event-size.ts'
import type { Work } from './expression-work.ts'

const one: Size = { members: 1, weight: 3 }

/** Steps that are the same for every value. */
const fixed: Readonly<Record<string, number>> = { timestamp: 80, int: 20, uint: 20, bool: 5, getDayOfYear: 60, has: 10, type: 5 }

/** Those of a value that is given on. */
const passing = new Set(['orValue', 'or', 'value', 'hasValue', 'optional', 'of', 'none', 'dyn', 'optMap'])

/** `getHours("Europe/Berlin")` formats the date and reads it again: 90 µs. */
const stepsPerZone = 8_000

const searches = new Set(['contains', 'indexOf', 'lastIndexOf', 'split'])

/** How much longer what they make is than what they are given. */
const growth: Readonly<Record<string, number>> = { bytes: 4, hex: 2, base64: 1.4, json: 3, string: 3 }

export function callWork({ name, args }: Call, parts: readonly Work[]): Work {
  const [first = one, second = one] = parts.map(({ size }) => size)
  const weight = parts.reduce((sum, { size }) => sum + size.weight, 0)
  const steps = fixed[name]
  if (steps !== undefined) return { steps, size: one }
  if (name.startsWith('get')) return { steps: args.length > 0 ? stepsPerZone : 10, size: one }
  if (passing.has(name)) return { steps: 4, size: larger(first, second) }
  if (searches.has(name)) {
    const made = name === 'split' ? { members: first.weight + 1, weight: 4 * first.weight + 3 } : one
    return { steps: first.weight * (0.5 + second.weight / 64) + made.members, size: made }
  }
  if (name === 'join') {
    const length = first.weight + first.members * second.weight
    return { steps: length + first.members * 4, size: { members: 1, weight: length } }
  }
  if (name === 'size') return { steps: weight / 2, size: one }
  return { steps: 2 * weight, size: { members: Math.max(first.members, second.members), weight: weight * (growth[name] ?? 1) } }
}

function larger(a: Size, b: Size): Size {
  return { members: Math.max(a.members, b.members), weight: Math.max(a.weight, b.weight) }
}
