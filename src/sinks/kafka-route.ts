/** Where each rule's records go, and what they are. Pure. */
import type { SinkConfigOf } from '../config/schema.ts'
import { isTopic, topicRule } from '../config/kafka-address.ts'
import type { Target } from '../config/targets.ts'
import { RelayError } from '../errors.ts'
import { compileValue, ExpressionError } from '../route/expression.ts'
import { compileValueTree } from '../route/value-tree.ts'
import { stringifyJson } from './deep-json.ts'
import { byRule, type ByRule } from './by-rule.ts'
import { buildRecord, recordKey, type KafkaRecord } from './kafka-record.ts'
import { compileRendering, jsonBytes } from './shaped-value.ts'
import type { Rendering } from './sink.ts'

export interface RoutedRecord {
  topic: string
  record: KafkaRecord
}

/** @throws ExpressionError */
export type KafkaRoute = (delivery: Rendering) => RoutedRecord

export function compileRoutes(sink: string, config: SinkConfigOf<'kafka'>, targets: readonly Target[]): ByRule<KafkaRoute> {
  return byRule(targets, (said) => {
    const { rule, target } = said
    const named = target.topic ?? config.topic
    if (named === undefined)
      throw new RelayError('sink_misconfigured', `neither sink "${sink}" nor rule "${rule}" names a Kafka topic`)
    const topicOf = compileTopic(named)
    const evaluate = compileValue(target.key ?? config.key)
    const value = compileRendering(config, said)
    return (delivery) => {
      const { stored, resource } = delivery
      const key = keyOf(() => evaluate(stored.event, resource))
      return {
        topic: topicOf(delivery),
        record: buildRecord(config.format, stored, key, value && jsonBytes(value(delivery))),
      }
    }
  })
}

function compileTopic(named: string | { value: string }): (delivery: Rendering) => string {
  if (typeof named === 'string') return () => named
  const evaluate = compileValueTree(named.value, 'topic')
  return ({ stored, resource }) => {
    const topic = evaluate(stored.event, resource)
    if (typeof topic === 'string' && isTopic(topic)) return topic
    const seen = stringifyJson(topic)
    const shown = seen.length > shownCharacters ? `${seen.slice(0, shownCharacters)}…` : seen
    throw new ExpressionError('evaluation', `topic: ${shown} is no topic: ${topicRule}`)
  }
}

/** Of what is no topic, in a failure's message. */
const shownCharacters = 300

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
