/** Texts, headers, topics, keys, values and columns that show `event.resource` where nothing fetches it. */
import type { Fault } from './issues.ts'
import type { Config } from './schema.ts'
import { targetsOf } from './targets.ts'

const mention = /\bevent\s*(\.\s*\??\s*resource\b|\[\s*["']resource["']\s*\])/

export function resourceDoubts({ sinks, rules }: Pick<Config, 'sinks' | 'rules'>): Fault[] {
  const ofRules = rules.flatMap(({ to }, rule) =>
    to.flatMap((target, n) => ('enrich' in target ? [] : faultsIn(target, ['rules', rule, 'to', n], 'this target does not say'))),
  )
  const ofSinks = Object.entries(sinks).flatMap(([name, sink]) => {
    const targets = targetsOf(rules, name)
    const isFetched = targets.length === 0 || targets.some(({ target }) => target.enrich !== undefined)
    return isFetched ? [] : faultsIn(sink, ['sinks', name], 'no rule says')
  })
  return [...ofRules, ...ofSinks]
}

function faultsIn(map: object, path: Fault['path'], who: string): Fault[] {
  return ['text', 'blocks', 'headers', 'topic', 'key', 'value', 'columns']
    .filter((key) => mentions(Reflect.get(map, key)))
    .map((key) => ({
      path: [...path, key],
      at: 'key',
      message: `\`${key}\` shows \`event.resource\`, which is null here: ${who} \`enrich: gemini\``,
    }))
}

function mentions(value: unknown): boolean {
  if (typeof value === 'string') return mention.test(value)
  return typeof value === 'object' && value !== null && Object.values(value).some(mentions)
}
