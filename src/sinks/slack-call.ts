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

/** @returns undefined where Slack did as it was asked */
export type SlackCall = (
  method: string,
  body: Record<string, unknown>,
  signal: AbortSignal,
  /** That the call is about, if it is about one. */
  channel?: string,
) => Promise<Failure | undefined>

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
      await client.apiCall(method, body)
      return undefined
    } catch (error) {
      if (signal.aborted) return failed('timeout', `Slack did not answer in time (at most ${config.timeout} ms)`)
      return classify(error, seen, channel, conceal, Date.now())
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
): Failure {
  if (!called) return failed('template_error', conceal(`no request can be made of the message: ${messageOf(error)}`))
  if (status === undefined) return failed('unavailable', conceal(`Slack cannot be reached: ${reasonOf(error)}`))
  if (status === 429) {
    return failed('rate_limited', `Slack answered 429${forChannel(channel)}`, rateLimitPauseMs(retryAfter, now))
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
