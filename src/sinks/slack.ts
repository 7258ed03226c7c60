/** Messages through Slack's Web API. */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import type { Log } from '../log.ts'
import { TemplateError } from '../route/template.ts'
import { createPool, keptPlans, type Pool } from '../store/pool.ts'
import type { LeasedDelivery, Outcome } from '../types.ts'
import { withDeadline } from './deadline.ts'
import { oneByOne } from './one-by-one.ts'
import { compileSaid } from './retarget.ts'
import { failed, type Sink } from './sink.ts'
import { createSlackCaller } from './slack-call.ts'
import { createJobMessages, type JobMessages } from './slack-jobs.ts'
import { compileMessages, postArguments, type SlackContent, type SlackMessage } from './slack-message.ts'

interface SlackSinkOptions {
  name: string
  config: SinkConfigOf<'slack'>
  /** The rules that feed this sink, with what they say about it. */
  targets: readonly Target[]
  /** The relay's own database, where the messages of jobs are remembered; asked only where a rule threads or updates. */
  relayUrl: string
  log: Log
}

/** Reading or writing one row by its key: what takes longer than this is a database in trouble. */
const statementTimeoutMs = 3_000

/**
 * Posts each delivery as one message, or in that of its job. Slack has no key by which it would drop a repeated message, so a
 * delivery whose answer was lost can appear twice; every message carries the delivery and the webhook-id as metadata, which
 * tells the two apart from two events.
 */
export function createSlackSink({ name, config, targets, relayUrl, log }: SlackSinkOptions): Sink {
  const said = compileSaid(targets, (all) => compileMessages(name, config, all))
  const call = createSlackCaller({ name, config, log })
  let pool: Pool | undefined
  let jobs: JobMessages | undefined

  /** With the first message of a job: most sinks have none. */
  function jobMessages(): JobMessages {
    pool ??= jobPool()
    jobs ??= createJobMessages({ sink: name, pool, call, log })
    return jobs
  }

  function jobPool(): Pool {
    return createPool({
      url: relayUrl,
      part: `sink ${name}`,
      max: config.concurrency,
      statementTimeoutMs,
      settings: keptPlans,
      log,
    })
  }

  async function attempt(message: SlackMessage | undefined, delivery: LeasedDelivery, signal: AbortSignal): Promise<Outcome> {
    if (message === undefined) return failed('internal', `rule ${delivery.rule} does not feed the sink ${name}`)
    let content: SlackContent
    try {
      content = message.render(delivery)
    } catch (error) {
      if (error instanceof TemplateError) return failed('template_error', `the text of the message: ${error.message}`)
      throw error
    }
    const { channel, job } = message
    return withDeadline(signal, config.timeout, async (deadline): Promise<Outcome> => {
      if (job !== undefined) return jobMessages().deliver({ delivery, channel, job, content, signal: deadline })
      const answer = await call('chat.postMessage', postArguments(channel, content), deadline, channel)
      return answer.ok ? { status: 'delivered' } : answer.failure
    })
  }

  return {
    async start() {},
    deliver(batch, signal) {
      const messages = said.now()
      return oneByOne(batch, signal, {
        laneOf: (delivery) => messages.get(delivery.rule)?.channel ?? '',
        attempt: (delivery) => attempt(messages.get(delivery.rule), delivery, signal),
      })
    },
    retarget: said.retarget,
    close: async () => pool?.end(),
  }
}
