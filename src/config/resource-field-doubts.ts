/** Fields of `event.resource` that no job has. */
import { mentionsIn } from '../route/mentions.ts'
import { suggestion } from '../route/nearest.ts'
import { mentionsInText } from '../route/template.ts'
import { resourceFields } from './cases.ts'
import type { Fault, Path } from './issues.ts'
import { offsetOf } from './languages.ts'
import { renderedTextsIn } from './rendered-texts.ts'
import type { Config } from './schema.ts'

export function resourceFieldDoubts({ sinks, rules }: Pick<Config, 'sinks' | 'rules'>): Fault[] {
  const ofRules = rules.flatMap(({ to }, rule) => to.flatMap((target, n) => doubtsIn(target, ['rules', rule, 'to', n])))
  return [...Object.entries(sinks).flatMap(([name, sink]) => doubtsIn(sink, ['sinks', name])), ...ofRules]
}

function doubtsIn(map: object, path: Path): Fault[] {
  return renderedTextsIn(map, path).flatMap((one) => (one.language === 'liquid' ? textDoubts(one) : valueDoubts(one)))
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
