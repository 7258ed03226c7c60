/** Sink configurations as the loader would make them: parsed, with their defaults. */
import { targetSchema, type SinkConfig, type SinkConfigOf } from '../../src/config/schema.ts'
import { sinkSchema } from '../../src/config/sink-schema.ts'
import type { Target } from '../../src/config/targets.ts'

export function sinkConfig<T extends SinkConfig['type']>(type: T, odd: Record<string, unknown> = {}): SinkConfigOf<T> {
  const config = sinkSchema.parse({ type, ...odd })
  if (!isOf(config, type)) throw new Error(`parsed as ${config.type}`)
  return config
}

function isOf<T extends SinkConfig['type']>(config: SinkConfig, type: T): config is SinkConfigOf<T> {
  return config.type === type
}

/** By rule what it says of the sink; by default the rule `everything` says nothing. */
export function targetsOf(sink: string, rules: Record<string, Record<string, unknown>> = { everything: {} }): Target[] {
  return Object.entries(rules).map(([rule, said]) => ({ rule, target: targetSchema.parse({ sink, ...said }) }))
}
