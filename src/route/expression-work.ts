/**
 * Foresees what evaluating an expression takes. The evaluator cannot be stopped, so that what would hold the thread is not
 * begun: the sizes of what it looks at are known, and so is how often each part of it runs, because macros are not nested.
 */
import type { ASTNode } from '@marcbachmann/cel-js'
import { callOf, childrenOf, loopOf } from './ast.ts'
import { callWork } from './call-work.ts'
import type { Size, Sizes } from './event-size.ts'

/** What a part takes, and how large its value can be. */
export interface Work {
  steps: number
  size: Size
}

/** Names of items, and how large one is. */
type Items = ReadonlyMap<string, Size>

const one: Size = { members: 1, weight: 3 }
const stepsPerNode = 2

/** Taking the next item. */
const stepsPerItem = 4
/** Making an error, which `all` and `exists` keep until another item decides: 2 µs. */
const stepsPerFault = 160
const keepsFaults = new Set(['all', 'exists'])
const accesses = new Set(['.', '.?', '[]', '[?]'])
/** What cannot fail, whatever the item is. */
const safe = new Set(['==', '!=', 'value', 'id', 'list'])

export function workOf(node: ASTNode, sizes: Sizes, items: Items = new Map()): Work {
  if (node.op === 'value') return { steps: 0, size: { members: 1, weight: typeof node.args === 'string' ? node.args.length : 3 } }
  const path = pathOf(node)
  if (path !== undefined) return { steps: stepsPerNode * (path.length + 1), size: sizes(path) }
  if (node.op === 'id') return { steps: stepsPerNode, size: items.get(node.args) ?? one }
  const loop = loopOf(node)
  if (loop !== undefined) return loopWork(node, loop, sizes, items)
  const parts = childrenOf(node).map((part) => workOf(part, sizes, items))
  const call = callOf(node)
  const { steps, size } = call === undefined ? operatorWork(node.op, parts) : callWork(call, parts)
  return { steps: stepsPerNode + steps + parts.reduce((sum, part) => sum + part.steps, 0), size }
}

function loopWork(node: ASTNode, { over, item, body }: Loop, sizes: Sizes, items: Items): Work {
  const list = workOf(over, sizes, items)
  const { members, weight } = list.size
  // What is done with an item is linear in it, so that the average stands for all of them.
  const average = { members: weight / 3 / Math.max(1, members), weight: weight / Math.max(1, members) }
  const parts = body.map((part) => workOf(part, sizes, new Map([...items, [item, average]])))
  const name = callOf(node)?.name ?? ''
  const faults = keepsFaults.has(name) && !body.every(cannotFail) ? stepsPerFault : 0
  const each = parts.reduce((sum, part) => sum + part.steps, stepsPerItem + faults)
  const made = parts.at(-1)?.size.weight ?? 0
  const sizesMade: Readonly<Record<string, Size>> = { filter: list.size, map: { members, weight: members * (3 + made) } }
  return { steps: stepsPerNode + list.steps + members * each, size: sizesMade[name] ?? one }
}

type Loop = NonNullable<ReturnType<typeof loopOf>>

function cannotFail(node: ASTNode): boolean {
  return pathOf(node) !== undefined || (safe.has(node.op) && childrenOf(node).every(cannotFail))
}

function operatorWork(op: string, parts: readonly Work[]): Work {
  const [left = one, right = one] = parts.map(({ size }) => size)
  const both = { members: left.members + right.members, weight: left.weight + right.weight }
  const shorter = Math.min(left.weight, right.weight)
  // Lists are copied, texts are not yet.
  if (op === '+') return { steps: 2 * both.members + both.weight / 16, size: both }
  if (op === '==' || op === '!=') return { steps: shorter, size: one }
  if (op === 'in') return { steps: right.weight, size: one }
  if (op.startsWith('<') || op.startsWith('>')) return { steps: shorter / 16, size: one }
  if (op === '?:') return { steps: 0, size: largest(parts.slice(1)) }
  if (accesses.has(op)) return { steps: 0, size: { members: left.weight / 3, weight: left.weight } }
  if (op === 'list' || op === 'map') return { steps: parts.length, size: { members: parts.length, weight: total(parts) } }
  return { steps: 0, size: one }
}

function largest(parts: readonly Work[]): Size {
  const members = Math.max(...parts.map(({ size }) => size.members))
  return { members, weight: Math.max(...parts.map(({ size }) => size.weight)) }
}

function total(parts: readonly Work[]): number {
  return parts.reduce((sum, { size }) => sum + 3 + size.weight, 3)
}

/** The names after `event`, for a chain of them; optional ones and `["name"]` too. */
function pathOf(node: ASTNode): string[] | undefined {
  if (node.op === 'id') return node.args === 'event' ? [] : undefined
  if (node.op !== '.' && node.op !== '.?' && node.op !== '[]' && node.op !== '[?]') return undefined
  const [inner, key] = node.args
  const name = typeof key === 'string' ? key : key.op === 'value' ? key.args : undefined
  const path = typeof name === 'string' ? pathOf(inner) : undefined
  return path === undefined ? undefined : [...path, String(name)]
}
