/** What a Slack sink, or a rule with what its sink says, cannot say together. Looks at data that may be wrong anywhere. */
import type { Fault, Path } from './issues.ts'
import { at, isMap, listOf, mapsIn, targetsOf, type RawMap } from './raw.ts'

/** Of a message. */
const maxBlocks = 50
/** Mentions are one. */
const maxBlocksBesideMentions = maxBlocks - 1

export function slackFaults(json: unknown): Fault[] {
  const sinks = mapsIn(at(json, ['sinks'])).filter(([, sink]) => sink['type'] === 'slack')
  const ofSinks = sinks.flatMap(([name, sink]) => faultsOf(sink, {}, ['sinks', name]))
  const ofRules = listOf(at(json, ['rules'])).flatMap((rule, index) => {
    if (!isMap(rule)) return []
    return targetsOf(rule).flatMap(({ target, sink: name }, n) => {
      const sink = sinks.find(([known]) => known === name)?.[1]
      return sink === undefined ? [] : faultsOf(target, sink, ['rules', index, 'to', n])
    })
  })
  return [...ofSinks, ...ofRules]
}

/** What is wrong with `own`, and would not be without it. */
function faultsOf(own: RawMap, inherited: RawMap, path: Path): Fault[] {
  return [...togetherFaults(own, inherited, path), ...blockFaults(own, inherited, path)]
}

function togetherFaults(own: RawMap, inherited: RawMap, path: Path): Fault[] {
  const all = { ...inherited, ...own }
  if (all['thread'] !== 'subject' || all['update'] !== 'subject') return []
  const why = 'a later event of a job answers its message or edits it'
  if (isTogether(own))
    return [{ path: [...path, 'update'], at: 'key', message: `\`thread\` and \`update\`: one or the other: ${why}` }]
  const key = ['thread', 'update'].find((name) => own[name] === 'subject')
  if (key === undefined || isTogether(inherited)) return []
  const other = key === 'thread' ? 'update' : 'thread'
  const message = `\`${key}\`: the sink says \`${other}\`, and ${why}: add \`${other}: none\` here`
  return [{ path: [...path, key], at: 'key', message }]
}

function isTogether(map: RawMap): boolean {
  return map['thread'] === 'subject' && map['update'] === 'subject'
}

function blockFaults(own: RawMap, inherited: RawMap, path: Path): Fault[] {
  const key = ['blocks', 'mentions'].find((name) => Object.hasOwn(own, name))
  // A rule that says its own text and no blocks means that text, not the sink's blocks.
  const blocks = listOf(own['blocks'] ?? ('text' in own ? undefined : inherited['blocks']))
  const mentions = listOf(own['mentions'] ?? inherited['mentions'])
  if (listOf(own['blocks']).length > maxBlocks)
    return [{ path: [...path, 'blocks'], at: 'key', message: `\`blocks\`: Slack takes ${maxBlocks} in a message` }]
  if (key === undefined || mentions.length === 0 || blocks.length <= maxBlocksBesideMentions) return []
  const message = `\`${key}\`: mentions are a block of their own, so with them there may be ${maxBlocksBesideMentions} others: Slack takes ${maxBlocks}`
  return [{ path: [...path, key], at: 'key', message }]
}
