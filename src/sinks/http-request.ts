/** What each rule's requests say, but for the signature. Pure. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { compileValues, jsonBytes } from './shaped-value.ts'
import type { Rendering } from './sink.ts'

export interface HttpRequest {
  /** By lower-case name. */
  headers: Record<string, string>
  body: Buffer
}

/** @throws ExpressionError */
export type RenderRequest = (delivery: Rendering) => HttpRequest

/** @throws ExpressionError when a `value` does not compile */
export function compileRequests(config: SinkConfigOf<'http'>, targets: readonly Target[]): Map<string, RenderRequest> {
  const values = compileValues(config, targets)
  return new Map(
    targets.map(({ rule }) => {
      const value = values.get(rule)
      const render: RenderRequest = (delivery) => ({
        headers: { ...usualHeaders, ...identityOf(delivery) },
        body: value === undefined ? delivery.stored.body : jsonBytes(value(delivery)),
      })
      return [rule, render]
    }),
  )
}

const usualHeaders = { 'content-type': 'application/json', 'user-agent': 'gemini-relay' }

function identityOf({ id, rule, stored }: Rendering): Record<string, string> {
  return { 'webhook-id': stored.event.webhook_id, 'relay-source': stored.event.source, 'relay-rule': rule, 'relay-delivery': id }
}
