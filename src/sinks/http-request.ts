/** What each rule's requests say, but for the signature. Pure. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { compileHeaders } from './http-headers.ts'
import { compileValues, jsonBytes } from './shaped-value.ts'
import type { Rendering } from './sink.ts'

export interface HttpRequest {
  /** By lower-case name. */
  headers: Record<string, string>
  body: Buffer
  /** Header values that are not for everybody. */
  secrets: string[]
}

/** @throws ExpressionError, TemplateError */
export type RenderRequest = (delivery: Rendering) => HttpRequest

/** @throws ExpressionError, TemplateError when a `value` or a header does not compile */
export function compileRequests(config: SinkConfigOf<'http'>, targets: readonly Target[]): Map<string, RenderRequest> {
  const values = compileValues(config, targets)
  return new Map(
    targets.map(({ rule, target }) => {
      const value = values.get(rule)
      const renderHeaders = compileHeaders(config, target)
      const render: RenderRequest = (delivery) => {
        const { headers, secrets } = renderHeaders(delivery)
        const body = value === undefined ? delivery.stored.body : jsonBytes(value(delivery))
        return { headers: { ...usualHeaders, ...headers, ...identityOf(delivery) }, body, secrets }
      }
      return [rule, render]
    }),
  )
}

const usualHeaders = { 'content-type': 'application/json', 'user-agent': 'gemini-relay' }

function identityOf({ id, rule, stored }: Rendering): Record<string, string> {
  return { 'webhook-id': stored.event.webhook_id, 'relay-source': stored.event.source, 'relay-rule': rule, 'relay-delivery': id }
}
