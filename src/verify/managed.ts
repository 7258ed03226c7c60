import type { KeyObject } from 'node:crypto'

/** The secrets of one source that the relay keeps itself. */
export interface ManagedKeys {
  /** Those that are live now. */
  live: () => readonly KeyObject[]
  /**
   * Whether one may be missing: it is being made or replaced, or the store could not be read lately. A signature that no known
   * secret made is then no forgery for sure, and answered 503.
   */
  mayMiss: () => boolean
}
