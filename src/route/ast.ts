/** The tree of a CEL expression, as the parser gives it: macros are still the calls that were written. */
import type { ASTNode } from '@marcbachmann/cel-js'

/** A call, in either spelling: `f(a)` or `receiver.f(a)`. */
export interface Call {
  name: string
  receiver: ASTNode | undefined
  args: readonly ASTNode[]
}

/** Macros that evaluate a part of their source once for every item of a list: `list.map(item, …)`. */
const loops = new Set(['all', 'exists', 'exists_one', 'filter', 'map'])

export function callOf(node: ASTNode): Call | undefined {
  if (node.op === 'call') return { name: node.args[0], receiver: undefined, args: node.args[1] }
  if (node.op === 'rcall') return { name: node.args[0], receiver: node.args[1], args: node.args[2] }
  return undefined
}

/** The name that stands for the item, and what is evaluated for each; undefined for any other node. */
export function loopOf(node: ASTNode): { over: ASTNode; item: string; body: readonly ASTNode[] } | undefined {
  const call = callOf(node)
  const [item, ...body] = call?.args ?? []
  if (call?.receiver === undefined || item?.op !== 'id' || body.length === 0 || !loops.has(call.name)) return undefined
  return { over: call.receiver, item: item.args, body }
}

export function childrenOf(node: ASTNode): readonly ASTNode[] {
  const call = callOf(node)
  if (call !== undefined) return call.receiver === undefined ? call.args : [call.receiver, ...call.args]
  const parts: unknown = node.args
  return (Array.isArray(parts) ? parts.flat() : [parts]).filter(isNode)
}

/** Next to nodes there are names and literals. */
function isNode(part: unknown): part is ASTNode {
  return typeof part === 'object' && part !== null && 'op' in part && 'args' in part
}
