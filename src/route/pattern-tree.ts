/** Reads a pattern as it is written, with everything that is wrong with it. */
import type { Pattern, PatternNode } from '../config/schema.ts'
import type { RelayEvent } from '../types.ts'
import { eventFields, isEventField, resourceField, resourceTooLate } from './fields.ts'
import { suggestion } from './nearest.ts'
import { OperatorError, readAlternative, wildcard, type Alternative } from './operators.ts'
import { tooLarge } from './pattern-size.ts'
import { piecesOf } from './wildcard.ts'

/** A pattern that no event can match, or that is none. */
export class PatternError extends Error {
  readonly faults: readonly PatternFault[]
  constructor(faults: readonly PatternFault[]) {
    super(faults.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
    this.name = 'PatternError'
    this.faults = faults
  }
}

export interface PatternFault {
  /** Numbers count in lists. */
  path: readonly (string | number)[]
  message: string
}

/** A pattern that was read: what `$or` holds is AND with the fields beside it. */
export interface Fields {
  fields: readonly { name: string; node: Node }[]
  either: readonly Fields[] | undefined
}
export type Node = Fields | Leaf
export interface Leaf {
  alternatives: readonly Alternative[]
  written: PatternNode
}

/** Fields that hold JSON of the sender's making; the others are text. */
const nestedFields: readonly string[] = ['data', 'user_metadata'] satisfies (keyof RelayEvent)[]
const nullableFields: readonly string[] = ['version', 'timestamp'] satisfies (keyof RelayEvent)[]

/** Two spellings of one fact: older documentation says completed, newer says succeeded. */
export const sameType: ReadonlyMap<string, string> = new Map([
  ['batch.completed', 'batch.succeeded'],
  ['batch.succeeded', 'batch.completed'],
])

/** @throws PatternError with everything in it that is unknown or could never match */
export function readPattern(pattern: Pattern): Fields {
  const large = tooLarge(pattern)
  if (large !== undefined) throw new PatternError([large])
  const faults: PatternFault[] = []
  const read = readFields(pattern, [], faults)
  if (faults.length > 0) throw new PatternError(faults)
  return read
}

/** @param path names that lead to these fields; none: they are those of the event */
function readFields(pattern: Pattern, path: PatternFault['path'], faults: PatternFault[]): Fields {
  const fields: { name: string; node: Node }[] = []
  let either: Fields[] | undefined
  for (const [name, written] of Object.entries(pattern)) {
    const here = [...path, name]
    if (name === '$or') either = readEither(written, here, faults)
    else if (isTopLevel(path) && name === resourceField) faults.push({ path: here, message: resourceTooLate })
    else if (isTopLevel(path) && !isEventField(name))
      faults.push({ path: here, message: `unknown field \`${name}\`${suggestion(name, [...eventFields, '$or'])}` })
    else {
      const misfit = isTopLevel(path) ? misfitOf(name, written) : undefined
      if (misfit === undefined) fields.push({ name, node: readNode(written, here, faults) })
      else faults.push({ path: here, message: misfit })
    }
  }
  return { fields, either }
}

/** Alternatives of `$or` are looked for where it stands. */
function isTopLevel(path: PatternFault['path']): boolean {
  return path.every((step) => step === '$or' || typeof step === 'number')
}

function readEither(written: PatternNode, path: PatternFault['path'], faults: PatternFault[]): Fields[] {
  const list: readonly unknown[] = Array.isArray(written) ? written : []
  if (list.length < 2 || !list.every(isPattern)) {
    faults.push({ path, message: '`$or` takes a list of two or more patterns' })
    return []
  }
  return list.map((alternative, n) => {
    const here = [...path, n]
    if (Object.keys(alternative).length === 0) faults.push({ path: here, message: 'an empty pattern matches everything' })
    return readFields(alternative, here, faults)
  })
}

function readNode(written: PatternNode, path: PatternFault['path'], faults: PatternFault[]): Node {
  if (isPattern(written)) return readFields(written, path, faults)
  const list: readonly unknown[] = Array.isArray(written) ? written : [written]
  const alternatives: Alternative[] = []
  for (const [n, item] of list.entries()) {
    try {
      alternatives.push(...spelled(path, readAlternative(item)))
    } catch (error) {
      if (!(error instanceof OperatorError)) throw error
      faults.push({ path: Array.isArray(written) ? [...path, n] : path, message: error.message })
    }
  }
  checkText(path, alternatives, faults)
  return { alternatives, written }
}

/** In `type` a text with stars is a glob, and the two spellings of one type are the same. */
function spelled(path: PatternFault['path'], alternative: Alternative): Alternative[] {
  if (!isTextField(path) || path.at(-1) !== 'type') return [alternative]
  if (alternative.kind === 'test') return [{ ...alternative, matches: inBothSpellings(alternative) }]
  if (alternative.kind === 'exists' || typeof alternative.value !== 'string') return [alternative]
  if (alternative.value.includes('*')) {
    return [wildcard(piecesOf(alternative.value, false))]
  }
  const other = sameType.get(alternative.value)
  return other === undefined ? [alternative] : [alternative, { kind: 'exact', value: other }]
}

function inBothSpellings({ matches, negative }: Extract<Alternative, { kind: 'test' }>): (value: unknown) => boolean {
  return (value) => {
    const other = typeof value === 'string' ? sameType.get(value) : undefined
    if (other === undefined) return matches(value)
    return negative ? matches(value) && matches(other) : matches(value) || matches(other)
  }
}

function isTextField(path: PatternFault['path']): boolean {
  const name = path.at(-1)
  return isTopLevel(path.slice(0, -1)) && typeof name === 'string' && !nestedFields.includes(name)
}

function misfitOf(field: string, written: PatternNode): string | undefined {
  if (nestedFields.includes(field)) return isPattern(written) ? undefined : `\`${field}\` holds fields: expected a map`
  return isPattern(written) ? `\`${field}\` is text: expected a value or a list of values` : undefined
}

/** What a field of text can never be. */
function checkText(path: PatternFault['path'], alternatives: readonly Alternative[], faults: PatternFault[]): void {
  if (!isTextField(path)) return
  const field = String(path.at(-1))
  for (const alternative of alternatives) {
    if (alternative.kind === 'exists' && !alternative.exists)
      faults.push({ path, message: `\`${field}\` is there in every event: exists: false never matches${nullHint(field)}` })
    if (alternative.kind === 'test' && alternative.numbersOnly === true)
      faults.push({ path, message: `\`${field}\` is text: \`numeric\` never matches` })
    if (alternative.kind !== 'exact' || typeof alternative.value === 'string') continue
    if (alternative.value === null && nullableFields.includes(field)) continue
    const message = `\`${field}\` is text: ${String(alternative.value)} never matches, quote it if text is meant`
    faults.push({ path, message })
  }
}

function nullHint(field: string): string {
  return nullableFields.includes(field) ? ', and null stands for none' : ''
}

function isPattern(node: unknown): node is Pattern {
  return typeof node === 'object' && node !== null && !Array.isArray(node)
}
