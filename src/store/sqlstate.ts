/** What a failed statement means, by SQLSTATE and never by message text. */

/** The five characters of an error that Postgres itself raised; undefined for anything else, a broken connection included. */
export function sqlState(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  const { code } = error
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && 'severity' in error ? code : undefined
}

/** Deadlock or serialization failure: the same statement may well pass the next time. */
function isConflict(error: unknown): boolean {
  const state = sqlState(error)
  return state === '40P01' || state === '40001'
}

/** A row that Postgres will not take: data exceptions, constraint violations, program limits (an index row too long, say). */
export function isBadRow(error: unknown): boolean {
  const state = sqlState(error)
  return state !== undefined && (state.startsWith('22') || state.startsWith('23') || state.startsWith('54'))
}

/** The server is away, going away or out of something: try again later. Anything without an SQLSTATE is a broken connection. */
export function isUnavailable(error: unknown): boolean {
  const state = sqlState(error)
  if (state === undefined) return true
  return state.startsWith('08') || state.startsWith('53') || state.startsWith('57P') || state === '25006' || state === '57014'
}

/**
 * Runs `work` again while it ends in a deadlock or serialization failure, at most five times in all.
 *
 * @param isAnother tells what else is a conflict for this work
 */
export async function retryConflicts<T>(
  work: () => Promise<T>,
  isAnother: (error: unknown) => boolean = () => false,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work()
    } catch (error) {
      if (tries === 5 || !(isConflict(error) || isAnother(error))) throw error
    }
  }
}
