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

  return (event) => {
    const found: number[] = []
    for (const { place, filed } of drawers.values()) {
      for (const value of valuesAt(event, place)) {
        for (const position of filed.get(value) ?? []) found.push(position)
      }
    }
    if (found.length === 0) return always
    const positions = [...always, ...found].toSorted((a, b) => a - b)
    // A list of the event can hold several of the values that one rule demands.
    return positions.filter((position, n) => position !== positions[n - 1])
  }
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
