import { readBounded } from '../bounded-text.ts'
import { keySetOf, type KeySet } from './key-set.ts'

export type Fetch = typeof globalThis.fetch

export interface FetchedKeys {
  keys: KeySet
  /** How long the answer says it is good for, in milliseconds, within our bounds. */
  maxAgeMs: number
}

/** A JWKS is a few kilobytes; this bounds what a wrong address can make us hold. */
const maxBytes = 1_048_576

/** Without `max-age`; and the bounds of one that is sent: not a fetch a second, and a revoked key is gone within a day. */
const defaultMaxAgeMs = 3_600_000
const minMaxAgeMs = 60_000
const maxMaxAgeMs = 86_400_000

/** @throws Error saying what was wrong with the answer, or the signal's reason */
export async function fetchJwks({
  uri,
  fetch,
  signal,
}: {
  uri: string
  fetch: Fetch
  signal: AbortSignal
}): Promise<FetchedKeys> {
  const response = await fetch(uri, { redirect: 'error', headers: { accept: 'application/json' }, signal })
  if (response.status !== 200) {
    await response.body?.cancel()
    throw new Error(`the answer was ${response.status}`)
  }
  return {
    keys: keySetOf(parse(await readBounded(response, maxBytes))),
    maxAgeMs: maxAgeMs(response.headers.get('cache-control')),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('the answer is not JSON')
  }
}

function maxAgeMs(cacheControl: string | null): number {
  const seconds = /(?:^|[\s,])max-age=(\d{1,10})(?=$|[\s,])/i.exec(cacheControl ?? '')?.[1]
  if (seconds === undefined) return defaultMaxAgeMs
  return Math.min(Math.max(Number(seconds) * 1_000, minMaxAgeMs), maxMaxAgeMs)
}
