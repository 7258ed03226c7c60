/**
 * Reads of the Gemini API. Jobs are read without the SDK, which leaves out the counts of a batch and why it failed
 * (its `batchJobFromMldev`, in 1.52 to 3.1).
 */
import { retryAfterMs } from '../sinks/retry-after.ts'
import { readBounded } from '../bounded-text.ts'
import type { GeminiAccess } from './access.ts'
import { answeredError, unansweredError } from './api-error.ts'

export interface GeminiRest {
  /**
   * @param path under the version of the API: `batches/123`
   * @param what for messages: what is being done
   * @throws GeminiApiError
   */
  get(path: string, options: GetOptions): Promise<unknown>
}

export interface GetOptions {
  what: string
  query?: Readonly<Record<string, string>>
  timeoutMs: number
  signal?: AbortSignal
}

/** Where both batches and interactions are. */
const version = 'v1beta'

/** Of an answer: a batch carries its inlined responses along, up to 20 MB of them. */
const maxAnswerBytes = 32 * 1_048_576

export function createGeminiRest({ apiKey, baseUrl }: GeminiAccess): GeminiRest {
  return {
    async get(path, { what, query = {}, timeoutMs, signal }) {
      const url = new URL(`${baseUrl}/${version}/${path}`)
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
      const timeout = AbortSignal.timeout(timeoutMs)
      const response = await fetch(url, {
        headers: { 'x-goog-api-key': apiKey, accept: 'application/json' },
        redirect: 'error',
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      }).catch((error: unknown) => {
        throw unansweredError(what, error)
      })
      const body = await readBounded(response, maxAnswerBytes).catch((error: unknown) => {
        throw unansweredError(what, error)
      })
      if (!response.ok) {
        const wishMs = retryAfterMs(response.headers.get('retry-after'), Date.now())
        throw answeredError(what, response.status, body, undefined, wishMs)
      }
      try {
        return JSON.parse(body)
      } catch (error) {
        throw unansweredError(what, error)
      }
    },
  }
}
