/** Parts of an expression that no event has a say in. */
import type { ASTNode } from '@marcbachmann/cel-js'
import { callOf, childrenOf } from './ast.ts'

const conversions = new Set(['timestamp', 'duration', 'int', 'uint', 'double', 'bool'])

/** Such as `timestamp("2026-01-01T00:00:00Z")`: where one fails, it fails with every event. */
export function literalConversions(node: ASTNode): ASTNode[] {
  const call = callOf(node)
  const [literal, ...more] = call?.args ?? []
  const isOne =
    call !== undefined &&
    call.receiver === undefined &&
    conversions.has(call.name) &&
    literal?.op === 'value' &&
    more.length === 0
  return [...(isOne ? [node] : []), ...childrenOf(node).flatMap(literalConversions)]
}
