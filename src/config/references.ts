/** What the parts of a configuration say about each other. Looks at data that may be wrong anywhere, so that every problem shows at once. */
import { isLoopback } from '../loopback.ts'
import { suggestion } from '../route/nearest.ts'
import type { Fault, Path } from './issues.ts'
import { at, isMap, listOf, mapsIn, targetsOf, textIn, type RawMap } from './raw.ts'

/** The receiver answers these itself. */
const ownPaths = new Set(['/livez', '/readyz'])

/** Every sync table has them; the relay writes them. */
export const reservedColumns: readonly string[] = ['relay_event_time', 'relay_event_seq']

/** What a rule may say about a sink of each type, besides its name. */
const overrides = new Map<string, readonly string[]>([
  ['slack', ['text', 'blocks', 'channel', 'thread', 'update', 'mentions', 'enrich']],
  ['kafka', ['topic', 'key', 'value', 'enrich']],
  ['table', ['columns', 'enrich']],
  ['http', ['value', 'headers', 'enrich']],
  ['log', ['value', 'enrich']],
])

export function referenceFaults(json: unknown): Fault[] {
  return [...sourceFaults(json), ...geminiFaults(json), ...tableFaults(json), ...ruleFaults(json)]
}

function sourceFaults(json: unknown): Fault[] {
  const owners = new Map<string, string>()
  return mapsIn(at(json, ['sources'])).flatMap(([name, source]) => {
    const path: Path = ['sources', name, 'path']
    const spelled = textIn(source, 'path')
    return keySetFaults(name, source).concat(spelled === undefined ? [] : pathFaults(path, name, spelled, owners))
  })
}

/** Paths that differ in case or in a trailing slash alone are told apart by the router, and by nobody else. */
function pathFaults(path: Path, name: string, spelled: string, owners: Map<string, string>): Fault[] {
  const route = spelled.toLowerCase().replace(/\/+$/, '')
  if (ownPaths.has(route)) return [{ path, message: '`path`: /livez and /readyz are the health checks' }]
  const owner = owners.get(route)
  if (owner !== undefined) return [{ path, message: `\`path\`: the source \`${owner}\` has the same one` }]
  owners.set(route, name)
  return []
}

function keySetFaults(name: string, source: RawMap): Fault[] {
  const url = at(source, ['dynamic', 'jwks_uri'])
  if (typeof url !== 'string' || !URL.canParse(url)) return []
  const { protocol, hostname, username, password } = new URL(url)
  const path: Path = ['sources', name, 'dynamic', 'jwks_uri']
  const faults: Fault[] = []
  if (username !== '' || password !== '')
    faults.push({ path, message: '`jwks_uri`: holds credentials, which a key set does not need' })
  if (protocol === 'http:' && !isLoopback(hostname))
    faults.push({ path, message: '`jwks_uri`: https is required: whoever can change keys on the way can sign' })
  return faults
}

function geminiFaults(json: unknown): Fault[] {
  const webhooks = mapsIn(at(json, ['gemini', 'webhooks'])).flatMap(([name, webhook]): Fault[] => {
    const path: Path = ['gemini', 'webhooks', name, 'source']
    const source = textIn(webhook, 'source')
    if (source === undefined) return []
    const unknown = unknownSource(json, path, source)
    if (unknown.length > 0 || isYes(at(json, ['sources', source, 'static', 'managed']))) return unknown
    const message = `the source \`${source}\` does not take managed secrets: give it \`static: { managed: true }\``
    return [{ path, message, quotes: true }]
  })
  return [...webhooks, ...sameUriFaults(json), ...reconcileFaults(json)]
}

/** Each event would come twice, as two. */
function sameUriFaults(json: unknown): Fault[] {
  const owners = new Map<string, string>()
  return mapsIn(at(json, ['gemini', 'webhooks'])).flatMap(([name, webhook]): Fault[] => {
    const uri = textIn(webhook, 'uri')
    const owner = uri === undefined ? undefined : owners.get(uri)
    if (uri !== undefined && owner === undefined) owners.set(uri, name)
    if (owner === undefined) return []
    return [{ path: ['gemini', 'webhooks', name, 'uri'], message: `\`uri\`: the webhook \`${owner}\` has the same one` }]
  })
}

function reconcileFaults(json: unknown): Fault[] {
  const reconcile = at(json, ['gemini', 'reconcile'])
  if (!isMap(reconcile)) return []
  const source = textIn(reconcile, 'source')
  if (source !== undefined) return unknownSource(json, ['gemini', 'reconcile', 'source'], source)
  if (mapsIn(at(json, ['sources'])).length <= 1) return []
  return [
    { path: ['gemini', 'reconcile'], at: 'key', message: '`reconcile`: there are several sources: say which, with `source`' },
  ]
}

function unknownSource(json: unknown, path: Path, source: string): Fault[] {
  const sources = at(json, ['sources'])
  if (at(sources, [source]) !== undefined) return []
  const hint = suggestion(source, isMap(sources) ? Object.keys(sources) : [])
  return [{ path, message: `there is no source \`${source}\`${hint}`, quotes: true, absent: true }]
}

/** Of a flag, in either spelling. */
function isYes(value: unknown): boolean {
  return value === true || value === 'true'
}

function tableFaults(json: unknown): Fault[] {
  return mapsIn(at(json, ['sinks'])).flatMap(([name, sink]) => {
    const columns = sink['columns']
    if (sink['type'] !== 'table' || !isMap(columns)) return []
    const known = Object.keys(columns)
    return reservedFaults(known, name).concat(keyFaults(sink['key'], known, name))
  })
}

function reservedFaults(columns: readonly string[], sink: string): Fault[] {
  return columns
    .filter((column) => reservedColumns.includes(column))
    .map((column) => ({
      path: ['sinks', sink, 'columns', column],
      at: 'key',
      message: `the column \`${column}\` is the relay's own`,
    }))
}

function keyFaults(key: unknown, columns: readonly string[], sink: string): Fault[] {
  return listOf(key).flatMap((column, index): Fault[] => {
    if (typeof column !== 'string' || column === '') return []
    if (listOf(key).indexOf(column) < index)
      return [{ path: ['sinks', sink, 'key', index], message: `\`${column}\` is in this key already`, quotes: true }]
    if (columns.includes(column)) return []
    const message = `the key \`${column}\` is not among the columns${suggestion(column, columns)}`
    return [{ path: ['sinks', sink, 'key', index], message, quotes: true }]
  })
}

function ruleFaults(json: unknown): Fault[] {
  const names = new Set<string>()
  return listOf(at(json, ['rules'])).flatMap((rule, index) => {
    if (!isMap(rule)) return []
    const name = textIn(rule, 'name')
    const faults = targetFaults(rule, ['rules', index], json)
    if (name === undefined) return faults
    if (names.has(name))
      faults.push({ path: ['rules', index, 'name'], message: `there is another rule named \`${name}\``, quotes: true })
    names.add(name)
    return faults
  })
}

function targetFaults(rule: RawMap, base: Path, json: unknown): Fault[] {
  const known = at(json, ['sinks'])
  const seen = new Set<string>()
  return targetsOf(rule).flatMap(({ target, sink, path }): Fault[] => {
    if (sink === undefined) return []
    const where = [...base, ...path]
    const config = at(known, [sink])
    if (config === undefined) {
      const hint = suggestion(sink, isMap(known) ? Object.keys(known) : [])
      return [{ path: where, message: `there is no sink \`${sink}\`${hint}`, quotes: true, absent: true }]
    }
    if (seen.has(sink)) return [{ path: where, message: `this rule feeds \`${sink}\` twice`, quotes: true }]
    seen.add(sink)
    return isMap(config) ? overrideFaults(target, sink, config, [...base, ...path.slice(0, 2)], where) : []
  })
}

function overrideFaults(target: RawMap, sink: string, config: RawMap, base: Path, where: Path): Fault[] {
  const type = textIn(config, 'type')
  const taken = type === undefined ? undefined : overrides.get(type)
  if (type === undefined || taken === undefined) return []
  const known = new Set([...overrides.values()].flat())
  const misplaced = Object.keys(target).filter((key) => known.has(key) && !taken.includes(key))
  return [
    ...misplaced.map((key): Fault => {
      return { path: [...base, key], at: 'key', message: `a sink of type ${type} takes no \`${key}\` from a rule` }
    }),
    ...(type === 'table' ? columnFaults(target, sink, config, [...base, 'columns']) : []),
    ...unaddressed(target, sink, config, type, where),
  ]
}

/** One statement writes the rows of all rules: they fill the same columns. */
function columnFaults(target: RawMap, sink: string, config: RawMap, path: Path): Fault[] {
  const { columns } = target
  const known = isMap(config['columns']) ? Object.keys(config['columns']) : []
  if (!isMap(columns) || known.length === 0) return []
  return Object.keys(columns)
    .filter((column) => !known.includes(column))
    .map((column): Fault => {
      const message = `the sink \`${sink}\` has no column \`${column}\`${suggestion(column, known)}`
      return { path: [...path, column], at: 'key', message }
    })
}

/** What a sink of a type cannot do without, if neither it nor the rule says it. */
const addresses = new Map([
  ['slack', 'channel'],
  ['kafka', 'topic'],
])

function unaddressed(target: RawMap, sink: string, config: RawMap, type: string, where: Path): Fault[] {
  const key = addresses.get(type)
  if (key === undefined || Object.hasOwn(target, key) || Object.hasOwn(config, key)) return []
  return [{ path: where, message: `no ${key}: neither this rule nor the sink \`${sink}\` says one`, quotes: true }]
}
