/** Which types of events come to a rule, and what their `data` may hold. */
import { dataFieldsOf, isCatalogType, pingType, type CatalogType } from '../gemini/catalog.ts'
import { mentionsIn } from '../route/mentions.ts'
import { unrecognizedType } from '../route/event.ts'
import type { Pattern, RuleConfig } from './schema.ts'
import { alternativesOf, typesOf, type World } from './world.ts'

export interface Reach {
  /** Those that Gemini documents. */
  types: readonly CatalogType[]
  /** Pings and what is no envelope too. */
  all: readonly string[]
  /** Events whose data nobody knows may come too: where no type is asked for. */
  open: boolean
  /** The rule asks for more than a type: not all of these types need come to it. */
  narrowed: boolean
}

/** @returns undefined where a type comes that Gemini does not document */
export function reachOf({ when = {}, if: condition }: RuleConfig, world: World): Reach | undefined {
  const types = typesOf(when, world)
  const known = types.filter(isCatalogType)
  const odd = types.filter((type) => !isCatalogType(type) && type !== unrecognizedType && type !== pingType)
  if (known.length === 0 || odd.length > 0 || namesUnknown(when, world)) return undefined
  return { types: known, all: types, open: types.includes(unrecognizedType), narrowed: asksForMore(when, condition) }
}

/** Of several rules that feed one sink. */
export function joined(reaches: readonly (Reach | undefined)[]): Reach | undefined {
  const all = reaches.filter((reach) => reach !== undefined)
  if (all.length === 0 || all.length < reaches.length) return undefined
  return {
    types: [...new Set(all.flatMap(({ types }) => types))],
    all: [...new Set(all.flatMap((reach) => reach.all))],
    open: all.some(({ open }) => open),
    narrowed: all.some(({ narrowed }) => narrowed),
  }
}

export function fieldsOf(types: readonly CatalogType[]): string[] {
  return [...new Set(types.flatMap(dataFieldsOf))]
}

/** A type in the pattern that is none of the world's: it is doubted, and whoever means it knows what it holds. */
function namesUnknown(pattern: Pattern, world: World): boolean {
  const own = [pattern['type'] ?? []].flat().filter((item) => typeof item === 'string')
  if (own.some((item) => typesOf({ type: [item] }, world).length === 0)) return true
  return alternativesOf(pattern['$or'] ?? []).some((one) => namesUnknown(one, world))
}

function asksForMore(pattern: Pattern, condition: string | undefined): boolean {
  if ('data' in pattern || '$or' in pattern) return true
  return condition !== undefined && mentionsIn(condition).fields.some((field) => field === 'data' || field === 'type')
}
