/** Why an event does not match a pattern: the first thing that is not as it should be. */
import type { Pattern, PatternNode } from '../config/schema.ts'
import type { RelayEvent } from '../types.ts'
import { readPattern, type Fields, type Node } from './pattern-tree.ts'
import { fieldsTest, isObject, missing, nodeTest, nothing, type Json } from './patterns.ts'
import { Steps } from './steps.ts'

/** Whoever asks why waits for the answer. */
const unlimited = new Steps('the pattern', Infinity)

export interface Mismatch {
  /** `data.error.code`; of alternatives that all fail it ends in `$or`. */
  path: string
  /** As the pattern has it. */
  wanted: PatternNode | undefined
  /** What the event holds there; absent where it holds nothing. */
  seen?: unknown
  /** Of `$or`: the mismatch of each alternative. */
  alternatives?: readonly Mismatch[]
}

/** @returns undefined where the event matches */
export function explainPattern(pattern: Pattern): (event: RelayEvent) => Mismatch | undefined {
  const tree = readPattern(pattern)
  return (event) => (isObject(event) ? mismatchOf(tree, event, []) : undefined)
}

function mismatchOf({ fields, either }: Fields, map: Json, path: readonly string[]): Mismatch | undefined {
  for (const { name, node } of fields) {
    const held: unknown = Object.hasOwn(map, name) ? map[name] : missing
    if (!nodeTest(node, unlimited)(held)) return mismatchAt(node, held, [...path, name])
  }
  if (either === undefined || either.some((one) => fieldsTest(one, unlimited)(map))) return undefined
  const alternatives = either.flatMap((one) => mismatchOf(one, map, path) ?? [])
  return { path: [...path, '$or'].join('.'), wanted: undefined, alternatives }
}

function mismatchAt(node: Node, held: unknown, path: readonly string[]): Mismatch | undefined {
  if ('alternatives' in node) return { path: path.join('.'), wanted: node.written, ...(held === missing ? {} : { seen: held }) }
  if (isObject(held) && !Array.isArray(held)) return mismatchOf(node, held, path)
  const maps = Array.isArray(held) ? held.filter((member) => isObject(member) && !Array.isArray(member)) : []
  // Of a list, the first map says as much as any.
  return mismatchOf(node, maps[0] ?? nothing, path)
}
