/** What cases say of a configuration that it does not have. Looks at data that may be wrong anywhere. */
import { suggestion } from '../route/nearest.ts'
import { expectedFields } from './cases.ts'
import type { Fault, Path } from './issues.ts'
import { at, isMap, listOf, targetsOf, textIn, type RawMap } from './raw.ts'
import { shownBy, type Shown } from './shown.ts'

/** @param json a configuration with `tests` */
export function caseFaults(json: unknown): Fault[] {
  const names = new Set<string>()
  return listOf(at(json, ['tests'])).flatMap((one, index) => {
    if (!isMap(one)) return []
    const path: Path = ['tests', index]
    const expected = expectFaults(one, [...path, 'expect'], json)
    return [...nameFaults(one, path, names), ...sourceFaults(one, path, json), ...expected]
  })
}

function nameFaults(one: RawMap, path: Path, names: Set<string>): Fault[] {
  const name = textIn(one, 'name')
  if (name === undefined) return []
  if (names.has(name)) return [{ path: [...path, 'name'], message: 'there is another case of this name' }]
  names.add(name)
  return []
}

function sourceFaults(one: RawMap, path: Path, json: unknown): Fault[] {
  const sources = keysOf(at(json, ['sources']))
  const source = textIn(one, 'source')
  if (source !== undefined) return unknown('source', source, sources, [...path, 'source'])
  if (sources.length === 1 || 'source' in one) return []
  if (sources.length === 0) return [{ path, message: 'there is no source that could receive this', absent: true }]
  return [{ path, message: 'there are several sources: say which, with `source`' }]
}

function expectFaults(one: RawMap, path: Path, json: unknown): Fault[] {
  const rules = new Map(
    listOf(at(json, ['rules'])).flatMap((rule) => {
      const name = isMap(rule) ? textIn(rule, 'name') : undefined
      return isMap(rule) && name !== undefined ? [[name, targetsOf(rule)]] : []
    }),
  )
  const sinks = keysOf(at(json, ['sinks']))
  const seen = new Set<string>()
  return listOf(one['expect']).flatMap((expected, index): Fault[] => {
    const rule = isMap(expected) ? textIn(expected, 'rule') : undefined
    const sink = isMap(expected) ? textIn(expected, 'sink') : undefined
    if (rule === undefined || sink === undefined) return []
    const where = [...path, index]
    const unknowns = [
      ...unknown('rule', rule, [...rules.keys()], [...where, 'rule']),
      ...unknown('sink', sink, sinks, [...where, 'sink']),
    ]
    if (unknowns.length > 0) return unknowns
    const key = `${rule}\n${sink}`
    if (seen.has(key))
      return [{ path: where, message: `\`${rule}\` feeds \`${sink}\` once, and is expected to twice`, quotes: true }]
    seen.add(key)
    const target = rules.get(rule)?.find((fed) => fed.sink === sink)?.target
    if (target === undefined)
      return [{ path: [...where, 'sink'], message: `the rule \`${rule}\` does not feed \`${sink}\``, quotes: true }]
    const config = at(json, ['sinks', sink])
    return isMap(expected) && isMap(config) ? comparedFaults(expected, config, target, where) : []
  })
}

/** What is compared with nothing, whatever comes: such a case cannot pass. */
function comparedFaults(expected: RawMap, sink: RawMap, target: RawMap, path: Path): Fault[] {
  const shown = shownBy(sink, target)
  if (shown === undefined) return []
  const fields = Object.keys(shown)
  const misplaced = Object.keys(expected).filter((key) => isOfOtherSinks(key) && !fields.includes(key))
  const listing = fields.map((field) => `\`${field}\``).join(', ')
  return [
    ...misplaced.map((key): Fault => {
      const message = `a delivery to a sink of type ${textIn(sink, 'type')} shows no \`${key}\`: it shows ${listing}`
      return { path: [...path, key], at: 'key', message }
    }),
    ...fields.flatMap((field) => insideFaults(expected[field], shown[field], [...path, field], field)),
  ]
}

/** What is no key of a delivery at all, the schema has said. */
function isOfOtherSinks(key: string): boolean {
  return expectedFields.includes(key) && !['rule', 'sink', 'fails', 'dead'].includes(key)
}

function insideFaults(wanted: unknown, shown: Shown | undefined, path: Path, label: string): Fault[] {
  if (!isMap(wanted) || shown === undefined) return []
  return Object.entries(wanted).flatMap(([key, value]): Fault[] => {
    const inner = [...path, key]
    if (Object.hasOwn(shown, key)) return insideFaults(value, shown[key], inner, `${label}.${key}`)
    return [{ path: inner, at: 'key', message: `\`${label}\` has no \`${key}\`${suggestion(key, Object.keys(shown))}` }]
  })
}

function unknown(kind: string, wanted: string, known: readonly string[], path: Path): Fault[] {
  if (known.includes(wanted)) return []
  return [{ path, message: `there is no ${kind} \`${wanted}\`${suggestion(wanted, known)}`, quotes: true, absent: true }]
}

function keysOf(value: unknown): string[] {
  return isMap(value) ? Object.keys(value) : []
}
