/**
 * CEL over `event`, for conditions (`if`), columns, record keys and the values that are sent.
 *
 * JSON numbers are doubles to CEL and literals such as `10` are ints. They compare with each other as CEL says;
 * arithmetic between them, which CEL leaves undefined, gives a double here: `event.data.error_count + 1` works.
 */
import { EvaluationError, Optional, ParseError, TypeError as CelTypeError, type ASTNode } from '@marcbachmann/cel-js'
import { messageOf } from '../errors.ts'
import type { JobResource, RelayEvent } from '../types.ts'
import { unboundedPart } from './bounds.ts'
import { languageOf, type Language } from './cel-language.ts'
import { literalConversions } from './constants.ts'
import { exactSizes, roughSizes, type Size, type Sizes } from './event-size.ts'
import { workOf } from './expression-work.ts'
import { eventFieldTypes, resourceField } from './fields.ts'
import { missesField } from './missing.ts'
import { maxSteps, maxStepsShown, StepsError } from './steps.ts'
import { bareTypeName } from './type-names.ts'
import { unknownFunction, unknownNames, unknownVariable } from './unknown-names.ts'
import { tooDeep, viewOf } from './view.ts'

/**
 * - `syntax`, `unknown_name`, `type`: it does not compile (`type` also: a condition gave no boolean).
 * - `missing`: this event lacks a field, an index or an optional value.
 * - `limit`: the expression, or this event's data, is larger than is evaluated, or it would take too long; see bounds.ts and
 *   expression-work.ts.
 * - `evaluation`: anything else that goes wrong with this event: a division by zero, a comparison of unlike types.
 */
export type ExpressionErrorCode = 'syntax' | 'unknown_name' | 'type' | 'missing' | 'limit' | 'evaluation'

interface ExpressionErrorOptions {
  cause?: unknown
  further?: readonly ExpressionError[]
}

export class ExpressionError extends Error {
  readonly code: ExpressionErrorCode
  /** Where in the source, in UTF-16 units from its start; undefined when the fault has no place. */
  readonly offset: number | undefined
  /** What else is wrong with the same expression: more names that nobody has. */
  readonly further: readonly ExpressionError[]
  constructor(code: ExpressionErrorCode, message: string, offset?: number, options: ExpressionErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.name = 'ExpressionError'
    this.code = code
    this.offset = offset
    this.further = options.further ?? []
  }
}

/** Rules decide before anything is fetched. */
const conditions = languageOf(eventFieldTypes)

const values = languageOf({ ...eventFieldTypes, [resourceField]: 'dyn' })

/** With the job that the event is about, where it was fetched. */
export type Evaluate = (event: RelayEvent, resource?: JobResource | null) => unknown

/** Codes of the evaluator that mean: this event does not have it. */
const missingCodes = new Set(['no_such_key', 'index_out_of_bounds', 'optional_value_missing'])

/**
 * Compiles an expression for a value. The result is JSON: integers outside the safe range are strings of digits, timestamps
 * ISO 8601 in UTC, durations CEL's `3.5s`, bytes base64, an empty optional null.
 *
 * @throws ExpressionError when it does not compile; so does the function it returns, when this event has no such value
 */
export function compileValue(source: string): Evaluate {
  const { evaluate, ast } = compileUnbounded(source)
  return boundTogether(evaluate, [ast])
}

/** As {@link compileValue}, for one of several that share the steps of one: see {@link boundTogether}. */
export function compileUnbounded(source: string): { evaluate: Evaluate; type: string; ast: ASTNode } {
  const { evaluate, type, ast } = compile(source, values)
  const json: Evaluate = (event, resource) =>
    guarded(() => {
      const value = evaluate(event, resource)
      return isJson(value) ? value : toJson(value)
    })
  return { evaluate: json, type, ast }
}

/**
 * As {@link compileValue}, for the name of a Kafka topic.
 *
 * @throws ExpressionError also when no event can give one
 */
export function compileTopicValue(source: string): Evaluate {
  const { evaluate, type, ast } = compileUnbounded(source)
  if (neverTopic.test(type)) throw new ExpressionError('type', `a topic must be string, this is ${type}`, 0)
  return boundTogether(evaluate, [ast])
}

/**
 * What is no text once it is JSON, or has the colons of a timestamp; `$event` is `event` itself. Durations, bytes and types become
 * texts that can be the name of a topic, and what is `dyn` may be anything.
 */
const neverTopic = /^(?:optional<)*(?:bool|int|uint|double|null|list<|map<|\$event|google\.protobuf\.Timestamp)/

/**
 * @param asts all that `evaluate` evaluates
 * @throws ExpressionError of the code `limit` where they take too long together, for any event; so does the function it returns, for
 *   this one
 */
export function boundTogether(evaluate: Evaluate, asts: readonly ASTNode[]): Evaluate {
  const checkWork = workCheck(asts)
  return (event, resource = null) => {
    checkWork(event, resource)
    return evaluate(event, resource)
  }
}

/**
 * Compiles a condition. A field that is missing makes it false; whatever else goes wrong throws.
 *
 * @throws ExpressionError when it does not compile or can never be a boolean; the function it returns, when it failed
 */
export function compileCondition(source: string): (event: RelayEvent) => boolean {
  const { evaluate, type, ast } = compile(source, conditions)
  const checkWork = workCheck([ast])
  if (type !== 'bool' && !type.startsWith('dyn'))
    throw new ExpressionError('type', `a condition must be bool, this is ${type}`, 0)
  const misses = missesField(ast)
  return (event) => {
    if (misses(event)) return false
    checkWork(event, null)
    try {
      const result = evaluate(event)
      if (typeof result === 'boolean') return result
    } catch (error) {
      if (isMissing(error)) return false // the usual case of a thin event: nothing more is made of it
      throw classified(error)
    }
    throw new ExpressionError('type', 'the condition gave no boolean')
  }
}

/** The tree of an expression that compiles. */
export function parseExpression(source: string): ASTNode {
  return guarded(() => values.environment.parse(source).ast)
}

function compile(source: string, language: Language): { evaluate: Evaluate; type: string; ast: ASTNode } {
  return guarded(() => {
    if (source.length > maxLength)
      throw new ExpressionError('limit', `an expression has ${maxLength.toLocaleString('en-US')} characters at most`, maxLength)
    const parsed = language.environment.parse(source)
    refuse(parsed.ast)
    const { error, type } = parsed.check()
    if (error !== undefined) throw error instanceof CelTypeError ? uncheckable(error, source, language) : classified(error)
    checkConstants(parsed.ast, source, language)
    return {
      evaluate: (event, resource = null) => withoutTraces(() => parsed({ event: viewOf(event, resource) })),
      type: type ?? 'dyn',
      ast: parsed.ast,
    }
  })
}

/** Nobody is told where in the evaluator an error came up, and noting it is most of what an error costs: 5 of 7 µs. */
function withoutTraces<T>(work: () => T): T {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = 0
  try {
    return work()
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

function refuse(ast: ASTNode): void {
  const unbounded = unboundedPart(ast)
  if (unbounded !== undefined) throw new ExpressionError('limit', unbounded.message, unbounded.node.start)
  const bare = bareTypeName(ast)
  if (bare !== undefined) throw new ExpressionError('unknown_name', unknownVariable(bare.name), bare.node.start)
}

function checkConstants(ast: ASTNode, source: string, { environment }: Language): void {
  for (const { start, end } of literalConversions(ast)) {
    try {
      environment.evaluate(source.slice(start, end))
    } catch (error) {
      throw new ExpressionError('evaluation', classified(error).message, start, { cause: error })
    }
  }
}

/** Nobody writes a longer one by hand, and parsing one takes 50 ns a character. */
const maxLength = 20_000

/** For each character of what comes out: it is made JSON. */
const stepsOut = 2

/** An event of 1 KiB: what takes too long for it is no use. */
const small: Size = { members: 100, weight: 1_024 }
/** One beyond any limit. */
const huge: Size = { members: 1e9, weight: 1e9 }

/**
 * @throws ExpressionError of the code `limit` when evaluating takes too long for any event; so does the function it
 *   returns, before anything is evaluated, when it takes too long for this one
 */
function workCheck(asts: readonly ASTNode[]): (event: RelayEvent, resource: JobResource | null) => void {
  const tooLong = (sizes: Sizes) => {
    const works = asts.map((ast) => workOf(ast, sizes))
    return works.reduce((sum, { steps, size }) => sum + steps + stepsOut * size.weight, 0) > maxSteps
  }
  if (tooLong(() => small)) {
    const message = `even with a small event this takes more than the ${maxStepsShown} steps that an expression has`
    throw new ExpressionError('limit', message, asts.length === 1 ? asts[0]?.start : undefined)
  }
  // Most expressions take no longer for a longer event.
  if (!tooLong(() => huge)) return () => {}
  return (event, resource) => {
    if (tooLong(roughSizes(event, resource)) && tooLong(exactSizes(event, resource)))
      throw new ExpressionError('limit', new StepsError('the expression').message)
  }
}

function guarded<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw classified(error)
  }
}

function classified(error: unknown): ExpressionError {
  if (error instanceof ExpressionError) return error
  const cause = { cause: error }
  if (error instanceof ParseError)
    return new ExpressionError(error.code === 'limit_exceeded' ? 'limit' : 'syntax', error.summary, error.range?.start, cause)
  if (error instanceof CelTypeError) return new ExpressionError('type', error.summary, error.range?.start, cause)
  if (error instanceof EvaluationError) {
    return new ExpressionError(isMissing(error) ? 'missing' : 'evaluation', error.summary, error.range?.start, cause)
  }
  return new ExpressionError(error instanceof RangeError ? 'limit' : 'evaluation', messageOf(error), undefined, cause)
}

function isMissing(error: unknown): boolean {
  return error instanceof EvaluationError && missingCodes.has(error.code)
}

function uncheckable(error: CelTypeError, source: string, { fields, environment: own }: Language): ExpressionError {
  const stray = unknownFunction(error, source, own)
  if (stray !== undefined) return new ExpressionError('unknown_name', stray.message, stray.offset, { cause: error })
  const [first, ...others] = unknownNames(error, source, (known) => {
    const ofEvent = known.filter(({ isField }) => isField).map(({ name }) => [name, 'dyn'])
    const { environment } = languageOf({ ...fields, ...Object.fromEntries(ofEvent) })
    for (const { name, isField } of known) if (!isField) environment.registerVariable(name, 'dyn')
    return environment.parse(source).check().error
  })
  if (first === undefined) return new ExpressionError('type', error.summary, error.range?.start, { cause: error })
  const further = others.map(({ message, offset }) => new ExpressionError('unknown_name', message, offset))
  return new ExpressionError('unknown_name', first.message, first.offset, { cause: error, further })
}

/** What was in the event needs no second copy. */
function isJson(value: unknown): boolean {
  if (typeof value !== 'object') return value !== tooDeep && value !== undefined && typeof value !== 'bigint'
  if (value === null) return true
  return Array.isArray(value) ? value.every(isJson) : isPlain(value) && Object.values(value).every(isJson)
}

function toJson(value: unknown): unknown {
  if (value === tooDeep) throw new ExpressionError('limit', "the value is nested deeper than expressions see an event's data")
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString()
  if (typeof value !== 'object' || value === null) return value ?? null
  if (value instanceof Optional) return toJson(value.hasValue() ? value.value() : null)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, child]) => [String(key), toJson(child)]))
  if (isPlain(value)) return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, toJson(child)]))
  return primitiveOf(value)
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** CEL's own classes: an unsigned integer holds a bigint, a duration and a type write themselves. */
function primitiveOf(value: object): unknown {
  const primitive: unknown = value.valueOf()
  if (typeof primitive === 'bigint') return toJson(primitive)
  // oxlint-disable-next-line typescript/no-base-to-string -- those classes have a toString of their own
  const text = String(value)
  return /^Type<.+>$/.test(text) ? text.slice('Type<'.length, -1) : text
}
