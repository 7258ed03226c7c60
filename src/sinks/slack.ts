/** Messages through Slack's Web API. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import type { Log } from '../log.ts'
import { TemplateError } from '../route/template.ts'
import type { LeasedDelivery, Outcome } from '../types.ts'
import { withDeadline } from './deadline.ts'
import { oneByOne } from './one-by-one.ts'
import { failed, type Sink } from './sink.ts'
import { createSlackCaller } from './slack-call.ts'
import { compileMessages } from './slack-message.ts'

interface SlackSinkOptions {
  name: string
  config: SinkConfigOf<'slack'>
  /** The rules that feed this sink, with what they say about it. */
  targets: readonly Target[]
  log: Log
}

/**
 * Posts each delivery as one message. Slack has no key by which it would drop a repeated message, so a delivery whose
 * answer was lost can appear twice; every message carries the delivery and the webhook-id as metadata, which tells the two
 * apart from two events.
 *
 * @throws RelayError `config_invalid` for a rule without a channel
 */
export function createSlackSink({ name, config, targets, log }: SlackSinkOptions): Sink {
  let messages = compileMessages(name, config, targets)
  const call = createSlackCaller({ name, config, log })

  async function attempt(delivery: LeasedDelivery, signal: AbortSignal): Promise<Outcome> {
    const message = messages.get(delivery.rule)
    if (message === undefined) return failed('internal', `rule ${delivery.rule} does not feed the sink ${name}`)
    let body: Record<string, unknown>
    try {
      body = message.render(delivery)
    } catch (error) {
      if (error instanceof TemplateError) return failed('template_error', `the text of the message: ${error.message}`)
      throw error
    }
    const { channel } = message
    const failure = await withDeadline(signal, config.timeout, (deadline) => call('chat.postMessage', body, deadline, channel))
    return failure ?? { status: 'delivered' }
  }

  return {
    async start() {},
    deliver: (batch, signal) =>
      oneByOne(batch, signal, {
        laneOf: (delivery) => messages.get(delivery.rule)?.channel ?? '',
        attempt: (delivery) => attempt(delivery, signal),
      }),
    retarget(changed) {
      const compiled = compileMessages(name, config, changed)
      return () => void (messages = compiled)
    },
    async close() {},
  }
}
