/** From the configuration to sinks. The only place that knows every type. */
import type { Config, SinkConfig } from '../config/schema.ts'
import { targetsOf } from '../config/targets.ts'
import type { Log } from '../log.ts'
import { createHttpSink } from './http.ts'
import { createKafkaSink } from './kafka.ts'
import { createLogSink } from './log.ts'
import type { Sink } from './sink.ts'
import { createSlackSink } from './slack.ts'
import { createTableSink } from './table.ts'

export interface SinkDeps {
  config: Config
  relayUrl: string
  log: Log
}

export function createSinks(deps: SinkDeps): Map<string, Sink> {
  return new Map(Object.entries(deps.config.sinks).map(([name, config]) => [name, createSink(name, config, deps)]))
}

function createSink(name: string, config: SinkConfig, { config: { rules }, relayUrl, log }: SinkDeps): Sink {
  const targets = targetsOf(rules, name)
  switch (config.type) {
    case 'slack':
      return createSlackSink({ name, config, targets, log })
    case 'kafka':
      return createKafkaSink({ name, config, targets, log })
    case 'table':
      return createTableSink({ name, config, targets, relayUrl, log })
    case 'http':
      return createHttpSink({ name, config, targets, log })
    case 'log':
      return createLogSink({ name, config, targets, log })
    default:
      return config satisfies never
  }
}
