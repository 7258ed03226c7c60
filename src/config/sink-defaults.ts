/** What `defaults` says, put into the sinks that do not say it themselves. Looks at data that may be wrong anywhere. */
import type { Path } from './issues.ts'
import { at, isMap, mapsIn, textIn, type RawMap } from './raw.ts'

/** For whatever type of sink. */
export const forAll = 'all'

/** The same configuration, its sinks with what they take over. */
export function withDefaults(json: unknown): unknown {
  const defaults = at(json, ['defaults'])
  const sinks = at(json, ['sinks'])
  if (!isMap(json) || !isMap(defaults) || !isMap(sinks)) return json
  const filled = mapsIn(sinks).map(([name, sink]): [string, RawMap] => {
    const said = layersFor(sink).flatMap((layer) => {
      const value = defaults[layer]
      return isMap(value) ? [value] : []
    })
    return [name, said.reduce((inner, outer) => merged(inner, outer, 0), sink)]
  })
  return { ...json, sinks: { ...sinks, ...Object.fromEntries(filled) } }
}

/**
 * Where what a sink holds at a path was written: there, or under `defaults`.
 *
 * @param json before `withDefaults`
 */
export function writtenAt(json: unknown, path: Path): Path {
  const [section, name, ...rest] = path
  const sink = section === 'sinks' && name !== undefined ? at(json, [section, name]) : undefined
  if (!isMap(sink) || rest.length === 0 || at(sink, rest) !== undefined) return path
  const layer = layersFor(sink).find((one) => at(json, ['defaults', one, ...rest]) !== undefined)
  return layer === undefined ? path : ['defaults', layer, ...rest]
}

/** The nearest first. */
function layersFor(sink: RawMap): string[] {
  const type = textIn(sink, 'type')
  return type === undefined ? [] : [type, forAll]
}

/** A retry or a breaker, say, is a map: deeper is nothing that sinks share, and a map can hold itself, by an alias. */
const maxDepth = 4

function merged(inner: RawMap, outer: RawMap, depth: number): RawMap {
  const added = Object.entries(outer).filter(([key]) => !Object.hasOwn(inner, key))
  const both = Object.entries(inner).map(([key, value]): [string, unknown] => {
    const under = Object.hasOwn(outer, key) ? outer[key] : undefined
    return [key, isMap(value) && isMap(under) && depth < maxDepth ? merged(value, under, depth + 1) : value]
  })
  return Object.fromEntries([...both, ...added])
}
