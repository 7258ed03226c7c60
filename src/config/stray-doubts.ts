/** Operators that stand where a field does: `{ prefix: a }` without a list around it asks for a field named `prefix`. */
import { operators } from '../route/operators.ts'
import type { Fault, Path } from './issues.ts'
import { isMap } from './raw.ts'
import type { Config, Pattern, PatternNode } from './schema.ts'
import { alternativesOf } from './world.ts'

export function strayDoubts({ rules }: Pick<Config, 'rules'>): Fault[] {
  return rules.flatMap(({ when }, index) => (when === undefined ? [] : strayIn(when, ['rules', index, 'when'])))
}

function strayIn(pattern: Pattern, path: Path): Fault[] {
  return Object.entries(pattern).flatMap(([name, node]): Fault[] => {
    const here = [...path, name]
    if (name === '$or') return alternativesOf(node).flatMap((one, n) => strayIn(one, [...here, n]))
    return isPattern(node) ? [...keysIn(node, name, here), ...strayIn(node, here)] : []
  })
}

/** A field may have such a name; then there are maps under it, or nobody minds. */
function keysIn(node: Pattern, name: string, path: Path): Fault[] {
  return Object.keys(node)
    .filter((key) => operators.includes(key) && !isMap(node[key]))
    .map((key) => {
      const message = `\`${key}\` is taken for a field of \`${name}\`: an operator stands in a list, \`${name}: [{ ${key}: … }]\``
      return { path: [...path, key], at: 'key', message }
    })
}

function isPattern(node: PatternNode): node is Pattern {
  return isMap(node)
}
