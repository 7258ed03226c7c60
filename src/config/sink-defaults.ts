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
    return [name, said.reduce(merged, sink)]
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
  if (at(sink, rest.slice(0, 1)) !== undefined && !inParts.has(rest[0])) return path
  const layer = layersFor(sink).find((one) => at(json, ['defaults', one, ...rest]) !== undefined)
  return layer === undefined ? path : ['defaults', layer, ...rest]
}

/** The nearest first. */
function layersFor(sink: RawMap): string[] {
  const type = textIn(sink, 'type')
  return type === undefined ? [] : [type, forAll]
}

/** Of these a sink may say a part; whatever else it says, it says whole. */
const inParts: ReadonlySet<unknown> = new Set(['retry', 'breaker'])

function merged(inner: RawMap, outer: RawMap): RawMap {
  const added = Object.entries(outer).filter(([key]) => !Object.hasOwn(inner, key))
  const both = Object.entries(inner).map(([key, value]): [string, unknown] => {
    const under = inParts.has(key) && Object.hasOwn(outer, key) ? outer[key] : undefined
    return [key, isMap(value) && isMap(under) ? { ...under, ...value } : value]
  })
  return Object.fromEntries([...both, ...added])
}
