/** Filters and operators of texts, with what they take counted before they begin. */
import { CaseTag, defaultOperators, filters, type Context, type Emitter, type FilterImplOptions, type Liquid } from 'liquidjs'
import { weightOf } from './text-work.ts'

/** In steps of text-work.ts. */
interface Cost {
  /** For each member of the list that is filtered. */
  member?: number
  /** For each character of the value, beside the one that the library counts for most filters. */
  character?: number
  /** The first argument is an expression, or a field, that is read for each member. */
  reads?: true
}

const lookup: Cost = { member: 150, reads: true }

/**
 * Measured on lists of 130,000 numbers and texts of 256 KiB, the first time, which takes longest. Filters that are not here
 * cost what the library counts.
 */
const costs: Readonly<Record<string, Cost>> = {
  sort: { member: 40, character: 1 },
  sort_natural: { member: 60, character: 16 },
  map: { member: 40, reads: true },
  sum: { member: 30, character: 1, reads: true },
  where: lookup,
  reject: lookup,
  has: lookup,
  find: lookup,
  find_index: lookup,
  group_by: lookup,
  where_exp: lookup,
  reject_exp: lookup,
  has_exp: lookup,
  find_exp: lookup,
  find_index_exp: lookup,
  group_by_exp: lookup,
  uniq: { member: 10, character: 1 },
  compact: { member: 4 },
  reverse: { member: 2 },
  concat: { member: 2 },
  push: { member: 2 },
  unshift: { member: 2 },
  pop: { member: 2 },
  shift: { member: 2 },
  slice: { character: 1 },
  escape: { character: 2 },
  escape_once: { character: 2 },
  xml_escape: { character: 2 },
  url_encode: { character: 3 },
  url_decode: { character: 3 },
  cgi_escape: { character: 4 },
  uri_escape: { character: 3 },
  slugify: { character: 5 },
  strip_html: { character: 1 },
  newline_to_br: { character: 2 },
  squish: { character: 2 },
  normalize_whitespace: { character: 2 },
  number_of_words: { character: 2 },
  truncatewords: { character: 2 },
  json: { character: 1 },
  jsonify: { character: 1 },
  inspect: { character: 1 },
  raw: { character: 1 },
}

/** These take no longer for a longer list. */
const free = new Set(['size', 'first', 'last', 'default'])

/** These take lists, and do not write them out. */
const ofLists = new Set(Object.keys(costs).filter((name) => costs[name]?.member !== undefined))
const joining = new Set(['concat', 'push', 'unshift'])

/** Looking for a long text in a long text takes time in proportion to their product. */
const searching = new Set(['split', 'remove', 'remove_first', 'remove_last', 'replace', 'replace_first', 'replace_last'])

/** Weekdays, months and local forms of dates come from Intl: 40 µs each. */
const stepsPerName = 4_000
const named = /%[-_0^#:\d]*[aAbBhcxX]/g
const dates: Readonly<Record<string, number>> = { date_to_rfc822: 2, date_to_string: 1, date_to_long_string: 1 }
const namesInDefault = 2

const stepsPerFilter = 40

/** Filters that texts do not have, and why. */
export const withoutFilters: ReadonlyMap<string, string> = new Map([
  ['sample', 'it takes long for a long text, and what it shows is another each time; `first` and `slice` are there'],
])

export function boundFilters(engine: Liquid): void {
  for (const [name, filter] of Object.entries(filters)) engine.registerFilter(name, bounded(name, filter))
  // The library's own call a function for each value, to count it: ten times as long.
  for (const name of ['json', 'jsonify', 'inspect']) engine.registerFilter(name, bounded(name, json))
  for (const name of withoutFilters.keys()) delete engine.filters[name]
  engine.registerTag('case', BoundedCase)
}

function json(value: unknown, space?: string | number): string | undefined {
  return JSON.stringify(value, undefined, space)
}

function bounded(name: string, filter: FilterImplOptions): FilterImplOptions {
  const { handler, raw } = typeof filter === 'function' ? { handler: filter, raw: false } : filter
  return {
    raw,
    handler(value: unknown, ...args: unknown[]): unknown {
      if (!free.has(name)) this.context.memoryLimit.use(stepsOf(name, value, args))
      return handler.call(this, value, ...args)
    },
  }
}

function stepsOf(name: string, value: unknown, args: readonly unknown[]): number {
  const { member = 0, character = 0, reads } = costs[name] ?? {}
  const members = Array.isArray(value) ? value.length : 1
  // A text may be read as a number, which the library does not count.
  let steps = stepsPerFilter + members * member + [value, ...args].reduce<number>((sum, one) => sum + textSteps(one), 0)
  if (typeof value === 'string' || !ofLists.has(name)) steps += writtenOut(value) + lengthOf(value) * character
  else if (character > 0) steps += weightOf(value) * character
  if (!joining.has(name)) for (const one of args) steps += writtenOut(one) * members
  // An expression is read once, and evaluated for each member.
  if (reads) for (const one of args) steps += lengthOf(one) * 16 * (name.endsWith('_exp') ? members : 1)
  if (searching.has(name)) steps += searchSteps(value, args[0])
  if (name === 'date')
    steps += (typeof args[0] === 'string' ? [...args[0].matchAll(named)].length : namesInDefault) * stepsPerName
  return steps + (dates[name] ?? 0) * stepsPerName
}

/** Lists and objects become text first; a text is one. */
function writtenOut(value: unknown): number {
  return typeof value === 'object' && value !== null ? weightOf(value) : 0
}

function lengthOf(value: unknown): number {
  return typeof value === 'string' || typeof value === 'object' ? weightOf(value) : 0
}

function searchSteps(text: unknown, wanted: unknown): number {
  return typeof text === 'string' && typeof wanted === 'string' ? (text.length * wanted.length) / 64 : 0
}

const comparing = ['==', '!=', '<', '<=', '>', '>=']

/** Lists are compared member by member, and anything is compared with a number by making one of it. */
export const boundedOperators = {
  ...defaultOperators,
  ...Object.fromEntries(comparing.map((name) => [name, boundedOperator(name, comparisonSteps)])),
  contains: boundedOperator('contains', containsSteps),
}

function boundedOperator(name: string, steps: (left: unknown, right: unknown) => number): (typeof defaultOperators)[string] {
  const operator = defaultOperators[name]
  return (left: unknown, right: unknown, context: Context) => {
    context.memoryLimit.use(steps(left, right))
    return operator === undefined ? false : operator(left, right, context)
  }
}

function comparisonSteps(left: unknown, right: unknown): number {
  return 4 * (writtenOut(left) + writtenOut(right)) + textSteps(left) + textSteps(right)
}

function textSteps(value: unknown): number {
  return typeof value === 'string' ? value.length / 16 : 0
}

function containsSteps(left: unknown, right: unknown): number {
  if (Array.isArray(left)) return left.length * (8 + 4 * writtenOut(right)) + weightOf(left)
  return lengthOf(left) / 2 + searchSteps(left, right) + writtenOut(right)
}

/** It compares what it is about with each of its values, lists member by member. */
class BoundedCase extends CaseTag {
  override *render(context: Context, emitter: Emitter): Generator<unknown, void, unknown> {
    const target = yield this.value.value(context)
    const values = this.branches.reduce((sum, branch) => sum + branch.values.length, 0)
    context.memoryLimit.use(4 * values * writtenOut(target))
    yield* super.render(context, emitter)
  }
}
