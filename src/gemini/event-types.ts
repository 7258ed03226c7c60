/** What webhooks can subscribe to, and what of it the rules want. */
import type { RuleConfig } from '../config/schema.ts'
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
  const wanting = rules.map(({ when = {} }) => {
    const { type, source: from } = when
    return compilePattern({ ...(type === undefined ? {} : { type }), ...(from === undefined ? {} : { source: from }) })
  })
  return subscribableTypes.filter((type) => wanting.some((wants) => wants(eventOf(type, source))))
}

function eventOf(type: string, source: string): RelayEvent {
  const unknown = { version: null, timestamp: null, data: null, user_metadata: {}, received_at: '' }
  return { ...unknown, type, source, subject: '', webhook_id: '', scheme: 'hmac' }
}
