/** An answer of the Gemini API that is no success, or none at all, told plainly. */
import { RelayError, property, reasonOf } from '../errors.ts'

interface GeminiApiErrorOptions {
  status?: number | undefined
  retryAfterMs?: number | undefined
  cause?: unknown
  hint?: string
}

export class GeminiApiError extends RelayError {
  /** Of the answer; undefined where there was none. */
  readonly status: number | undefined
  /** What the answer asked for, if it did, in milliseconds. */
  readonly retryAfterMs: number | undefined
  constructor(message: string, options: GeminiApiErrorOptions) {
    const { status, retryAfterMs, ...rest } = options
    super(isRefusal(status) ? 'gemini_refused' : 'gemini_unavailable', message, rest)
    this.status = status
    this.retryAfterMs = retryAfterMs
  }
}

/** Whether the same call would be refused again. */
function isRefusal(status: number | undefined): boolean {
  return status !== undefined && status >= 400 && status < 500 && ![408, 409, 429].includes(status)
}

/**
 * @param body as received; Google's APIs say `{"error": {"message", "status"}}`
 * @param retryAfterMs what the answer asked for, in milliseconds, if it did
 */
export function answeredError(
  what: string,
  status: number,
  body: string,
  cause?: unknown,
  retryAfterMs?: number,
): GeminiApiError {
  const said = saidIn(body)
  return new GeminiApiError(`${what}: the Gemini API answered ${status}${said === undefined ? '' : `: ${said}`}`, {
    status,
    retryAfterMs,
    cause,
    ...hintFor(status, said),
  })
}

/** @param error of fetch: its innermost cause says what happened */
export function unansweredError(what: string, error: unknown): GeminiApiError {
  return new GeminiApiError(`${what}: the Gemini API cannot be reached: ${reasonOf(error)}`, { cause: error })
}

function hintFor(status: number, said: string | undefined): { hint?: string } {
  if (status === 401 || status === 403 || (status === 400 && said !== undefined && /api key/i.test(said)))
    return { hint: 'is GEMINI_API_KEY (or gemini.api_key) the key of the right project?' }
  if (status === 429) return { hint: 'the project’s quota is used up: try again later' }
  return {}
}

/** One line, cut: it is the answer of somebody else. */
function saidIn(body: string): string | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    const message = property(property(parsed, 'error'), 'message')
    return typeof message === 'string' ? message.replaceAll(/\s+/g, ' ').slice(0, 500) : undefined
  } catch {
    return undefined
  }
}
