/** The schema's verdict, in words for the person who writes the file. */
import { z } from 'zod'
import { nearest, suggestion } from '../route/nearest.ts'
import { formatPath, labelOf, type Fault, type Path } from './issues.ts'
import { at, isMap } from './raw.ts'
import { configSchema } from './schema.ts'
import { nameRule } from './values.ts'

type Issue = z.core.$ZodIssue

/** @param json what the schema refused */
export function shapeFaults(error: z.ZodError, json: unknown): Fault[] {
  return faultsOfAll(error.issues, [], json)
}

/** A key that is missing because it is misspelt is one mistake. */
function faultsOfAll(issues: readonly Issue[], base: Path, json: unknown): Fault[] {
  const misspelt = new Set(
    issues.flatMap((issue) => {
      if (issue.code !== 'unrecognized_keys') return []
      const path = pathOf(issue, base)
      const known = keysAt(configSchema, path, json)
      return issue.keys.flatMap((key) => nearest(key, known) ?? []).map((key) => formatPath([...path, key]))
    }),
  )
  const isMisspelt = (issue: Issue): boolean => {
    const path = pathOf(issue, base)
    return misspelt.has(formatPath(path)) && at(json, path) === undefined
  }
  return issues.filter((issue) => !isMisspelt(issue)).flatMap((issue) => faultsOf(issue, base, json))
}

function pathOf(issue: Issue, base: Path): Path {
  return [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))]
}

/** The schema drops a key of this name without a word, and with it what stands under it; where anything goes, it takes what never ends. */
const droppedKey = '__proto__'

/** @param json what the schema may have accepted; it may hold itself, by an alias */
export function passedOverFaults(json: unknown, path: Path = [], above: readonly unknown[] = []): Fault[] {
  if (typeof json !== 'object' || json === null) return []
  if (above.includes(json)) return [{ path, message: 'this holds itself: it would never end' }]
  const isName = path.length === 1 && (path[0] === 'sources' || path[0] === 'sinks')
  return Object.entries(json).flatMap(([key, child]): Fault[] => {
    const inner = [...path, Array.isArray(json) ? Number(key) : key]
    const faults = passedOverFaults(child, inner, [...above, json])
    if (key !== droppedKey) return faults
    return [{ path: inner, at: 'key', message: `\`${key}\`: ${isName ? nameRule : 'this cannot be a key'}` }, ...faults]
  })
}

function faultsOf(issue: Issue, base: Path, json: unknown): Fault[] {
  const path = pathOf(issue, base)
  const value = at(json, path)
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => unknownKey(path, key, json))
  if (issue.code === 'invalid_key')
    return [{ path, at: 'key', message: `\`${String(path.at(-1))}\`: ${issue.issues[0]?.message ?? issue.message}` }]
  if (value === undefined) {
    const missing: Fault = { path: path.slice(0, -1), at: 'key', message: `\`${labelOf(path)}\` is missing` }
    return 'discriminator' in issue ? [missing, ...keysOfNoSink(path.slice(0, -1), json)] : [missing]
  }
  if (value === null) return [{ path, message: `\`${labelOf(path)}\` has no value` }]
  if (issue.code === 'invalid_union') return unionFaults(issue, path, value, json)
  return [{ path, message: `\`${labelOf(path)}\`: ${explained(issue, value)}` }]
}

function unknownKey(path: Path, key: string, json: unknown): Fault {
  const hint = suggestion(key, keysAt(configSchema, path, json))
  return { path: [...path, key], at: 'key', message: `unknown key \`${key}\`${hint}` }
}

/** Where nothing says which sink was meant, what no sink has is most likely the `type` itself, misspelt. */
function keysOfNoSink(path: Path, json: unknown): Fault[] {
  const sink = at(json, path)
  const known = keysAt(configSchema, path, json)
  return Object.keys(isMap(sink) ? sink : {})
    .filter((key) => !known.includes(key))
    .map((key) => unknownKey(path, key, json))
}

function unionFaults(issue: z.core.$ZodIssueInvalidUnion, path: Path, value: unknown, json: unknown): Fault[] {
  if ('discriminator' in issue && typeof value === 'string') return [unknownSinkType(path, value)]
  // The branch that complains about something inside the value is the one that was meant.
  const meant = issue.errors.filter((branch) =>
    branch.some((inner) => inner.path.length > 0 || inner.code === 'unrecognized_keys'),
  )
  const [branch, ...others] = meant
  if (branch !== undefined && others.length === 0) return faultsOfAll(branch, path, json)
  return [{ path, message: `\`${labelOf(path)}\`: ${issue.message === 'Invalid input' ? 'unexpected value' : issue.message}` }]
}

const sinkTypes = ['slack', 'kafka', 'table', 'http', 'log']

function unknownSinkType(path: Path, value: string): Fault {
  const match = nearest(value, sinkTypes)
  const message = `\`${labelOf(path)}\`: expected ${sinkTypes.join(', ')}${match === undefined ? '' : `; did you mean \`${match}\`?`}`
  return { path, message }
}

/** Never quotes the value. */
function explained(issue: Issue, value: unknown): string {
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input'))
    return `expected ${nameOfType(issue.expected)}, found ${nameOfValue(value)}`
  if (issue.code === 'invalid_value') {
    const options = issue.values.map(String)
    const match = typeof value === 'string' ? nearest(value, options) : undefined
    return `expected ${options.join(' or ')}${match === undefined ? '' : `; did you mean \`${match}\`?`}`
  }
  if (issue.code === 'too_small' && issue.origin === 'string') return 'must not be empty'
  if (issue.code === 'invalid_format' && issue.format === 'url') return 'expected a URL with http:// or https://'
  return issue.message
}

const typeNames: Record<string, string> = {
  string: 'text',
  object: 'a map',
  record: 'a map',
  array: 'a list',
  number: 'a number',
}

function nameOfType(expected: string): string {
  return typeNames[expected] ?? expected
}

function nameOfValue(value: unknown): string {
  if (Array.isArray(value)) return 'a list'
  return typeNames[typeof value] ?? 'true or false'
}

/** The keys that the schema knows at a path; where it has alternatives, those of the one that the data chose. */
function keysAt(schema: unknown, path: Path, json: unknown): string[] {
  const inner = unwrapped(schema)
  if (inner instanceof z.ZodUnion) return chosen(inner, json).flatMap((option) => keysAt(option, path, json))
  const [step, ...rest] = path
  if (step === undefined) return inner instanceof z.ZodObject ? Object.keys(inner.shape) : []
  const child = at(json, [step])
  if (inner instanceof z.ZodObject) return keysAt(at(inner.shape, [step]), rest, child)
  if (inner instanceof z.ZodRecord) return keysAt(inner.valueType, rest, child)
  return inner instanceof z.ZodArray ? keysAt(inner.element, rest, child) : []
}

function unwrapped(schema: unknown): unknown {
  if (schema instanceof z.ZodPipe) return unwrapped(schema.in)
  const wraps = schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault
  return wraps ? unwrapped(schema.unwrap()) : schema
}

function chosen(union: z.ZodUnion, json: unknown): unknown[] {
  const type = isMap(json) ? json['type'] : undefined
  if (type === undefined) return [...union.options]
  return union.options.filter((option) => {
    if (!(option instanceof z.ZodObject)) return false
    const discriminator: unknown = option.shape['type']
    return !(discriminator instanceof z.ZodLiteral) || discriminator.value === type
  })
}
