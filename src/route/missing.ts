/**
 * Foresees how most conditions end on a thin event: at a field that is missing. The evaluator says so with an error, which
 * takes microseconds where looking takes a twentieth of one. Only what is certain is foreseen: a field that is read before
 * anything else can fail.
 */
import type { ASTNode } from '@marcbachmann/cel-js'
import { isMap } from '../json-map.ts'
import type { RelayEvent } from '../types.ts'
import { childrenOf } from './ast.ts'
import { isEventField } from './fields.ts'

type Foresight = (event: RelayEvent) => boolean

const unforeseen: Foresight = () => false

const comparisons = new Set<string>(['==', '!=', '<', '<=', '>', '>=', 'in'])

/** Whether evaluating this is sure to end in an error of the code `missing`. */
export function missesField(node: ASTNode): Foresight {
  if (node.op === '.') return missesPath(node)
  const [left, right] = childrenOf(node)
  if (left === undefined) return unforeseen
  if (node.op === '!_') return missesField(left)
  if (right === undefined) return unforeseen
  // An error on the left leaves it to the right, and an error there is what is thrown.
  if (node.op === '&&' || node.op === '||') return both(missesField(left), missesField(right))
  // The left is evaluated first, and a literal cannot fail.
  return comparisons.has(node.op) ? missesField(left.op === 'value' ? right : left) : unforeseen
}

function both(left: Foresight, right: Foresight): Foresight {
  return left === unforeseen || right === unforeseen ? unforeseen : (event) => left(event) && right(event)
}

function missesPath(node: ASTNode): Foresight {
  const [field, ...names] = pathOf(node) ?? []
  if (field === undefined || !isEventField(field)) return unforeseen
  return (event) => {
    let value: unknown = event[field]
    for (const name of names) {
      if (!isMap(value) || !Object.hasOwn(value, name)) return true
      value = value[name]
    }
    return false
  }
}

/** The names after `event`, undefined for what is not a chain of them. */
function pathOf(node: ASTNode): string[] | undefined {
  if (node.op === 'id') return node.args === 'event' ? [] : undefined
  if (node.op !== '.') return undefined
  const [inner, name] = node.args
  const path = pathOf(inner)
  return path === undefined ? undefined : [...path, name]
}
