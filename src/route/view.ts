/**
 * What expressions see of an event. Its JSON was written by somebody else, and the evaluator has two weak spots that
 * this view covers: an object that owns a key `constructor` is taken for a foreign class, and types are derived
 * recursively, so that deep nesting costs stack and memory.
 */
import { randomUUID } from 'node:crypto'
import type { RelayEvent } from '../types.ts'

/** Far beyond any envelope, far below what recursion notices. */
const maxDataDepth = 64

/**
 * Stands for what lies deeper: expressions that look elsewhere never meet it, and a result that holds it is refused, see
 * expression.ts. Random, so that no event can hold it.
 */
export const tooDeep = `nested more than ${maxDataDepth} levels deep, ${randomUUID()}`

const views = new WeakMap<RelayEvent, RelayEvent>()

/** One view per event, shared by all its expressions; `data` and `user_metadata` are looked at when first used. */
export function viewOf(event: RelayEvent): RelayEvent {
  const known = views.get(event)
  if (known !== undefined) return known
  const view = createView(event)
  views.set(event, view)
  return view
}

function createView(event: RelayEvent): RelayEvent {
  let data: { safe: unknown } | undefined
  let metadata: { safe: Record<string, unknown> } | undefined
  return {
    ...event,
    get data() {
      return (data ??= { safe: safely(event.data) }).safe
    },
    get user_metadata() {
      return (metadata ??= { safe: safely(event.user_metadata) }).safe
    },
  }
}

function safely<T>(json: T): T
function safely(json: unknown): unknown {
  return isPlain(json, 0) ? json : asMaps(json, 0)
}

function isPlain(json: unknown, depth: number): boolean {
  if (typeof json !== 'object' || json === null) return true
  if (depth >= maxDataDepth || Object.hasOwn(json, 'constructor')) return false
  return Object.values(json).every((child) => isPlain(child, depth + 1))
}

/** The same value with a Map for every object: a Map's keys are never taken for members. */
function asMaps(json: unknown, depth: number): unknown {
  if (typeof json !== 'object' || json === null) return json
  if (depth >= maxDataDepth) return tooDeep
  if (Array.isArray(json)) return json.map((child) => asMaps(child, depth + 1))
  return new Map(Object.entries(json).map(([key, child]) => [key, asMaps(child, depth + 1)]))
}
