/**
 * What a running relay is made of by its configuration: verifiers, sinks and the like. From one configuration to the next a part
 * stays where its settings do, and with it its connections and whatever else it has learnt.
 */
import { isDeepStrictEqual } from 'node:util'

export interface Parts<T> {
  /** Of the next configuration; the running parts are as they were until it is put to use. */
  draft: () => Draft<T>
  /** Stops what runs, the newest first. */
  stop: () => Promise<void>
}

export interface Draft<T> {
  /**
   * The running part of this name where it was made from equal settings, else a new one.
   *
   * @param settings plain data
   */
  take: (name: string, settings: unknown, make: () => T | Promise<T>) => Promise<T>
  /** Whether it was made for this draft. */
  isNew: (part: T) => boolean
  /** From now on these run. @returns those that no longer do: to be retired by the caller */
  use: () => T[]
  /** Stops what was made for it. */
  abandon: () => Promise<void>
}

interface Entry<T> {
  settings: unknown
  part: T
}

export function createParts<T>(stop: (part: T) => unknown): Parts<T> {
  let running = new Map<string, Entry<T>>()

  async function stopAll(parts: readonly T[]): Promise<void> {
    for (const part of parts.toReversed()) await stop(part)
  }

  return {
    draft() {
      const next = new Map<string, Entry<T>>()
      const made: T[] = []
      return {
        async take(name, settings, make) {
          const old = running.get(name)
          const entry = old !== undefined && isDeepStrictEqual(old.settings, settings) ? old : { settings, part: await make() }
          if (entry !== old) made.push(entry.part)
          next.set(name, entry)
          return entry.part
        },
        isNew: (part) => made.includes(part),
        use() {
          const gone = [...running.values()].filter((entry) => ![...next.values()].includes(entry))
          running = next
          return gone.map(({ part }) => part)
        },
        abandon: () => stopAll(made),
      }
    },
    stop: () => stopAll([...running.values()].map(({ part }) => part)),
  }
}

/** What earlier configurations have left: stopped when nothing uses it any more. */
export interface Retired {
  /** @param unused settles then; by itself once a relay stops */
  add: (unused: Promise<unknown>, stop: () => unknown) => void
  /** Ends a wait that `unused` may be. */
  signal: AbortSignal
  /** Waits for all of it. */
  stop: () => Promise<void>
}

export function createRetired(failed: (error: unknown) => void): Retired {
  const stopping = new AbortController()
  const left = new Set<Promise<void>>()
  return {
    add(unused, stop) {
      const gone = unused
        .then(stop)
        .then(() => undefined, failed)
        .finally(() => left.delete(gone))
      left.add(gone)
    },
    signal: stopping.signal,
    async stop() {
      stopping.abort()
      await Promise.all(left)
    },
  }
}
