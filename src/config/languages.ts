/** Compiles every expression, text and pattern of a configuration, to say at once which of them do not. */
import { compileCondition, compileTopicValue, compileValue, ExpressionError } from '../route/expression.ts'
import { PatternError } from '../route/pattern-tree.ts'
import { compilePattern } from '../route/patterns.ts'
import { compileText, TemplateError } from '../route/template.ts'
import { compileValueTree } from '../route/value-tree.ts'
import { labelOf, type Fault, type Path } from './issues.ts'
import { at, isMap, listOf, mapsIn, targetsOf, textsUnder, type RawMap } from './raw.ts'
import { patternSchema } from './schema.ts'

export function languageFaults(json: unknown): Fault[] {
  const sinks = mapsIn(at(json, ['sinks'])).flatMap(([name, sink]) => sinkFaults(sink, ['sinks', name]))
  const rules = listOf(at(json, ['rules'])).flatMap((rule, index) => (isMap(rule) ? ruleFaults(rule, ['rules', index]) : []))
  return [...sinks, ...rules]
}

function ruleFaults(rule: RawMap, path: Path): Fault[] {
  return [
    ...patternFaults(rule['when'], [...path, 'when']),
    ...expressionFaults(rule['if'], [...path, 'if'], compileCondition),
    ...targetsOf(rule).flatMap(({ target }, index) => sinkFaults(target, [...path, 'to', index])),
  ]
}

/** What sinks and rules say alike. (A table's key is a list of columns.) */
function sinkFaults(map: RawMap, path: Path): Fault[] {
  return [
    ...textFaults(map['text'], [...path, 'text']),
    ...textFaults(map['blocks'], [...path, 'blocks']),
    ...textFaults(map['headers'], [...path, 'headers']),
    ...(isMap(map['topic']) ? expressionFaults(map['topic']['value'], [...path, 'topic', 'value'], compileTopicValue) : []),
    ...expressionFaults(map['key'], [...path, 'key'], compileValue),
    ...valueFaults(map['value'], [...path, 'value']),
    ...columnFaults(map['columns'], [...path, 'columns']),
  ]
}

/** An expression, or a map or list of them. The schema has seen to one that is empty; not to those inside. */
function valueFaults(value: unknown, path: Path): Fault[] {
  const texts = textsUnder(value, path)
  const each = texts.flatMap(({ text, path: where }) => {
    if (text !== '' || where.length === path.length) return expressionFaults(text, where, compileValue)
    return [{ path: where, message: `\`${labelOf(where)}\`: must not be empty: an empty text is \`"''"\`` }]
  })
  // Each may be small enough, and all together not.
  if (each.length > 0 || typeof value === 'string') return each
  return compileFaults(path, () =>
    compileValueTree(
      texts.map(({ text }) => text),
      'value',
    ),
  )
}

function columnFaults(columns: unknown, path: Path): Fault[] {
  if (!isMap(columns)) return []
  return Object.entries(columns).flatMap(([name, column]) => {
    if (isMap(column)) return expressionFaults(column['value'], [...path, name, 'value'], compileValue)
    return expressionFaults(column, [...path, name], compileValue)
  })
}

function expressionFaults(source: unknown, path: Path, compile: (source: string) => unknown): Fault[] {
  return typeof source !== 'string' || source === '' ? [] : compileFaults(path, () => compile(source))
}

function compileFaults(path: Path, compile: () => unknown): Fault[] {
  try {
    compile()
    return []
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    return [error, ...error.further].map(({ offset, message }) => ({
      path,
      ...(offset === undefined ? {} : { offset }),
      message: `\`${labelOf(path)}\`: ${message}`,
      quotes: true,
    }))
  }
}

/** A text, or a structure with texts in it. */
function textFaults(value: unknown, path: Path): Fault[] {
  return textsUnder(value, path).flatMap(({ text, path: where }) => templateFaults(text, where))
}

function templateFaults(value: string, path: Path): Fault[] {
  try {
    compileText(value, { escape: 'none' })
    return []
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    return [error, ...error.further].map(({ line, column, message }) => ({
      path,
      ...(line === undefined || column === undefined ? {} : { offset: offsetOf(value, line, column) }),
      message: `\`${labelOf(path)}\`: ${message}`,
      quotes: true,
    }))
  }
}

/** In UTF-16 units, of a place that is 1-based. */
export function offsetOf(text: string, line: number, column: number): number {
  const before = text.split('\n').slice(0, line - 1)
  return before.reduce((sum, { length }) => sum + length + 1, 0) + column - 1
}

function patternFaults(when: unknown, path: Path): Fault[] {
  const pattern = patternSchema.safeParse(when)
  if (!pattern.success) return [] // absent, or not the shape of one: the schema has said so
  try {
    compilePattern(pattern.data)
    return []
  } catch (error) {
    if (!(error instanceof PatternError)) throw error
    return error.faults.map(({ path: where, message }) => {
      const place = [...path, ...where]
      return typeof place.at(-1) === 'number' ? { path: place, message } : { path: place, at: 'key', message }
    })
  }
}
