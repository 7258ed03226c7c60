/** How large the parts of an event are, for what is foreseen about expressions. */
import { isMap } from '../json-map.ts'
import type { JobResource, RelayEvent } from '../types.ts'
import { resourceField } from './fields.ts'

export interface Size {
  /** Of a list or a map. */
  members: number
  /** Characters of its texts and names, and three for everything that is in it. */
  weight: number
}

/** The size of what a path leads to, from the names after `event`. */
export type Sizes = (path: readonly string[]) => Size

/** As deep as expressions see, see view.ts. */
const maxDepth = 64

const weights = new WeakMap<object, number>()

/** Of the event as a whole, for all paths: enough for most events to say that nothing can take long. */
export function roughSizes(event: RelayEvent, resource: JobResource | null): Sizes {
  const weight = weightOf(event, 0) + weightOf(resource, 0)
  return () => ({ members: weight / 3, weight })
}

export function exactSizes(event: RelayEvent, resource: JobResource | null): Sizes {
  return ([field, ...names]) => {
    let value: unknown = field === undefined ? event : field === resourceField ? resource : fieldOf(event, field)
    for (const name of names) value = fieldOf(value, name)
    return { members: membersOf(value), weight: weightOf(value, 0) }
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return isMap(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

function membersOf(value: unknown): number {
  if (Array.isArray(value)) return value.length
  return isMap(value) ? Object.keys(value).length : 1
}

function weightOf(value: unknown, depth: number): number {
  if (typeof value === 'string') return value.length + 3
  if (typeof value !== 'object' || value === null || depth >= maxDepth) return 3
  const known = weights.get(value)
  if (known !== undefined) return known
  let weight = 3
  if (Array.isArray(value)) for (const member of value) weight += weightOf(member, depth + 1)
  else for (const [key, member] of Object.entries(value)) weight += key.length + weightOf(member, depth + 1)
  if (depth < 3) weights.set(value, weight)
  return weight
}
