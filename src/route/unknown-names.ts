/** Names in an expression that nobody has, with the nearest that there is. */
import { TypeError as CelTypeError, type ASTNode, type Environment } from '@marcbachmann/cel-js'
import { callOf, childrenOf, type Call } from './ast.ts'
import { eventFields, resourceField, resourceTooLate } from './fields.ts'
import { suggestion } from './nearest.ts'

export interface UnknownName {
  name: string
  /** Of `event`; otherwise it stands by itself. */
  isField: boolean
  message: string
  /** In UTF-16 units from the start of the source. */
  offset: number
}

/** Codes of the checker that mean: nobody has it. */
const unknownNameCodes = new Set(['no_such_key', 'unknown_variable'])

/** Each costs another check. */
const mostNames = 10

/**
 * The checker stops at the first. It is told that there is such a name, and asked again.
 *
 * @param error of the first check
 * @param recheck the error of a check to which these names are known
 * @returns none where the error is about something else
 */
export function unknownNames(error: unknown, source: string, recheck: (known: readonly UnknownName[]) => unknown): UnknownName[] {
  const found: UnknownName[] = []
  let next = unknownIn(error, source)
  while (next !== undefined && found.length < mostNames && !includes(found, next)) {
    found.push(next)
    next = unknownIn(recheck(found), source)
  }
  return found
}

function includes(found: readonly UnknownName[], { name, isField }: UnknownName): boolean {
  return found.some((one) => one.name === name && one.isField === isField)
}

function unknownIn(error: unknown, source: string): UnknownName | undefined {
  if (!(error instanceof CelTypeError) || !unknownNameCodes.has(error.code) || error.range === undefined) return undefined
  const { start: offset, end } = error.range
  const text = source.slice(offset, end)
  if (error.code === 'unknown_variable') return { name: text, isField: false, message: unknownVariable(text), offset }
  const name = /(\w+)\W*$/.exec(text)?.[1] ?? text // `typ` of event.typ and of event["typ"]
  const message = name === resourceField ? resourceTooLate : `\`event\` has no field \`${name}\`${suggestion(name, eventFields)}`
  return { name, isField: true, message, offset }
}

export function unknownVariable(name: string): string {
  const hint = eventFields.includes(name) ? `, did you mean \`event.${name}\`?` : suggestion(name, ['event'])
  return `unknown name \`${name}\`${hint === '' ? ': the only variable is `event`' : hint}`
}

/** The checker says only that no function of this name takes these types. @returns undefined where there is one of this name */
export function unknownFunction(
  error: CelTypeError,
  source: string,
  environment: Environment,
): { message: string; offset: number } | undefined {
  const { range } = error
  if (error.code !== 'no_matching_overload' || range === undefined) return undefined
  const call = callAt(environment.parse(source).ast, range)
  const known = new Set(environment.getDefinitions().functions.map(({ name }) => name))
  if (call === undefined || known.has(call.name)) return undefined
  const offset = source.indexOf(call.name, call.receiver?.end ?? range.start)
  return { message: `there is no function \`${call.name}\`${suggestion(call.name, [...known])}`, offset }
}

function callAt(node: ASTNode, range: { start: number; end: number }): Call | undefined {
  const call = callOf(node)
  if (call !== undefined && node.start === range.start && node.end === range.end) return call
  for (const child of childrenOf(node)) {
    const found = callAt(child, range)
    if (found !== undefined) return found
  }
  return undefined
}
