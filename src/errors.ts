/**
 * Every way the relay says no, as three closed sets. Code decides by `code`, never by message text.
 *
 * - {@link RefusalCode}: an answer of the receiver that is not 2xx.
 * - {@link FailureCode}: why an attempt at a delivery failed, or why a delivery is dead.
 * - {@link RelayErrorCode}: why the process or a command cannot go on.
 */

/** HTTP status of every refusal. The body is `{error, code}`; it says nothing about keys. */
export const refusalStatus = {
  malformed_request: 400, // not HTTP, or HTTP that says two things at once
  missing_header: 400,
  malformed_header: 400,
  stale_timestamp: 400,
  signature_mismatch: 400,
  token_invalid: 400,
  token_reused: 400,
  token_unbound: 400,
  body_mismatch: 400,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  body_too_large: 413,
  unsupported_encoding: 415,
  expectation_failed: 417,
  too_many_headers: 431,
  keys_unavailable: 503,
  database_unavailable: 503,
  queue_full: 503,
  overloaded: 503, // unverified requests hold too much memory
  shutting_down: 503,
  internal: 503,
} as const

export type RefusalCode = keyof typeof refusalStatus

/** Thrown while receiving and verifying; the receiver turns it into an answer. `message` is public. */
export class Refusal extends Error {
  readonly code: RefusalCode
  constructor(code: RefusalCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'Refusal'
    this.code = code
  }
  get status(): number {
    return refusalStatus[this.code]
  }
}

/** Whether a failed attempt may succeed later. Retryability is a property of the code alone. */
export const failureRetryable = {
  // what a sink or the way to it can answer
  unavailable: true, // 5xx, refused or broken connection
  timeout: true, // no answer within the sink's `timeout`
  rate_limited: true, // 429: pauses the lane, costs no attempt
  gone: true, // 410: pauses the sink until somebody resumes it, costs no attempt
  locked: true, // lock or statement timeout of a table
  topic_missing: true, // somebody may create it
  rejected: false, // an answer that will be the same next time: 4xx, a Slack error, a Kafka error
  unauthorized: false, // the sink refuses our credentials
  address_refused: false, // the SSRF guard
  too_large: false, // a record over the broker's limit
  value_rejected: false, // SQLSTATE class 22 or 23
  column_missing: false, // the table is not what the config says
  // what our own rendering can fail with
  template_error: false,
  expression_error: false,
  condition_error: false,
  // how a delivery can die without an answer
  expired: false,
  attempts_exhausted: false,
  abandoned: false,
  resource_unavailable: true, // the Gemini API, asked for the job of an enriched delivery
  internal: true, // a bug: kept and retried, loudly
} as const

export type FailureCode = keyof typeof failureRetryable

export type RelayErrorCode =
  | 'usage'
  | 'config_invalid'
  | 'database_unreachable'
  | 'database_unsupported'
  | 'schema_too_new'
  | 'embedded_unavailable'
  | 'embedded_in_use'
  | 'sink_misconfigured'
  | 'port_in_use'
  | 'cannot_listen'
  | 'not_found'
  | 'send_failed'
  | 'api_key_missing'
  | 'gemini_refused' // the API says no: see GeminiApiError
  | 'gemini_unavailable' // the API cannot be reached, or cannot answer now
  | 'webhooks_busy' // somebody else is changing webhooks at Gemini
  | 'encryption_key' // missing, or another than the one that encrypted

/** Ends a command with a clear message. `hint` says what to do about it. */
export class RelayError extends Error {
  readonly code: RelayErrorCode
  readonly hint: string | undefined
  constructor(code: RelayErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RelayError'
    this.code = code
    this.hint = options.hint
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/** The message of what was at the bottom of it: `fetch failed` says nothing. Slack's client keeps a cause as `original`. */
export function reasonOf(error: unknown): string {
  const cause = property(error, 'cause') ?? property(error, 'original')
  return cause === undefined || cause === null ? messageOf(error) : reasonOf(cause)
}

/** Of anything thrown or answered; undefined where there is none. */
export function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
}
