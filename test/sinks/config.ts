/** Sink configurations as the loader would make them: parsed, with their defaults. */
import { sinkSchema, type SinkConfig, type SinkConfigOf } from '../../src/config/schema.ts'

export function sinkConfig<T extends SinkConfig['type']>(type: T, odd: Record<string, unknown> = {}): SinkConfigOf<T> {
  const config = sinkSchema.parse({ type, ...odd })
  if (!isOf(config, type)) throw new Error(`parsed as ${config.type}`)
  return config
}

function isOf<T extends SinkConfig['type']>(config: SinkConfig, type: T): config is SinkConfigOf<T> {
  return config.type === type
}
