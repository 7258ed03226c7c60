/** What the API answered, for a while: bounded in number and bytes, the one that was not asked for longest goes first. */
import type { JobResource } from '../types.ts'

export interface Found {
  /** Null: there is no such job. */
  resource: JobResource | null
  /** When the API was asked, milliseconds since the epoch; Infinity for what changes no more. */
  asOf: number
}

export interface JobCache {
  get: (path: string) => Found | undefined
  /** @param bytes of it, about */
  set: (path: string, found: Found, keepMs: number, bytes: number) => void
}

export interface JobCacheOptions {
  maxEntries: number
  maxBytes: number
  /** Milliseconds on any clock. */
  now: () => number
}

interface Entry {
  found: Found
  until: number
  bytes: number
}

export function createJobCache({ maxEntries, maxBytes, now }: JobCacheOptions): JobCache {
  /** In the order of their last use. */
  const entries = new Map<string, Entry>()
  let held = 0

  function remove(path: string): void {
    held -= entries.get(path)?.bytes ?? 0
    entries.delete(path)
  }

  return {
    get(path) {
      const entry = entries.get(path)
      if (entry === undefined) return undefined
      if (entry.until <= now()) {
        remove(path)
        return undefined
      }
      entries.delete(path)
      entries.set(path, entry)
      return entry.found
    },
    set(path, found, keepMs, bytes) {
      remove(path)
      // One that would push most others out is fetched again instead.
      if (bytes > maxBytes / 4) return
      entries.set(path, { found, until: now() + keepMs, bytes })
      held += bytes
      for (const [oldest] of entries) {
        if (entries.size <= maxEntries && held <= maxBytes) return
        remove(oldest)
      }
    },
  }
}
