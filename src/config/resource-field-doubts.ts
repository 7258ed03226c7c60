/** Fields of `event.resource` that no job has. */
import { mentionsIn } from '../route/mentions.ts'
import { suggestion } from '../route/nearest.ts'
import { mentionsInText } from '../route/template.ts'
import { resourceFields } from './cases.ts'
import type { Fault, Path } from './issues.ts'
import { offsetOf } from './languages.ts'
import { isMap, textsUnder } from './raw.ts'
import type { Config } from './schema.ts'

export function resourceFieldDoubts({ sinks, rules }: Pick<Config, 'sinks' | 'rules'>): Fault[] {
  const ofRules = rules.flatMap(({ to }, rule) => to.flatMap((target, n) => doubtsIn(target, ['rules', rule, 'to', n])))
  return [...Object.entries(sinks).flatMap(([name, sink]) => doubtsIn(sink, ['sinks', name])), ...ofRules]
}

function doubtsIn(map: object, path: Path): Fault[] {
  return Object.entries(map).flatMap(([key, value]: [string, unknown]): Fault[] => {
    const here = [...path, key]
    if (key === 'text' || key === 'blocks') return textsUnder(value, here).flatMap(textDoubts)
    if (key === 'headers') return members(value, 'text', here).flatMap(textDoubts)
    // A topic that is a text is a name, and a table's key is a list of columns.
    if (key === 'value' || (key === 'topic' && isMap(value)) || (key === 'key' && typeof value === 'string'))
      return textsUnder(value, here).flatMap(valueDoubts)
    return key === 'columns' ? members(value, 'value', here).flatMap(valueDoubts) : []
  })
}

/** Headers and columns, which are a text or a map that holds one under `inner`. */
function members(value: unknown, inner: string, path: Path): { text: string; path: Path }[] {
  return Object.entries(isMap(value) ? value : {}).flatMap(([name, said]) => {
    const isWritten = isMap(said) && said['type'] !== undefined
    return textsUnder(isMap(said) ? said[inner] : said, [...path, name, ...(isWritten ? [inner] : [])])
  })
}

function textDoubts({ text, path }: { text: string; path: Path }): Fault[] {
  return mentionsInText(text).flatMap(({ path: [field, ...names], line, column }): Fault[] => {
    const message = field === 'resource' ? messageAbout(names) : undefined
    return message === undefined ? [] : [{ path, offset: offsetOf(text, line, column), message, quotes: true }]
  })
}

function valueDoubts({ text, path }: { text: string; path: Path }): Fault[] {
  return mentionsIn(text).resource.flatMap(({ names, offset }): Fault[] => {
    // What is under an unknown field is said of that field.
    const message = messageAbout(names.slice(0, -1)) === undefined ? messageAbout(names) : undefined
    return message === undefined ? [] : [{ path, offset, message, quotes: true }]
  })
}

/** @param names that lead from `event.resource` to a field */
function messageAbout(names: readonly string[]): string | undefined {
  const first = names.findIndex((name, n) => resourceFields.get(names.slice(0, n).join('.'))?.includes(name) === false)
  const name = names[first]
  if (name === undefined) return undefined
  const known = resourceFields.get(names.slice(0, first).join('.')) ?? []
  return `\`event.resource.${names.slice(0, first + 1).join('.')}\`: no job has it${suggestion(name, known)}`
}
