/** What patterns demand of an event, for the index of rules. */
import type { Pattern } from '../config/schema.ts'
import type { RelayEvent } from '../types.ts'
import { isEventField } from './fields.ts'
import type { Scalar } from './operators.ts'
import { readPattern, type Node } from './pattern-tree.ts'
import { isObject } from './patterns.ts'

/** Where an event holds something: a field, and in one that holds JSON the names that lead on. */
export interface Place {
  field: keyof RelayEvent
  names: readonly string[]
}

/** A place where every event that matches holds one of these values. */
export interface Demand extends Place {
  values: readonly Scalar[]
}

/** What a pattern demands: nothing where an operator is among the alternatives. */
export function demandsOf(pattern: Pattern): Demand[] {
  return readPattern(pattern).fields.flatMap(({ name, node }) => (isEventField(name) ? demandsUnder(node, name, []) : []))
}

function demandsUnder(node: Node, field: keyof RelayEvent, names: readonly string[]): Demand[] {
  if (!('alternatives' in node))
    return node.fields.flatMap(({ name, node: child }) => demandsUnder(child, field, [...names, name]))
  const values = node.alternatives.flatMap((one) => (one.kind === 'exact' ? [one.value] : []))
  return values.length < node.alternatives.length ? [] : [{ field, names, values }]
}

/** The values that a test of this place looks at: one, or as many as there are in lists on the way. */
export function valuesAt(event: RelayEvent, { field, names }: Place): readonly unknown[] {
  return valuesUnder(event[field], names, 0)
}

function valuesUnder(value: unknown, names: readonly string[], depth: number): readonly unknown[] {
  if (Array.isArray(value)) {
    return value.flatMap((member: unknown) => (Array.isArray(member) ? [] : valuesUnder(member, names, depth)))
  }
  const name = names[depth]
  if (name === undefined) return [value]
  return isObject(value) && Object.hasOwn(value, name) ? valuesUnder(value[name], names, depth + 1) : []
}
