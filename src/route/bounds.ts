/**
 * Refuses expressions whose cost could be out of proportion to the event. Conditions run before an event is accepted, in
 * the one thread that everything shares, and the evaluator has no bound of its own: what is left is linear in the data
 * (whose size the body limit bounds) for any one expression.
 */
import type { ASTNode } from '@marcbachmann/cel-js'
import { callOf, childrenOf, loopOf } from './ast.ts'

export interface Unbounded {
  message: string
  node: ASTNode
}

/** Fields of `event` that are at most 512 bytes, see event.ts. */
const shortFields: readonly string[] = ['type', 'subject', 'source', 'webhook_id', 'scheme', 'received_at']
const shownFields = shortFields.map((field) => `\`event.${field}\``).join(', ')

/** Looking for a long text in a long text takes time in proportion to their product: 0.5 s for 50 KB in 100 KB. */
const searches = new Set(['contains', 'indexOf', 'lastIndexOf', 'split'])

/** What makes its input several times longer: applied to its own result again and again, it grows without bound. */
const growing = new Set(['map', 'join', 'hex', 'base64'])

/** `getHours("Europe/Berlin")`, of timestamps. */
const zoned = /^get[A-Z]/

interface Scope {
  inLoop: boolean
  /** The loop is over the event's data, so that the sender decides how often its body runs. */
  perItem: boolean
  /** Names of items that are literals. */
  shortItems: ReadonlySet<string>
}

/** The first part of an expression that is refused, if there is one. */
export function unboundedPart(ast: ASTNode): Unbounded | undefined {
  return partsOf(ast, { inLoop: false, perItem: false, shortItems: new Set() })[0]
}

function partsOf(node: ASTNode, scope: Scope): Unbounded[] {
  const message = callFault(node, scope)
  if (message !== undefined) return [{ message, node }]
  if (scope.perItem && node.op === '.' && isEvent(node.args[0]) && shortFields.includes(node.args[1])) return []
  if (scope.perItem && isEvent(node)) {
    return [{ node, message: `inside a macro, only the item itself and ${shownFields} can be used in this version` }]
  }
  const loop = loopOf(node)
  if (loop === undefined) return childrenOf(node).flatMap((child) => partsOf(child, scope))
  const literals = loop.over.op === 'list' && loop.over.args.every(({ op }) => op === 'value')
  const inside = {
    inLoop: true,
    perItem: loop.over.op !== 'list',
    shortItems: new Set(literals ? [loop.item] : []),
  }
  return [...partsOf(loop.over, scope), ...loop.body.flatMap((part) => partsOf(part, inside))]
}

function callFault(node: ASTNode, { inLoop, perItem, shortItems }: Scope): string | undefined {
  const call = callOf(node)
  if (call === undefined) return undefined
  const { name, receiver, args } = call
  const isShort = (part: ASTNode | undefined): boolean => part !== undefined && isShortText(part, shortItems)
  if (name === 'matches')
    return '`matches` is not in this version: its pattern could take for ever; `contains`, `startsWith`, `endsWith` and `when` patterns are there'
  // What is bound can be used twice, and that be bound and used twice.
  if (name === 'bind') return '`cel.bind` is not in this version'
  if (inLoop && loopOf(node) !== undefined) return 'macros cannot be nested in this version'
  if (growing.has(name) && inputsOf(node).some((part) => makes(name, part)))
    return `\`${name}\` of what \`${name}\` made is not in this version`
  // Its parser tries every length at every place of a long run of digits: 2,000 of them take seconds.
  if (name === 'duration' && args.some(({ op }) => op !== 'value'))
    return '`duration` takes a literal such as duration("90s") in this version'
  // 90 µs each time: a second for the 9,000 timestamps that a body of the default limit can hold.
  if (perItem && zoned.test(name) && args.length > 0) return `\`${name}\` with a time zone is not in macros in this version`
  if (searches.has(name) && !isShort(receiver) && !isShort(args[0]))
    return `\`${name}\` needs a short text on either side in this version: a literal, ${shownFields}`
  if (name === 'join' && args.length > 0 && !isShort(args[0]))
    return `\`join\` needs a short text in this version: a literal, ${shownFields}`
  return undefined
}

/** Whether a call of that name has a part in a value. */
function makes(name: string, node: ASTNode): boolean {
  return callOf(node)?.name === name || inputsOf(node).some((input) => makes(name, input))
}

/** The body of a macro, in which there can be no other, counts for itself. */
function inputsOf(node: ASTNode): readonly ASTNode[] {
  const loop = loopOf(node)
  return loop === undefined ? childrenOf(node) : [loop.over]
}

function isShortText(node: ASTNode, shortItems: ReadonlySet<string>): boolean {
  if (node.op === 'value') return true
  if (node.op === 'id') return shortItems.has(node.args)
  return node.op === '.' && isEvent(node.args[0]) && shortFields.includes(node.args[1])
}

function isEvent(node: ASTNode): boolean {
  return node.op === 'id' && node.args === 'event'
}
