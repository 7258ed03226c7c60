/** What each rule's requests say, but for the signature. Pure. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { compileHeaders } from './http-headers.ts'
import { byRule, type ByRule } from './by-rule.ts'
import { compileRendering, jsonBytes } from './shaped-value.ts'
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

export function compileRequests(config: SinkConfigOf<'http'>, targets: readonly Target[]): ByRule<RenderRequest> {
  return byRule(targets, (said) => {
    const value = compileRendering(config, said)
    const renderHeaders = compileHeaders(config, said.target)
    return (delivery) => {
      const { headers, secrets } = renderHeaders(delivery)
      const body = value === undefined ? delivery.stored.body : jsonBytes(value(delivery))
      return { headers: { ...usualHeaders, ...headers, ...identityOf(delivery) }, body, secrets }
    }
  })
}

const usualHeaders = { 'content-type': 'application/json', 'user-agent': 'gemini-relay' }

function identityOf({ id, rule, stored }: Rendering): Record<string, string> {
  return { 'webhook-id': stored.event.webhook_id, 'relay-source': stored.event.source, 'relay-rule': rule, 'relay-delivery': id }
}
