/** Messages through Slack's Web API. */
import { ErrorCode, LogLevel, WebClient, type Logger } from '@slack/web-api'
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { TemplateError } from '../route/template.ts'
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'
import { createConceal } from './conceal.ts'
import { withDeadline } from './deadline.ts'
import { oneByOne } from './one-by-one.ts'
import { rateLimitPauseMs, retryAfterMs } from './retry-after.ts'
import { failed, type Sink } from './sink.ts'
import { slackFailure } from './slack-errors.ts'
import { compileMessages } from './slack-message.ts'

interface SlackSinkOptions {
  name: string
  config: SinkConfigOf<'slack'>
  /** The rules that feed this sink, with what they say about it. */
  targets: readonly Target[]
  log: Log
}

/** What `fetch` saw, which the client's errors do not always tell. */
interface Seen {
  /** False while the client still makes the request out of what was rendered. */
  called: boolean
  status?: number
  retryAfter?: string | null
}

/**
 * Posts each delivery as one message. Slack has no key by which it would drop a repeated message, so a delivery whose
 * answer was lost can appear twice; every message carries the delivery and the webhook-id as metadata, which tells the two
 * apart from two events.
 *
 * @throws RelayError `config_invalid` for a rule without a channel
 */
export function createSlackSink({ name, config, targets, log }: SlackSinkOptions): Sink {
  const messages = compileMessages(name, config, targets)
  /** Slack's own words are passed on, and could hold anything. */
  const conceal = createConceal([config.token])
  const logger = clientLogger(name, conceal, log)

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
    return withDeadline(signal, config.timeout, (deadline) => post(body, message.channel, deadline))
  }

  async function post(body: Record<string, unknown>, channel: string, signal: AbortSignal): Promise<Outcome> {
    const seen: Seen = { called: false }
    // A client a call (some 60 µs): it takes `fetch` once, and that has to know this call's signal.
    const client = new WebClient(config.token, {
      ...(config.api_url !== undefined && { slackApiUrl: config.api_url }),
      retryConfig: { retries: 0 },
      rejectRateLimitedCalls: true,
      allowAbsoluteUrls: false,
      logger,
      fetch: async (url, init) => {
        seen.called = true
        const response = await fetch(url, { ...init, redirect: 'manual', signal })
        seen.status = response.status
        seen.retryAfter = response.headers.get('retry-after')
        return response
      },
    })
    try {
      await client.apiCall('chat.postMessage', body)
      return { status: 'delivered' }
    } catch (error) {
      if (signal.aborted) return failed('timeout', `Slack did not answer in time (at most ${config.timeout} ms)`)
      return classify(error, seen, channel, conceal, Date.now())
    }
  }

  return {
    async start() {},
    deliver: (batch, signal) =>
      oneByOne(batch, signal, {
        laneOf: (delivery) => messages.get(delivery.rule)?.channel ?? '',
        attempt: (delivery) => attempt(delivery, signal),
      }),
    async close() {},
  }
}

/** By status first: the client has no code for a 429 without a readable `Retry-After`, nor for an answer that breaks off. */
function classify(
  error: unknown,
  { called, status, retryAfter }: Seen,
  channel: string,
  conceal: (text: string) => string,
  now: number,
): Failure {
  if (!called) return failed('template_error', conceal(`no request can be made of the message: ${messageOf(error)}`))
  if (status === undefined) return failed('unavailable', conceal(`Slack cannot be reached: ${reasonOf(error)}`))
  if (status === 429) {
    return failed('rate_limited', `Slack answered 429 for channel ${channel}`, rateLimitPauseMs(retryAfter, now))
  }
  if (status === 401 || status === 403)
    return failed('unauthorized', `Slack answered ${status}: check the sink’s \`token\` and \`api_url\``)
  if (status === 408 || status >= 500) return failed('unavailable', `Slack answered ${status}`, retryAfterMs(retryAfter, now))
  if (status !== 200) return failed('rejected', `Slack answered ${status}: check the sink’s \`api_url\``)
  const refusal = platformError(error)
  // Before the message is cut to its length: what is left of a token that was cut would not be found.
  if (refusal !== undefined)
    return slackFailure({ error: conceal(refusal.error), details: refusal.details.map(conceal), channel })
  return failed('unavailable', 'the answer broke off or is not from Slack’s Web API: the message may have been posted')
}

/** The refusal that Slack's JSON names. The client puts a whole page there when the answer was not JSON. */
function platformError(error: unknown): { error: string; details: string[] } | undefined {
  const data = property(error, 'code') === ErrorCode.PlatformError ? property(error, 'data') : undefined
  const named = property(data, 'error')
  if (typeof named !== 'string' || !/^[a-z0-9_]{1,64}$/.test(named)) return undefined
  const needed = property(data, 'needed')
  const texts = [property(data, 'errors'), property(property(data, 'response_metadata'), 'messages')].flat()
  const details = [
    ...(typeof needed === 'string' ? [`needs ${needed}`] : []),
    ...texts.filter((text) => typeof text === 'string'),
  ]
  return { error: named, details: [...new Set(details)].slice(0, 3) }
}

/** `fetch failed` says nothing; its innermost cause does. */
function reasonOf(error: unknown): string {
  const cause = property(error, 'cause') ?? property(error, 'original')
  return cause === undefined ? messageOf(error) : reasonOf(cause)
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}

/** The client's own lines, at debug and without the token. What it says at debug holds whole messages, and is dropped. */
function clientLogger(sink: string, conceal: (text: string) => string, log: Log): Logger {
  const line = (...parts: unknown[]) => log.debug({ sink }, conceal(`slack client: ${parts.map(String).join(' ')}`))
  return {
    debug: nothing,
    info: nothing,
    warn: line,
    error: line,
    setLevel: nothing,
    getLevel: () => LogLevel.WARN,
    setName: nothing,
  }
}

function nothing(): void {}
