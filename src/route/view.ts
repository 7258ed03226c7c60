/**
 * What expressions see of an event. Its JSON was written by somebody else, and the evaluator has two weak spots that
 * this view covers: an object that owns a key `constructor` is taken for a foreign class, and types are derived
 * recursively, so that deep nesting costs stack and memory.
 */
import type { RelayEvent } from '../types.ts'

/** Far beyond any envelope, far below what recursion notices. */
const maxDataDepth = 64

/** Thrown when an expression touches data that is nested too deeply to look at. */
export class TooDeep extends Error {
  constructor() {
    super(`the event's data is nested more than ${maxDataDepth} levels deep`)
    this.name = 'TooDeep'
  }
}

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
  return inspect(json, 0) === 'plain' ? json : asMaps(json)
}

function inspect(json: unknown, depth: number): 'plain' | 'unusual' {
  if (typeof json !== 'object' || json === null) return 'plain'
  if (depth >= maxDataDepth) throw new TooDeep()
  let found: 'plain' | 'unusual' = Object.hasOwn(json, 'constructor') ? 'unusual' : 'plain'
  for (const child of Object.values(json)) if (inspect(child, depth + 1) === 'unusual') found = 'unusual'
  return found
}

/** The same value with a Map for every object: a Map's keys are never taken for members. */
function asMaps(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(asMaps)
  if (typeof json !== 'object' || json === null) return json
  return new Map(Object.entries(json).map(([key, value]) => [key, asMaps(value)]))
}
