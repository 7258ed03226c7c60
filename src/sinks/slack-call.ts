/** One call of Slack's Web API, and what its answer means. */
import { ErrorCode, LogLevel, WebClient, type Logger } from '@slack/web-api'
import type { SinkConfigOf } from '../config/schema.ts'
import { messageOf, property, reasonOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { Failure } from '../types.ts'
import { createConceal } from './conceal.ts'
import { rateLimitPauseMs, retryAfterMs } from './retry-after.ts'
import { failed } from './sink.ts'
import { forChannel, slackFailure } from './slack-errors.ts'

/** What `fetch` saw, which the client's errors do not always tell. */
interface Seen {
  /** False while the client still makes the request out of what was rendered. */
  called: boolean
  status?: number
  retryAfter?: string | null
}

export type SlackAnswer =
  | { ok: true; message: AnsweredMessage }
  | {
      ok: false
      failure: Failure
      /** The `error` of the answer, if there was one. */
      error: string | undefined
    }

/** What an answer says of a message; all undefined where it is about none. */
export interface AnsweredMessage {
  /** Its place: of a message to a user (U…) a channel of its own (D…). */
  channel: string | undefined
  ts: string | undefined
  /** The message that it answers. */
  threadTs: string | undefined
}

export type SlackCall = (
  method: string,
  body: Record<string, unknown>,
  signal: AbortSignal,
  /** That the call is about, if it is about one. */
  channel?: string,
) => Promise<SlackAnswer>

interface SlackCallerOptions {
  name: string
  config: SinkConfigOf<'slack'>
  log: Log
}

export function createSlackCaller({ name, config, log }: SlackCallerOptions): SlackCall {
  /** Slack's own words are passed on, and could hold anything. */
  const conceal = createConceal([config.token])
  const logger = clientLogger(name, conceal, log)
  return async (method, body, signal, channel) => {
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
      return { ok: true, message: messageIn(await client.apiCall(method, body)) }
    } catch (error) {
      if (!signal.aborted) return classify(error, seen, channel, conceal, Date.now())
      return refusal(failed('timeout', `Slack did not answer in time (at most ${config.timeout} ms)`))
    }
  }
}

/** By status first: the client has no code for a 429 without a readable `Retry-After`, nor for an answer that breaks off. */
function classify(
  error: unknown,
  { called, status, retryAfter }: Seen,
  channel: string | undefined,
  conceal: (text: string) => string,
  now: number,
): SlackAnswer {
  const said = status === 200 ? platformError(error) : undefined
  // Before the message is cut to its length: what is left of a token that was cut would not be found.
  if (said !== undefined)
    return refusal(slackFailure({ error: conceal(said.error), details: said.details.map(conceal), channel }), said.error)
  return refusal(transportFailure())

  function transportFailure(): Failure {
    if (!called) return failed('template_error', conceal(`no request can be made of the message: ${messageOf(error)}`))
    if (status === undefined) return failed('unavailable', conceal(`Slack cannot be reached: ${reasonOf(error)}`))
    if (status === 429) {
      return failed('rate_limited', `Slack answered 429${forChannel(channel)}`, rateLimitPauseMs(retryAfter, now))
    }
    if (status === 401 || status === 403)
      return failed('unauthorized', `Slack answered ${status}: check the sink’s \`token\` and \`api_url\``)
    if (status === 408 || status >= 500) return failed('unavailable', `Slack answered ${status}`, retryAfterMs(retryAfter, now))
    if (status !== 200) return failed('rejected', `Slack answered ${status}: check the sink’s \`api_url\``)
    return failed('unavailable', 'the answer broke off or is not from Slack’s Web API: the message may have been posted')
  }
}

function refusal(failure: Failure, error?: string): SlackAnswer {
  return { ok: false, failure, error }
}

function messageIn(answer: unknown): AnsweredMessage {
  return {
    channel: textOf(property(answer, 'channel')),
    ts: textOf(property(answer, 'ts')),
    threadTs: textOf(property(property(answer, 'message'), 'thread_ts')),
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
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
