/** Which deliveries share a lane: those of one sink, and for Slack those of one channel. */
import type { Config, SinkConfig, TargetConfig } from '../config/schema.ts'
import { targetsOf } from '../config/targets.ts'

export interface LanePlan {
  name: string
  sink: string
  rules: string[]
}

export function planLanes(config: Config): LanePlan[] {
  return Object.entries(config.sinks).flatMap(([sink, sinkConfig]) => {
    const lanes = new Map<string, LanePlan>()
    for (const { rule, target } of targetsOf(config.rules, sink)) {
      const name = laneName(sink, sinkConfig, target)
      const lane = lanes.get(name) ?? { name, sink, rules: [] }
      lane.rules.push(rule)
      lanes.set(name, lane)
    }
    return [...lanes.values()]
  })
}

/** Slack limits each channel by itself, so one that is limited must not hold up another. */
function laneName(sink: string, config: SinkConfig, target: TargetConfig): string {
  return config.type === 'slack' ? `${sink}:${target.channel ?? config.channel ?? ''}` : sink
}
