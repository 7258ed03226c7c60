/** What an expression asks of an event by name: fields of `data`, and texts that it compares `type`, `source` and `scheme` with. */
import type { ASTNode } from '@marcbachmann/cel-js'
import { childrenOf } from './ast.ts'
import { parseExpression } from './expression.ts'
import { resourceField } from './fields.ts'

export interface Mention {
  name: string
  /** Where in the source, in UTF-16 units. */
  offset: number
}

export interface Mentions {
  /** `event.data.x`, however it is spelled. */
  data: readonly Mention[]
  /** `event.type == "x"`, or `in` a list that holds it: the name is `x`. */
  compared: (field: string) => readonly Mention[]
  /** `event.resource.x` and `event.resource.x.y`: the names after `resource`, and where the last one is. */
  resource: readonly { names: readonly string[]; offset: number }[]
  /** All fields of `event`. */
  fields: readonly string[]
}

/** @param source an expression that compiles */
export function mentionsIn(source: string): Mentions {
  const nodes = nodesUnder(parseExpression(source))
  return {
    data: nodes.flatMap((node) => memberOf(node, isData) ?? []),
    compared: (field) => nodes.flatMap((node) => comparedIn(node, field)),
    resource: nodes.flatMap((node) => namesAfterResource(node) ?? []),
    fields: nodes.flatMap((node) => memberOf(node, isEvent)?.name ?? []),
  }
}

function nodesUnder(node: ASTNode): ASTNode[] {
  return [node, ...childrenOf(node).flatMap(nodesUnder)]
}

/** The name that is read of such a node, in any of the four spellings: `.x`, `.?x`, `["x"]`, `[?"x"]`. */
function memberOf(node: ASTNode, isOwner: (node: ASTNode) => boolean): Mention | undefined {
  if (node.op === '.' || node.op === '.?') {
    const [owner, name] = node.args
    if (typeof name !== 'string' || !isOwner(owner)) return undefined
    return { name, offset: node.end - name.length }
  }
  if (node.op !== '[]' && node.op !== '[?]') return undefined
  const [owner, key] = node.args
  return isOwner(owner) ? textIn(key) : undefined
}

function isEvent(node: ASTNode): boolean {
  return node.op === 'id' && node.args === 'event'
}

function isData(node: ASTNode): boolean {
  return memberOf(node, isEvent)?.name === 'data'
}

function isResource(node: ASTNode): boolean {
  return memberOf(node, isEvent)?.name === resourceField
}

function namesAfterResource(node: ASTNode): { names: string[]; offset: number } | undefined {
  const outer: string[] = []
  const owner = (inner: ASTNode): boolean => {
    const member = memberOf(inner, isResource)
    if (member !== undefined) outer.push(member.name)
    return member !== undefined
  }
  const member = memberOf(node, isResource) ?? memberOf(node, owner)
  return member === undefined ? undefined : { names: [...outer, member.name], offset: member.offset }
}

function comparedIn(node: ASTNode, field: string): Mention[] {
  if (node.op !== '==' && node.op !== 'in') return []
  const [left, right] = node.args
  const isField = (side: ASTNode) => memberOf(side, isEvent)?.name === field
  const other = isField(left) ? right : node.op === '==' && isField(right) ? left : undefined
  if (other === undefined) return []
  return (node.op === 'in' && other.op === 'list' ? other.args : [other]).flatMap((item) => textIn(item) ?? [])
}

/** Of a literal. */
function textIn(node: ASTNode): Mention | undefined {
  return node.op === 'value' && typeof node.args === 'string' ? { name: node.args, offset: node.start } : undefined
}
