/** Names that CEL itself gives a meaning: `type(x) == string` is about the type, and `string` alone is nearly always a mistake. */
import type { ASTNode } from '@marcbachmann/cel-js'
import { childrenOf, loopOf } from './ast.ts'

const namespaces: readonly string[] = ['cel', 'google', 'optional']
const types: readonly string[] = ['string', 'bool', 'int', 'uint', 'double', 'map', 'list', 'bytes', 'null_type', 'type']

/** The first such name that stands where a value is wanted. */
export function bareTypeName(node: ASTNode, bound: readonly string[] = []): { name: string; node: ASTNode } | undefined {
  if (node.op === 'id') {
    const { args: name } = node
    return !bound.includes(name) && (types.includes(name) || namespaces.includes(name)) ? { name, node } : undefined
  }
  const loop = loopOf(node)
  if (loop === undefined) return firstOf(valuesUnder(node), bound)
  return firstOf([loop.over], bound) ?? firstOf(loop.body, [...bound, loop.item])
}

function firstOf(nodes: readonly ASTNode[], bound: readonly string[]): { name: string; node: ASTNode } | undefined {
  for (const node of nodes) {
    const found = bareTypeName(node, bound)
    if (found !== undefined) return found
  }
  return undefined
}

/** Children, less the names that are in their place. */
function valuesUnder(node: ASTNode): readonly ASTNode[] {
  const children = childrenOf(node)
  if (node.op === '.' || node.op === 'rcall') return children.filter((child, index) => index > 0 || !isNameOf(child, namespaces))
  if (node.op !== '==' && node.op !== '!=' && node.op !== 'in') return children
  // `type` is what people write for event.type: nothing is compared with the type of types.
  const compared = types.filter((name) => name !== 'type')
  const operands = node.op === 'in' ? children.flatMap((child) => (child.op === 'list' ? child.args : [child])) : children
  return operands.filter((child) => !isNameOf(child, compared))
}

function isNameOf(node: ASTNode, names: readonly string[]): boolean {
  return node.op === 'id' && names.includes(node.args)
}
