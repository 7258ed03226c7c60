/** How the API says no: a closed set, the canonical codes of Google's APIs with the status that each has over HTTP. */

export const apiStatus = {
  INVALID_ARGUMENT: 400,
  FAILED_PRECONDITION: 400,
  PERMISSION_DENIED: 403,
  NOT_FOUND: 404,
  RESOURCE_EXHAUSTED: 429,
  INTERNAL: 500,
  UNAVAILABLE: 503,
} as const

export type ApiCode = keyof typeof apiStatus

export class ApiError extends Error {
  readonly code: ApiCode
  /** Overrides the status of the code, for a fault that was asked for. */
  readonly status: number
  /** Machine-readable, as in Google's `ErrorInfo`. */
  readonly reason: string | undefined
  constructor(code: ApiCode, message: string, { reason, status = apiStatus[code] }: { reason?: string; status?: number } = {}) {
    super(message)
    this.name = 'ApiError'
    this.code = code
    this.status = status
    this.reason = reason
  }
}

/** The body of such an answer. */
export function errorBody({ status, message, code, reason }: ApiError): Record<string, unknown> {
  const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason, domain: 'googleapis.com' }
  return { error: { code: status, message, status: code, ...(reason === undefined ? {} : { details: [info] }) } }
}
