/** `when`: what an event must look like, as data. Fields are AND, lists are OR, maps go deeper. */
import type { Pattern, PatternNode } from '../config/schema.ts'
import type { RelayEvent } from '../types.ts'
import { eventFields, isEventField, resourceField, resourceTooLate } from './fields.ts'
import { suggestion } from './nearest.ts'

type Scalar = string | number | boolean | null
type Test = (value: unknown) => boolean

/** A pattern that no event can match. */
export class PatternError extends Error {
  readonly faults: readonly PatternFault[]
  constructor(faults: readonly PatternFault[]) {
    super(faults.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
    this.name = 'PatternError'
    this.faults = faults
  }
}

export interface PatternFault {
  path: readonly string[]
  message: string
}

/** Fields that hold JSON of the sender's making; the others are text. */
const nestedFields: readonly string[] = ['data', 'user_metadata'] satisfies (keyof RelayEvent)[]
const nullableFields: readonly string[] = ['version', 'timestamp'] satisfies (keyof RelayEvent)[]

/** Two spellings of one fact: older documentation says completed, newer says succeeded. */
export const sameType: ReadonlyMap<string, string> = new Map([
  ['batch.completed', 'batch.succeeded'],
  ['batch.succeeded', 'batch.completed'],
])

/**
 * Compiles a pattern. A value matches what is equal to it and of its type; a list of the event matches when any member
 * does; a field that is missing matches nothing, not even null. In `type`, `*` stands for any characters, dots too.
 *
 * @throws PatternError with every field that is unknown or could never match
 */
export function compilePattern(pattern: Pattern): (event: RelayEvent) => boolean {
  const faults = Object.entries(pattern).flatMap(([field, node]) => faultsOf(field, node))
  if (faults.length > 0) throw new PatternError(faults)
  const tests = Object.entries(pattern).flatMap(([field, node]) =>
    isEventField(field) ? [{ field, test: field === 'type' ? typeTest(node) : nodeTest(node) }] : [],
  )
  return (event) => tests.every(({ field, test }) => test(event[field]))
}

function faultsOf(field: string, node: PatternNode): PatternFault[] {
  if (field === resourceField) return [fault(field, resourceTooLate)]
  if (!isEventField(field)) return [fault(field, `unknown field \`${field}\`${suggestion(field, eventFields)}`)]
  if (nestedFields.includes(field)) return isMap(node) ? [] : [fault(field, `\`${field}\` holds fields: expected a map`)]
  if (isMap(node)) return [fault(field, `\`${field}\` is text: expected a value or a list of values`)]
  const odd = scalarsOf(node).find((value) => typeof value !== 'string' && !(value === null && nullableFields.includes(field)))
  return odd === undefined ? [] : [fault(field, `\`${field}\` is text: ${String(odd)} never matches, quote it if text is meant`)]
}

function fault(field: string, message: string): PatternFault {
  return { path: [field], message }
}

function nodeTest(node: PatternNode): Test {
  if (isMap(node)) return mapTest(node)
  const wanted = new Set<unknown>(scalarsOf(node))
  return (value) => (Array.isArray(value) ? value.some((member) => wanted.has(member)) : wanted.has(value))
}

function mapTest(fields: Pattern): Test {
  const tests = Object.entries(fields).map(([field, node]) => ({ field, test: nodeTest(node) }))
  const matches: Test = (value) =>
    isObject(value) &&
    !Array.isArray(value) &&
    tests.every(({ field, test }) => Object.hasOwn(value, field) && test(value[field]))
  // One level of list and no more: how deep this recurses is up to the pattern, never to the sender.
  return (value) => (Array.isArray(value) ? value.some(matches) : matches(value))
}

function typeTest(node: PatternNode): Test {
  const { exact, globs } = typesOf(node)
  const wanted = new Set<unknown>(exact)
  const tests = globs.map(globTest)
  return (type) => wanted.has(type) || (typeof type === 'string' && tests.some((matches) => matches(type)))
}

function typesOf(node: PatternNode): { exact: string[]; globs: string[] } {
  const names = isMap(node) ? [] : scalarsOf(node).filter((name) => typeof name === 'string')
  return {
    exact: names.flatMap((name) => (name.includes('*') ? [] : [name, sameType.get(name) ?? name])),
    globs: names.filter((name) => name.includes('*')),
  }
}

/** Where an event holds something: a field, and in one that holds JSON the names that lead on. */
export interface Place {
  field: keyof RelayEvent
  names: readonly string[]
}

/** A place where every event that matches holds one of these values. */
export interface Demand extends Place {
  values: readonly Scalar[]
}

/** What a pattern demands; nothing where a glob is among the alternatives. */
export function demandsOf(pattern: Pattern): Demand[] {
  return Object.entries(pattern).flatMap(([field, node]) => {
    if (!isEventField(field)) return []
    if (field !== 'type') return demandsUnder(node, field, [])
    const { exact, globs } = typesOf(node)
    return globs.length > 0 ? [] : [{ field, names: [], values: exact }]
  })
}

function demandsUnder(node: PatternNode, field: keyof RelayEvent, names: readonly string[]): Demand[] {
  if (!isMap(node)) return [{ field, names, values: scalarsOf(node) }]
  return Object.entries(node).flatMap(([name, child]) => demandsUnder(child, field, [...names, name]))
}

/** The values that a test of this place looks at: one, or as many as there are in lists on the way. */
export function valuesAt(event: RelayEvent, { field, names }: Place): readonly unknown[] {
  return valuesUnder(event[field], names, 0)
}

function valuesUnder(value: unknown, names: readonly string[], depth: number): readonly unknown[] {
  if (Array.isArray(value)) {
    return value.flatMap((member: unknown) => (Array.isArray(member) ? [] : valuesUnder(member, names, depth)))
  }
  const name = names[depth]
  if (name === undefined) return [value]
  return isObject(value) && Object.hasOwn(value, name) ? valuesUnder(value[name], names, depth + 1) : []
}

/** Looks for the pieces between the stars from left to right: no backtracking, so no input makes it slow. */
function globTest(glob: string): (text: string) => boolean {
  const [head = '', ...rest] = glob.split('*')
  const tail = rest.pop() ?? ''
  return (text) => {
    if (text.length < head.length + tail.length || !text.startsWith(head) || !text.endsWith(tail)) return false
    let from = head.length
    for (const piece of rest) {
      const found = text.indexOf(piece, from)
      if (found === -1) return false
      from = found + piece.length
    }
    return from <= text.length - tail.length
  }
}

function scalarsOf(node: Scalar | Scalar[]): Scalar[] {
  return Array.isArray(node) ? node : [node]
}

function isMap(node: PatternNode): node is Pattern {
  return isObject(node) && !Array.isArray(node)
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
