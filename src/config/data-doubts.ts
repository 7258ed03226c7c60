/** Fields of `data` that the events of a rule do not have, in its pattern, its condition and what its sinks show. */
import { catalogTypes, dataFieldsOf, type CatalogType } from '../gemini/catalog.ts'
import { compileValue, ExpressionError } from '../route/expression.ts'
import { mentionsIn } from '../route/mentions.ts'
import { nearest, suggestion } from '../route/nearest.ts'
import { mentionsInText } from '../route/template.ts'
import type { Fault, Path } from './issues.ts'
import { offsetOf } from './languages.ts'
import { fieldsOf, joined, reachOf, type Reach } from './reach.ts'
import { isMap, listOf } from './raw.ts'
import { renderedTextsIn } from './rendered-texts.ts'
import type { Config, Pattern, PatternNode, SinkConfig } from './schema.ts'
import { alternativesOf, eventOf, type World } from './world.ts'

export function dataDoubts({ rules, sinks }: Pick<Config, 'rules' | 'sinks'>, world: World): Fault[] {
  const reaches = rules.map((rule) => reachOf(rule, world))
  const ofRules = rules.flatMap((rule, index) => {
    const reach = reaches[index]
    if (reach === undefined) return []
    const path: Path = ['rules', index]
    return [
      ...(rule.when === undefined ? [] : patternDoubts(rule.when, [...path, 'when'], reach)),
      ...(rule.if === undefined ? [] : conditionDoubts(rule.if, [...path, 'if'], reach)),
      ...rule.to.flatMap((target, n) => shownDoubts(target, [...path, 'to', n], reach)),
    ]
  })
  const ofSinks = Object.entries(sinks).flatMap(([name, sink]) => {
    const reachFor: ReachFor = (key, part) =>
      joined(
        rules.flatMap(({ to }, index) =>
          to.filter((target) => target.sink === name && !saysItself(target, key, part)).map(() => reaches[index]),
        ),
      )
    return sinkDoubts(sink, ['sinks', name], reachFor)
  })
  return [...ofRules, ...ofSinks]
}

/** Of the rules that leave this key, or this part of it, to the sink. */
type ReachFor = (key: string, part?: string) => Reach | undefined

/** A rule that says its own text and no blocks means that text, not the sink's blocks. */
function saysItself(target: object, key: string, part?: string): boolean {
  if (part === undefined) return key in target || (key === 'blocks' && 'text' in target)
  const parts: unknown = Reflect.get(target, key)
  return (
    isMap(parts) &&
    Object.keys(parts).some((own) => (key === 'headers' ? own.toLowerCase() === part.toLowerCase() : own === part))
  )
}

function sinkDoubts(sink: SinkConfig, path: Path, reachFor: ReachFor): Fault[] {
  const ofWholes = ['text', 'blocks', 'topic', 'key', 'value'].flatMap((key) => {
    const reach = reachFor(key)
    return reach === undefined ? [] : shownDoubts({ [key]: Reflect.get(sink, key) }, path, reach)
  })
  const ofParts = ['headers', 'columns'].flatMap((key) => {
    const parts: unknown = Reflect.get(sink, key)
    return Object.entries(isMap(parts) ? parts : {}).flatMap(([part, said]) => {
      const reach = reachFor(key, part)
      return reach === undefined ? [] : shownDoubts({ [key]: { [part]: said } }, path, reach)
    })
  })
  return [...ofWholes, ...ofParts]
}

function shownDoubts(map: object, path: Path, reach: Reach): Fault[] {
  return renderedTextsIn(map, path).flatMap(({ language, text, path: here }) =>
    language === 'liquid' ? textDoubts(text, here, reach) : valueDoubts(text, here, reach),
  )
}

function patternDoubts(pattern: Pattern, path: Path, reach: Reach): Fault[] {
  const ofOwn = dataFieldsIn(pattern['data']).flatMap((field): Fault[] => {
    const doubt = doubtAbout(field, reach)
    if (doubt === undefined) return []
    return [{ path: [...path, 'data', field], at: 'key', message: `\`data.${field}\`: ${doubt}` }]
  })
  const alternatives = alternativesOf(pattern['$or'] ?? [])
  return [...ofOwn, ...alternatives.flatMap((one, n) => patternDoubts(one, [...path, '$or', n], reach))]
}

/** Those that have to be there. */
function dataFieldsIn(data: PatternNode | undefined): string[] {
  if (!isMap(data)) return []
  return Object.entries(data).flatMap(([field, node]) => (field === '$or' || listOf(node).some(isAbsence) ? [] : [field]))
}

function isAbsence(item: unknown): boolean {
  return isMap(item) && item['exists'] === false
}

function conditionDoubts(condition: string, path: Path, reach: Reach): Fault[] {
  const idle = mentionsIn(condition)
    .compared('type')
    .flatMap(({ name, offset }): Fault[] => {
      if (reach.all.includes(name) || (reach.open && !isNearly(name))) return []
      const hint = suggestion(name, reach.types)
      return [{ path, offset, message: `\`if\`: no event of the type \`${name}\` comes to this rule${hint}`, quotes: true }]
    })
  return [...idle, ...expressionDoubts(condition, path, reach)]
}

/** A misspelt type of the catalog; others may come where no type is asked for. */
function isNearly(type: string): boolean {
  return nearest(type, catalogTypes) !== undefined
}

function expressionDoubts(source: string, path: Path, reach: Reach): Fault[] {
  return mentionsIn(source).data.flatMap(({ name, offset }): Fault[] => {
    const doubt = doubtAbout(name, reach)
    return doubt === undefined ? [] : [{ path, offset, message: `\`event.data.${name}\`: ${doubt}`, quotes: true }]
  })
}

/** Columns, keys and values: where a field is missing, the delivery dies. */
function valueDoubts(source: string, path: Path, reach: Reach): Fault[] {
  const { data } = mentionsIn(source)
  const unknown = expressionDoubts(source, path, reach)
  if (data.length === 0 || unknown.length > 0 || reach.narrowed) return unknown
  const misses = missesOf(source)
  // For lack of a field that the type does not have, and for no other reason.
  const deadly = reach.types.filter((type) => misses(type, dataFieldsOf(type)) && !misses(type, fieldsOf(catalogTypes)))
  const culprit = data.find(({ name }) => deadly.some((type) => !holds(type, name)))
  if (culprit === undefined) return []
  const { name, offset } = culprit
  const message = `\`event.data.${name}\` is missing in ${listed(deadly)}, whose deliveries die of it: write \`event.data.?${name}.orValue(null)\``
  return [{ path, offset, message, quotes: true }]
}

/** Whether evaluating this misses something in an event with these fields. */
function missesOf(source: string): (type: string, fields: readonly string[]) => boolean {
  const evaluate = compileValue(source)
  return (type, fields) => {
    const data = Object.fromEntries(fields.map((field) => [field, field === 'error_count' ? 1 : 'text']))
    try {
      evaluate(eventOf({ type, data }))
      return false
    } catch (error) {
      return error instanceof ExpressionError && error.code === 'missing'
    }
  }
}

function textDoubts(value: string, path: Path, reach: Reach): Fault[] {
  return mentionsInText(value).flatMap(({ path: [field, name], bare, line, column }): Fault[] => {
    if (field !== 'data' || name === undefined) return []
    const doubt = doubtAbout(name, reach) ?? (bare ? gapIn(name, reach) : undefined)
    if (doubt === undefined) return []
    return [{ path, offset: offsetOf(value, line, column), message: `\`event.data.${name}\`: ${doubt}`, quotes: true }]
  })
}

/** Where some of the types lack it. */
function gapIn(name: string, { types, narrowed }: Reach): string | undefined {
  const without = types.filter((type) => !holds(type, name))
  if (narrowed || without.length === 0) return undefined
  return `missing in ${listed(without)}, where nothing is shown: \`| default: "…"\` says what is shown then`
}

/** Why no event of a rule has this field, if that is known. */
function doubtAbout(name: string, { types, open }: Reach): string | undefined {
  if (types.some((type) => holds(type, name))) return undefined
  const hint = suggestion(name, fieldsOf(types))
  // Events that nobody documents may hold anything: only what looks like a slip is doubted.
  if (open) return hint === '' ? undefined : `no type of events that is known has it${hint}`
  const others = catalogTypes.filter((type) => holds(type, name))
  if (others.length > 0) return `no event of this rule has it, only those of ${listed(others)}`
  return `no event of this rule has it${hint === '' ? suggestion(name, fieldsOf(catalogTypes)) : hint}`
}

function holds(type: CatalogType, name: string): boolean {
  return name === 'user_metadata' || dataFieldsOf(type).includes(name)
}

function listed(types: readonly string[]): string {
  const shown = types.slice(0, 3).join(', ')
  return types.length > 3 ? `${shown} and ${types.length - 3} more` : shown
}
