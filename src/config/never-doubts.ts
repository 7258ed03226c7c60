/** Patterns and conditions that wait for what never comes: a type that nobody sends, a source that is not there, a scheme that it does not take. */
import { catalogTypes } from '../gemini/catalog.ts'
import { mentionsIn } from '../route/mentions.ts'
import { nearest, suggestion } from '../route/nearest.ts'
import { compilePattern } from '../route/patterns.ts'
import type { Fault, Path } from './issues.ts'
import type { Config, Pattern, PatternItem, PatternNode } from './schema.ts'
import { alternativesOf, eventOf, mayMatch, onlyOf, schemes, type World } from './world.ts'

export function neverDoubts({ rules }: Pick<Config, 'rules'>, world: World): Fault[] {
  return rules.flatMap(({ when, if: condition }, index): Fault[] => {
    if (world.sources.length === 0) return []
    const inCondition = condition === undefined ? [] : idleComparisons(condition, when ?? {}, ['rules', index, 'if'], world)
    if (when === undefined) return inCondition
    const path: Path = ['rules', index, 'when']
    const idle = idleItems(when, path, world)
    if (idle.length > 0 || mayMatch(when, world)) return [...idle, ...inCondition]
    return [{ path, at: 'key', message: 'this matches nothing: there is no event of such a type, source and scheme' }]
  })
}

/** Sources and schemes that an expression compares with; of types data-doubts.ts knows more. */
function idleComparisons(condition: string, when: Pattern, path: Path, world: World): Fault[] {
  const { compared } = mentionsIn(condition)
  return ['source', 'scheme'].flatMap((name) => {
    const field = known.get(name)
    const there = field?.there(world, when) ?? []
    return compared(name).flatMap((wanted): Fault[] => {
      if (field === undefined || there.includes(wanted.name)) return []
      const message = `\`if\`: ${field.says(shown(wanted.name))}${suggestion(wanted.name, there)}`
      return [{ path, offset: wanted.offset, message, quotes: true }]
    })
  })
}

/** Types of declared webhooks that look like a slip of one that Gemini documents; others may be new. */
export function declaredDoubts({ gemini }: Pick<Config, 'gemini'>): Fault[] {
  return Object.entries(gemini.webhooks).flatMap(([name, { events = [] }]) =>
    events.flatMap((type, index): Fault[] => {
      const match = catalogTypes.some((known) => known === type) ? undefined : nearest(type, catalogTypes)
      if (match === undefined) return []
      const path = ['gemini', 'webhooks', name, 'events', index]
      return [{ path, message: `nobody sends events of the type \`${type}\`, did you mean \`${match}\`?`, quotes: true }]
    }),
  )
}

/** Sources whose events no rule asks for, whatever else it says. */
export function unheardSources({ rules }: Pick<Config, 'rules'>, { sources }: World): Fault[] {
  if (rules.length === 0) return [] // said already
  const wants = rules.map(({ when = {} }) => compilePattern(onlyOf(when, ['source'])))
  return sources
    .filter(({ name }) => !wants.some((matches) => matches(eventOf({ source: name }))))
    .map(({ name }) => ({
      path: ['sources', name],
      at: 'key',
      message: `no rule wants events of the source \`${name}\`: they are kept and go nowhere`,
    }))
}

/** Values and operators that match nothing that there is. */
function idleItems(pattern: Pattern, path: Path, world: World): Fault[] {
  return Object.entries(pattern).flatMap(([name, node]): Fault[] => {
    const here = [...path, name]
    if (name === '$or') return alternativesOf(node).flatMap((one, n) => idleItems(one, [...here, n], world))
    const field = known.get(name)
    if (field === undefined) return []
    const there = field.there(world, pattern)
    return itemsOf(node).flatMap(({ item, place }): Fault[] => {
      const matches = compilePattern({ [name]: [item] })
      if (there.some((value) => matches(eventOf({ [name]: value })))) return []
      return [{ path: [...here, ...place], message: `${field.says(shown(item))}${hintFor(item, there)}`, quotes: 'whole' }]
    })
  })
}

const known = new Map<string, { there: (world: World, pattern: Pattern) => readonly string[]; says: (item: string) => string }>([
  ['type', { there: ({ types }) => types, says: (item) => `nobody sends events of the type ${item}` }],
  ['source', { there: ({ sources }) => sources.map(({ name }) => name), says: (item) => `there is no source ${item}` }],
  ['scheme', { there: schemesOf, says: (item) => `no source that this is about takes the scheme ${item}` }],
])

/** Of the sources that the pattern is about. */
function schemesOf({ sources }: World, pattern: Pattern): string[] {
  const matches = compilePattern(onlyOf(pattern, ['source']))
  const about = sources.filter(({ name }) => matches(eventOf({ source: name })))
  // A source that is not there is said already.
  return about.length === 0 ? [...schemes] : [...new Set(about.flatMap((source) => source.schemes))]
}

function itemsOf(node: PatternNode): { item: PatternItem; place: Path }[] {
  if (Array.isArray(node)) return node.map((item, n) => ({ item, place: [n] }))
  return typeof node === 'object' && node !== null ? [] : [{ item: node, place: [] }]
}

function shown(item: PatternItem): string {
  return `\`${typeof item === 'string' ? item : JSON.stringify(item)}\``
}

/** A glob or a prefix is near to what it would be for one of those that are there: `batch.*` of batch.failed. */
function hintFor(item: PatternItem, there: readonly string[]): string {
  const text = typeof item === 'string' ? item : operandOf(item)
  if (text === undefined) return ''
  const heads = there.map((one) => one.replace(/\..*$/, '.'))
  const tails = there.map((one) => one.replace(/^[^.]*\./, '.'))
  const spelt = text.startsWith('*') ? tails.map((tail) => `*${tail}`) : heads.flatMap((head) => [head, `${head}*`])
  const match = nearest(text, /\*|^\.|\.$/.test(text) ? [...new Set([...spelt, ...heads, ...tails])] : there)
  return match === undefined ? '' : `, did you mean \`${match}\`?`
}

/** The text that an operator looks for. */
function operandOf(item: PatternItem): string | undefined {
  const [operand] = typeof item === 'object' && item !== null ? Object.values(item) : []
  return typeof operand === 'string' ? operand : undefined
}
