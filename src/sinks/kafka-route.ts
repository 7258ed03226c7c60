/** Where each rule's records go, and what they are. Pure. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { RelayError } from '../errors.ts'
import { compileValue, ExpressionError } from '../route/expression.ts'
import { buildRecord, recordKey, type KafkaRecord } from './kafka-record.ts'
import { compileValues, jsonBytes } from './shaped-value.ts'
import type { Rendering } from './sink.ts'

export interface KafkaRoute {
  topic: string
  /** @throws ExpressionError */
  render: (delivery: Rendering) => KafkaRecord
}

/**
 * @throws RelayError when a rule leaves its records without a topic
 * @throws ExpressionError when a key or a value does not compile
 */
export function compileRoutes(sink: string, config: SinkConfigOf<'kafka'>, targets: readonly Target[]): Map<string, KafkaRoute> {
  const values = compileValues(config, targets)
  return new Map(
    targets.map(({ rule, target }) => {
      const topic = target.topic ?? config.topic
      if (topic === undefined)
        throw new RelayError('sink_misconfigured', `neither sink "${sink}" nor rule "${rule}" names a Kafka topic`)
      const evaluate = compileValue(target.key ?? config.key)
      const value = values.get(rule)
      const render = (delivery: Rendering) => {
        const { stored, resource } = delivery
        const key = keyOf(() => evaluate(stored.event, resource))
        return buildRecord(config.format, stored, key, value && jsonBytes(value(delivery)))
      }
      return [rule, { topic, render }]
    }),
  )
}

/** What the event does not have makes a record without a key, not a failure. */
function keyOf(evaluate: () => unknown): string | null {
  try {
    return recordKey(evaluate())
  } catch (error) {
    if (!(error instanceof ExpressionError)) throw error
    if (error.code === 'missing') return null
    throw new ExpressionError(error.code, `key: ${error.message}`, error.offset, { cause: error })
  }
}
