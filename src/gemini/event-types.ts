/** What webhooks can subscribe to, and what of it the rules want. */
import type { RuleConfig } from '../config/schema.ts'
import { unrecognizedType } from '../route/event.ts'
import { sameType } from '../route/pattern-tree.ts'
import { compilePattern } from '../route/patterns.ts'
import type { RelayEvent } from '../types.ts'

/** As the official SDK lists them (3.1.0). The list is open: others are taken where a declaration names them. */
export const subscribableTypes = [
  'batch.succeeded',
  'batch.expired',
  'batch.failed',
  'interaction.requires_action',
  'interaction.completed',
  'interaction.failed',
  'video.generated',
] as const

/** Which of the subscribable types may match a rule at this source: all that a pattern says of type and source does. */
export function wantedTypes(rules: readonly RuleConfig[], source: string): string[] {
  const wanting = rules.map(wantsOf)
  return subscribableTypes.filter((type) => wanting.some((wants) => wants(eventOf(type, source))))
}

/** Which types the rules that look at this source name, without a `*`: others too than can be subscribed to. */
export function namedTypes(rules: readonly RuleConfig[], source: string): string[] {
  const named = rules.flatMap((rule) => {
    const wants = wantsOf(rule)
    const names = [rule.when?.['type'] ?? []].flat().filter((name) => typeof name === 'string' && !name.includes('*'))
    return names.map(String).filter((type) => wants(eventOf(type, source)))
  })
  return [...new Set(named)].filter((type) => type !== unrecognizedType)
}

/** The two names of one fact count as the same. */
export function subscribes(events: readonly string[], type: string): boolean {
  return [type, sameType.get(type) ?? type].some((name) => events.includes(name))
}

export function isSubscribable(type: string): boolean {
  return subscribes(subscribableTypes, type)
}

function wantsOf({ when = {} }: RuleConfig): (event: RelayEvent) => boolean {
  const { type, source } = when
  return compilePattern({ ...(type === undefined ? {} : { type }), ...(source === undefined ? {} : { source }) })
}

function eventOf(type: string, source: string): RelayEvent {
  const unknown = { version: null, timestamp: null, data: null, user_metadata: {}, received_at: '' }
  return { ...unknown, type, source, subject: '', webhook_id: '', scheme: 'hmac' }
}
