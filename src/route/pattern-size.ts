/** How much one pattern may hold, so that reading it takes milliseconds. */
import { isMap, type JsonMap } from '../json-map.ts'
import type { PatternFault } from './pattern-tree.ts'

/** Fields, values, operators and what they are given, all together. */
const maxEntries = 2_000
/** Of all of them; a `wildcard` is prepared character by character. */
const maxCharacters = 20_000
/** No event is written that deep by hand. */
const maxDepth = 32

const tooMany = `a pattern holds ${shown(maxEntries)} fields and values at most`
const tooLong = `a pattern has ${shown(maxCharacters)} characters at most`
const tooDeep = `a pattern is ${maxDepth} levels deep at most`

/** @returns where a pattern becomes too large */
export function tooLarge(pattern: unknown): PatternFault | undefined {
  let [entries, characters] = [0, 0]
  return visit(pattern, [])

  function visit(node: unknown, path: PatternFault['path']): PatternFault | undefined {
    entries += 1
    if (typeof node === 'string') characters += node.length
    if (characters > maxCharacters) return { path, message: tooLong }
    if (entries > maxEntries) return { path, message: tooMany }
    if (path.length > maxDepth) return { path, message: tooDeep }
    if (Array.isArray(node)) return visitList(node, path)
    return isMap(node) ? visitMap(node, path) : undefined
  }

  function visitList(list: readonly unknown[], path: PatternFault['path']): PatternFault | undefined {
    for (const [n, item] of list.entries()) {
      const fault = visit(item, [...path, n])
      if (fault !== undefined) return fault
    }
    return undefined
  }

  function visitMap(map: JsonMap, path: PatternFault['path']): PatternFault | undefined {
    for (const key of Object.keys(map)) {
      characters += key.length
      const fault = visit(map[key], [...path, key])
      if (fault !== undefined) return fault
    }
    return undefined
  }
}

function shown(n: number): string {
  return n.toLocaleString('en-US')
}
