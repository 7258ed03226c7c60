/** From the configuration to sinks. The only place that knows every type. */
import type { SinkConfig } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import type { Log } from '../log.ts'
import { createHttpSink } from './http.ts'
import { createKafkaSink } from './kafka.ts'
import { createLogSink } from './log.ts'
import type { Sink } from './sink.ts'
import { createSlackSink } from './slack.ts'
import { createTableSink } from './table.ts'

export interface SinkDeps {
  /** The rules that feed it, with what they say about it. */
  targets: readonly Target[]
  relayUrl: string
  log: Log
}

export function createSink(name: string, config: SinkConfig, { targets, relayUrl, log }: SinkDeps): Sink {
  switch (config.type) {
    case 'slack':
      return createSlackSink({ name, config, targets, relayUrl, log })
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
