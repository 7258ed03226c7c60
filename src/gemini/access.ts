/** Where the Gemini API is, and the key for it. */
import type { GeminiConfig } from '../config/gemini-schema.ts'
import { RelayError } from '../errors.ts'

export interface GeminiAccess {
  apiKey: string
  /** Without a slash at its end. */
  baseUrl: string
}

const googleUrl = 'https://generativelanguage.googleapis.com'

/** What the configuration says goes before the environment, whose variables are those of the official SDK. */
export function findGeminiAccess(
  config: Pick<GeminiConfig, 'api_key' | 'base_url'>,
  env: Readonly<Record<string, string | undefined>>,
): GeminiAccess | undefined {
  const apiKey = config.api_key || env.GEMINI_API_KEY
  if (!apiKey) return undefined
  const baseUrl = config.base_url ?? (env.GOOGLE_GEMINI_BASE_URL || googleUrl)
  return { apiKey, baseUrl: baseUrl.replace(/\/+$/, '') }
}

/** @throws RelayError `api_key_missing` */
export function geminiAccess(...from: Parameters<typeof findGeminiAccess>): GeminiAccess {
  const access = findGeminiAccess(...from)
  if (access !== undefined) return access
  throw new RelayError('api_key_missing', 'there is no key for the Gemini API', {
    hint: 'set GEMINI_API_KEY, or gemini.api_key in the configuration',
  })
}
