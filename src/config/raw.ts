/** Looking into a configuration that may be wrong anywhere. */
import { isMap, type JsonMap } from '../json-map.ts'
import type { Path } from './issues.ts'

export { isMap }
export type RawMap = JsonMap

/** A map's entries that are maps themselves: the sources, the sinks. */
export function mapsIn(value: unknown): [string, RawMap][] {
  if (!isMap(value)) return []
  return Object.entries(value).flatMap(([key, child]) => (isMap(child) ? [[key, child]] : []))
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : []
}

/** The value at a path; undefined where the path leads nowhere. */
export function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>((inner, step) => {
    if (typeof step === 'number') return listOf(inner)[step]
    return isMap(inner) && Object.hasOwn(inner, step) ? inner[step] : undefined
  }, value)
}

/** A text that is there and not empty. */
export function textIn(map: RawMap, key: string): string | undefined {
  const value = Object.hasOwn(map, key) ? map[key] : undefined
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** What a rule feeds, in either spelling: the name of a sink, or a map. */
export function targetsOf(rule: RawMap): { target: RawMap; sink: string | undefined; path: Path }[] {
  return listOf(rule['to']).map((entry, index) => {
    if (typeof entry === 'string') return { target: { sink: entry }, sink: entry, path: ['to', index] }
    const target = isMap(entry) ? entry : {}
    return { target, sink: textIn(target, 'sink'), path: ['to', index, 'sink'] }
  })
}

/** Every text in a value, with where it stands. A value that holds itself, by an alias, is gone through once. */
export function textsUnder(value: unknown, path: Path, above: readonly unknown[] = []): { text: string; path: Path }[] {
  if (typeof value === 'string') return [{ text: value, path }]
  if (above.includes(value)) return []
  const within = [...above, value]
  if (Array.isArray(value)) return value.flatMap((item, index) => textsUnder(item, [...path, index], within))
  return isMap(value) ? Object.entries(value).flatMap(([key, child]) => textsUnder(child, [...path, key], within)) : []
}
