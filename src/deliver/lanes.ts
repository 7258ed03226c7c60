/**
 * Which deliveries share a lane: those of one sink, and for Slack those of one channel; those that are enriched have a lane beside
 * it, which goes by the same limits.
 */
import type { Config, Enrich, SinkConfig, TargetConfig } from '../config/schema.ts'
import { targetsOf } from '../config/targets.ts'

export interface LanePlan {
  name: string
  sink: string
  rules: string[]
  /** Lanes of one name of limits share them. */
  limits: string
  /** Of a lane whose deliveries are enriched: what each rule says of a job that cannot be had. */
  enriched: Map<string, Enrich['unavailable']> | undefined
}

export function planLanes(config: Config): LanePlan[] {
  return Object.entries(config.sinks).flatMap(([sink, sinkConfig]) => {
    const lanes = new Map<string, LanePlan>()
    for (const { rule, target } of targetsOf(config.rules, sink)) {
      const limits = limitsName(sink, sinkConfig, target)
      const { enrich } = target
      const name = enrich === undefined ? limits : `${limits} enriched`
      const lane: LanePlan = lanes.get(name) ?? { name, sink, rules: [], limits, enriched: enrich && new Map() }
      lane.rules.push(rule)
      if (enrich !== undefined) lane.enriched?.set(rule, enrich.unavailable)
      lanes.set(name, lane)
    }
    return [...lanes.values()]
  })
}

/** Slack limits each channel by itself, so one that is limited must not hold up another. */
function limitsName(sink: string, config: SinkConfig, target: TargetConfig): string {
  return config.type === 'slack' ? `${sink}:${target.channel ?? config.channel ?? ''}` : sink
}
