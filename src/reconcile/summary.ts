/** What reconciling found, in words. */
import type { Reconciled } from './reconcile.ts'

export function summaryOf({ since, ended, made, there }: Reconciled): string {
  return `${ended} batches ended since ${since.toISOString()}, ${made} events made, ${there} were there`
}

/** What somebody should look at. */
export function doubtsIn({ unknownStates, unreadable }: Reconciled): string[] {
  const states = Object.entries(unknownStates).map(
    ([state, count]) =>
      `${count} batches are over in the state ${JSON.stringify(state)}, which this version does not know: no events were made of them`,
  )
  if (unreadable === 0) return states
  return [
    ...states,
    `${unreadable} entries of the list of batches have no name, or do not say when they ended: no events were made of them`,
  ]
}
