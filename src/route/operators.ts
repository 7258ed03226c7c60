/** The operators of patterns: `{ prefix: batch. }` in a list of values. Those of EventBridge, by its semantics. */
import ipaddr from 'ipaddr.js'
import { isMap } from '../json-map.ts'
import { suggestion } from './nearest.ts'
import { piecesOf, wildcardTest } from './wildcard.ts'

export type Scalar = string | number | boolean | null

/** Of a value that is there and neither a map nor a list. */
export type ScalarTest = (value: unknown) => boolean

export type Alternative =
  | { kind: 'exact'; value: Scalar }
  | Test
  /** Of anything that is there, maps and lists too; or of nothing. */
  | { kind: 'exists'; exists: boolean }

export interface Test {
  kind: 'test'
  matches: ScalarTest
  /** Also true of a value without a counterpart: `anything-but`. */
  negative: boolean
  /** In steps of steps.ts, for each value. */
  steps: number
  /** Where it may look at a text from end to end. */
  stepsPerCharacter: number
  /** No text matches. */
  numbersOnly?: true
}

const stepsPerTest = 1

/** An address is parsed twice: 1 µs, 17 µs of IPv6. */
const stepsPerAddress = { ipv4: 100, ipv6: 2_000 }

/** Why an operator is none, or can never match. */
export class OperatorError extends Error {}

/** @throws OperatorError */
export function readAlternative(written: unknown): Alternative {
  if (isScalar(written)) return { kind: 'exact', value: written }
  if (!isMap(written)) throw new OperatorError(`expected a value or an operator such as { prefix: batch. }`)
  const [entry, ...more] = Object.entries(written)
  if (entry === undefined || more.length > 0) {
    throw new OperatorError(
      `expected one operator in each map${entry === undefined ? '' : `: ${[entry, ...more].map(([key]) => `{ ${key}: … }`).join(', ')}`}`,
    )
  }
  const [name, argument] = entry
  const read = readers.get(name)
  if (read === undefined) throw new OperatorError(`unknown operator \`${name}\`${suggestion(name, [...readers.keys()])}`)
  return read(argument)
}

const readers = new Map<string, (argument: unknown) => Alternative>([
  ['prefix', (argument) => edge('prefix', argument)],
  ['suffix', (argument) => edge('suffix', argument)],
  ['equals-ignore-case', (argument) => test(ignoringCase(textIn('equals-ignore-case', argument)))],
  ['wildcard', (argument) => wildcard(starred(argument))],
  ['anything-but', anythingBut],
  ['numeric', (argument) => ({ ...test(numeric(argument)), numbersOnly: true })],
  ['exists', exists],
  ['cidr', cidr],
])

export const operators: readonly string[] = [...readers.keys()]

function test(matches: ScalarTest): Test {
  return { kind: 'test', matches, negative: false, steps: stepsPerTest, stepsPerCharacter: 0 }
}

function exists(argument: unknown): Alternative {
  if (typeof argument !== 'boolean') throw new OperatorError('`exists` takes true or false')
  return { kind: 'exists', exists: argument }
}

function textIn(operator: string, argument: unknown): string {
  if (typeof argument === 'string') return argument
  throw new OperatorError(`\`${operator}\` takes a text, not ${kindOf(argument)}`)
}

/** Never the value itself: a part of it may come from a variable. */
function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'a map' : typeof value === 'number' ? 'a number' : 'true or false'
}

/** `prefix: x`, or `prefix: { equals-ignore-case: x }`. */
function edge(operator: 'prefix' | 'suffix', argument: unknown): Test {
  const lower = isMap(argument) && Object.keys(argument).join() === 'equals-ignore-case'
  const wanted = textIn(operator, lower ? argument['equals-ignore-case'] : argument)
  if (wanted === '')
    throw new OperatorError(`\`${operator}\` of an empty text matches every text: use { wildcard: '*' } if that is meant`)
  const fits = (text: string, end: string) => (operator === 'prefix' ? text.startsWith(end) : text.endsWith(end))
  const folded = wanted.toLowerCase()
  if (!lower) return test(ofText((text) => fits(text, wanted)))
  return { ...test(ofText((text) => fits(text.toLowerCase(), folded))), stepsPerCharacter: 1 }
}

function ignoringCase(wanted: string): ScalarTest {
  const folded = wanted.toLowerCase()
  return ofText((text) => text.length <= 2 * wanted.length && text.toLowerCase() === folded)
}

function starred(argument: unknown): string[] {
  const written = textIn('wildcard', argument)
  if (/\\(?![\\*])/.test(written.replaceAll('\\\\', '')))
    throw new OperatorError('`wildcard`: `\\` stands before `*` or another `\\` only: one that is meant is written `\\\\`')
  const pieces = piecesOf(written, true)
  if (pieces.slice(1, -1).includes('')) throw new OperatorError('`wildcard`: two stars beside each other are as one: write one')
  return pieces
}

/** @param pieces between the stars */
export function wildcard(pieces: readonly string[]): Test {
  return { ...test(ofText(wildcardTest(pieces))), stepsPerCharacter: 1 }
}

const nested = new Set(['prefix', 'suffix', 'equals-ignore-case', 'wildcard'])

/** A value, several, or one operator on texts with one argument or several. */
function anythingBut(argument: unknown): Test {
  if (isMap(argument)) {
    const [entry, ...more] = Object.entries(argument)
    const read = entry === undefined ? undefined : readers.get(entry[0])
    if (entry === undefined || read === undefined || more.length > 0 || !nested.has(entry[0]))
      throw new OperatorError(`\`anything-but\` takes values, or one of ${[...nested].map((one) => `{ ${one}: … }`).join(', ')}`)
    const tests = listOf(entry[1]).flatMap((one) => asTest(read(one)))
    const steps = tests.reduce((sum, one) => sum + one.steps, 0)
    const matches = (value: unknown) => !tests.some((one) => one.matches(value))
    const stepsPerCharacter = tests.reduce((sum, one) => sum + one.stepsPerCharacter, 0)
    return { kind: 'test', matches, negative: true, steps, stepsPerCharacter }
  }
  const values = listOf(argument)
  const odd = values.find(
    (value) => typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean' && value !== null,
  )
  if (odd !== undefined) throw new OperatorError('`anything-but` takes values, or a list of values')
  const excluded = new Set<unknown>(values)
  return { ...test((value) => !excluded.has(value)), negative: true }
}

function asTest(alternative: Alternative): Test[] {
  return alternative.kind === 'test' ? [alternative] : []
}

function listOf(argument: unknown): readonly unknown[] {
  const list: readonly unknown[] = Array.isArray(argument) ? argument : [argument]
  if (list.length === 0) throw new OperatorError('an empty list excludes nothing')
  return list
}

type Comparison = (value: number, bound: number) => boolean

const comparisons = new Map<unknown, Comparison>([
  ['=', (value, bound) => value === bound],
  ['<', (value, bound) => value < bound],
  ['<=', (value, bound) => value <= bound],
  ['>', (value, bound) => value > bound],
  ['>=', (value, bound) => value >= bound],
])

/** `[">=", 1, "<", 10]`: one comparison, or a lower and an upper bound. */
function numeric(argument: unknown): ScalarTest {
  const parts: readonly unknown[] = Array.isArray(argument) ? argument : []
  const tests: { sign: unknown; bound: number; holds: Comparison }[] = []
  for (let n = 0; n < parts.length; n += 2) {
    const bound = parts[n + 1]
    const holds = comparisons.get(parts[n])
    if (holds === undefined || typeof bound !== 'number' || !Number.isFinite(bound)) throw malformedNumeric()
    tests.push({ sign: parts[n], bound, holds })
  }
  if (tests.length === 0 || tests.length > 2) throw malformedNumeric()
  if (tests.length === 2) checkRange(tests)
  return (value) => typeof value === 'number' && tests.every(({ bound, holds }) => holds(value, bound))
}

function malformedNumeric(): OperatorError {
  return new OperatorError('`numeric` takes a comparison such as ["=", 3], or a range such as [">=", 1, "<", 10]')
}

function checkRange(tests: readonly { sign: unknown; bound: number }[]): void {
  const lower = tests.find(({ sign }) => sign === '>' || sign === '>=')
  const upper = tests.find(({ sign }) => sign === '<' || sign === '<=')
  if (lower === undefined || upper === undefined) throw malformedNumeric()
  const closed = lower.sign === '>=' && upper.sign === '<='
  if (lower.bound > upper.bound || (lower.bound === upper.bound && !closed))
    throw new OperatorError(
      `\`numeric\`: no number is ${String(lower.sign)} ${lower.bound} and ${String(upper.sign)} ${upper.bound}`,
    )
}

function cidr(argument: unknown): Test {
  const written = textIn('cidr', argument)
  if (!ipaddr.isValidCIDR(written)) throw new OperatorError('`cidr`: expected a block such as 10.0.0.0/8 or 2001:db8::/32')
  const block = ipaddr.parseCIDR(written)
  const kind = block[0].kind()
  const matches = ofText((text) => {
    // No address is longer, and parsing one is slower than the rest of a pattern.
    if (text.length > 45 || text.includes(':') !== (kind === 'ipv6') || !isAddress(text)) return false
    return ipaddr.parse(text).match(block)
  })
  return { ...test(matches), steps: stepsPerAddress[kind] }
}

/** Four decimal numbers, or IPv6: the short and octal forms that some readers take are none here. */
function isAddress(text: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text)
}

function ofText(matches: (text: string) => boolean): ScalarTest {
  return (value) => typeof value === 'string' && matches(value)
}

function isScalar(value: unknown): value is Scalar {
  return value === null || ['string', 'number', 'boolean'].includes(typeof value)
}
