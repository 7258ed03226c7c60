/** What the configuration's contract names and this version does not have: said as such, rather than as a spelling mistake. */
import type { Path } from './issues.ts'

const perDelivery = ['thread', 'update', 'mentions']

/** `*` is any one step. */
const laterPaths: readonly Path[] = [
  ...['admin', 'defaults', 'include'].map((key) => [key]),
  ...perDelivery.flatMap((key) => [
    ['sinks', '*', key],
    ['rules', '*', 'to', '*', key],
  ]),
]

/** Whether a key belongs to a later version. */
export function isLaterKey(path: Path): boolean {
  return laterPaths.some(
    (later) => later.length === path.length && later.every((step, index) => step === '*' || step === path[index]),
  )
}
