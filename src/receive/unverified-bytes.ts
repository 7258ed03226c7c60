/** The ceiling on what all requests that are not verified yet hold in memory together: anybody can send one. */

export interface UnverifiedLimits {
  /** For all of them together, in bytes. */
  totalBytes: number
  /** What those over `smallBytes` may bring the total to: the rest is kept for small ones. */
  largeBytes: number
  smallBytes: number
}

/**
 * A webhook is a few kilobytes. As many small ones as there can be connections (see server.ts) fit into what large ones must leave,
 * so slow senders of large bodies keep no small one out. Three bodies of the largest `body_limit` fit at a time.
 */
const defaultLimits: UnverifiedLimits = { totalBytes: 64 * 1_048_576, largeBytes: 48 * 1_048_576, smallBytes: 8_192 }

/** What a request counts for at least: its headers, and what Node and Koa keep of it. */
const requestBytes = 4_096

/** What one request holds. */
export interface Hold {
  /** Whether the request may hold `bytes` in all. If not, it holds what it held. */
  grow: (bytes: number) => boolean
  /** Gives everything back. A second time it changes nothing. */
  release: () => void
}

export interface UnverifiedBytes {
  /** Of a request that begins; undefined when there is no place for it. `declaredBytes` is looked at, not taken: a claim costs its sender nothing. */
  hold: (declaredBytes: number) => Hold | undefined
}

export function createUnverifiedBytes({ totalBytes, largeBytes, smallBytes } = defaultLimits): UnverifiedBytes {
  let total = 0

  function fits(held: number, bytes: number): boolean {
    return total - held + bytes <= (bytes > smallBytes ? largeBytes : totalBytes)
  }

  return {
    hold(declaredBytes) {
      let held = 0
      if (!fits(held, Math.max(requestBytes, declaredBytes))) return undefined
      held = requestBytes
      total += held
      return {
        grow(bytes) {
          if (bytes <= held) return true
          if (!fits(held, bytes)) return false
          total += bytes - held
          held = bytes
          return true
        },
        release() {
          total -= held
          held = 0
        },
      }
    },
  }
}
