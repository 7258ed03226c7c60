/** The kafka sink: one record for each delivery, to the topic and with the key that its rule names. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import type { Log } from '../log.ts'
import { ExpressionError } from '../route/expression.ts'
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'
import { createKafkaProducer } from './kafka-producer.ts'
import type { ByRule } from './by-rule.ts'
import { compileRoutes, type KafkaRoute, type RoutedRecord } from './kafka-route.ts'
import { createTopicWriter, type TopicRecord } from './kafka-topic.ts'
import { createTopicWriters } from './kafka-writers.ts'
import { compileSaid } from './retarget.ts'
import { failed, internalFailure, type Sink } from './sink.ts'
import { createTurns } from '../turns.ts'

export interface KafkaSinkDeps {
  name: string
  config: SinkConfigOf<'kafka'>
  /** The rules that feed this sink, each with what it overrides. */
  targets: readonly Target[]
  log: Log
}

/**
 * Connects when there is something to deliver, so that a broker that is down delays no start.
 *
 * @throws RelayError when a rule leaves its records without a topic
 * @throws ExpressionError when a topic, a key or a value does not compile
 */
export function createKafkaSink({ name, config, targets, log }: KafkaSinkDeps): Sink {
  const writers = createTopicWriters((topic) => createTopicWriter(createKafkaProducer({ topic, config, log })))
  const said = compileSaid(targets, (all) => compileRoutes(name, config, all))

  return {
    start: () => Promise.resolve(),
    async deliver(batch, signal) {
      if (signal.aborted) return batch.map(() => timedOut)
      const routes = said.now()
      const outcomes = batch.map((): Outcome => timedOut)
      const byTopic = new Map<string, TopicRecord[]>()
      const turns = createTurns()
      for (const [at, delivery] of batch.entries()) {
        await turns.next()
        const settle = (outcome: Outcome): void => {
          outcomes[at] = outcome
        }
        try {
          const { topic, record } = render(routes, delivery)
          const list = byTopic.get(topic)
          if (list) list.push({ ...record, settle })
          else byTopic.set(topic, [{ ...record, settle }])
        } catch (error) {
          settle(renderingFailure(error))
        }
      }
      const written = Promise.all([...byTopic].map(([topic, list]) => writers.write(topic, list, signal)))
      await untilAborted(written, signal)
      // A copy: what is acknowledged after this moment is too late to be told.
      return [...outcomes]
    },
    retarget: said.retarget,
    close: () => writers.close(),
  }

  function render(routes: ByRule<KafkaRoute>, delivery: LeasedDelivery): RoutedRecord {
    const route = routes.get(delivery.rule)
    if (!route) throw new Error(`rule "${delivery.rule}" does not feed sink "${name}"`)
    return route(delivery)
  }
}

const timedOut = failed('timeout', 'Kafka did not acknowledge the record before the attempt had to end')

function renderingFailure(error: unknown): Failure {
  return error instanceof ExpressionError ? failed('expression_error', error.message) : internalFailure(error)
}

/** Ends with the work or at the signal, whichever is first. */
function untilAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => resolve()
    signal.addEventListener('abort', giveUp, { once: true })
    work.then(() => resolve(), reject).finally(() => signal.removeEventListener('abort', giveUp))
  })
}
