/**
 * Finds the rules that may want an event without trying them all. Each rule is filed under one place at which its pattern
 * demands exact values, so that an event is looked at once a place, however many rules there are.
 */
import type { Pattern } from '../config/schema.ts'
import type { RelayEvent } from '../types.ts'
import { demandsOf, valuesAt, type Demand, type Place } from './demands.ts'

interface Drawer {
  place: Place
  /** Positions of rules, by a value that each of them demands here. */
  filed: Map<unknown, number[]>
}

/**
 * @param patterns of the rules, in their order; undefined where a rule has none
 * @returns a function from an event to the positions, ascending, of all rules whose pattern may match it; whether it does
 *   is still to be tested
 */
export function createRuleIndex(patterns: readonly (Pattern | undefined)[]): (event: RelayEvent) => readonly number[] {
  const demands = patterns.map((pattern) => (pattern === undefined ? [] : demandsOf(pattern)))
  const crowd = crowdOf(demands.flat())
  const drawers = new Map<string, Drawer>()
  const always: number[] = []
  for (const [position, alternatives] of demands.entries()) {
    const [best] = alternatives.toSorted((a, b) => crowd(a) - crowd(b))
    if (best === undefined) always.push(position)
    else file(position, best)
  }

  function file(position: number, demand: Demand): void {
    const drawer = drawers.get(keyOf(demand)) ?? { place: demand, filed: new Map<unknown, number[]>() }
    drawers.set(keyOf(demand), drawer)
    for (const value of new Set(demand.values)) {
      const positions = drawer.filed.get(value) ?? []
      drawer.filed.set(value, positions)
      positions.push(position)
    }
  }

  const places = [...drawers.values()]
  return (event) => {
    const lists = new Set([always])
    for (const { place, filed } of places) {
      for (const value of valuesAt(event, place)) {
        const positions = filed.get(value)
        if (positions !== undefined) lists.add(positions)
      }
    }
    return lists.size === 1 ? always : union([...lists])
  }
}

type Ascending = readonly number[]

/** By halves, so that an event with a long list of what rules demand costs little more than reading it. */
function union(lists: readonly Ascending[]): Ascending {
  const [first = [], second] = lists
  if (second === undefined) return first
  const half = lists.length >> 1
  return merged(union(lists.slice(0, half)), union(lists.slice(half)))
}

/** What both hold comes once. */
function merged(one: Ascending, other: Ascending): Ascending {
  if (one.length === 0) return other
  const both: number[] = []
  for (let i = 0, j = 0; i < one.length || j < other.length;) {
    const [a = Infinity, b = Infinity] = [one[i], other[j]]
    both.push(Math.min(a, b))
    if (a <= b) i++
    if (b <= a) j++
  }
  return both
}

/** How many rules there are at the most crowded value of a demand: of a rule's demands the best is that of the fewest. */
function crowdOf(demands: readonly Demand[]): (demand: Demand) => number {
  const counts = new Map<string, Map<unknown, number>>()
  for (const demand of demands) {
    const ofPlace = counts.get(keyOf(demand)) ?? new Map<unknown, number>()
    counts.set(keyOf(demand), ofPlace)
    for (const value of demand.values) ofPlace.set(value, (ofPlace.get(value) ?? 0) + 1)
  }
  return (demand) => Math.max(0, ...demand.values.map((value) => counts.get(keyOf(demand))?.get(value) ?? 0))
}

function keyOf({ field, names }: Place): string {
  return JSON.stringify([field, ...names])
}
