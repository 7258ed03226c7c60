import type { Target } from '../config/targets.ts'
import type { Sink } from './sink.ts'

/** What rules say of a sink. A batch goes by what it was when the batch began: by then its rules were there. */
export interface Said<T> {
  now: () => T
  retarget: Sink['retarget']
}

export function compileSaid<T>(targets: readonly Target[], compile: (targets: readonly Target[]) => T): Said<T> {
  let said = compile(targets)
  return {
    now: () => said,
    retarget(changed) {
      const compiled = compile(changed)
      return () => {
        said = compiled
      }
    },
  }
}
