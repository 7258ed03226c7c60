/** What the configuration's contract names and this version does not have: said as such, rather than as a spelling mistake. */
import type { Path } from './issues.ts'
import { isMap } from './raw.ts'

const perDelivery = ['thread', 'update', 'mentions', 'value', 'headers']

/** `*` is any one step. */
const laterPaths: readonly Path[] = [
  ...['admin', 'defaults', 'include', 'tests'].map((key) => [key]),
  ...perDelivery.flatMap((key) => [
    ['sinks', '*', key],
    ['rules', '*', 'to', '*', key],
  ]),
]

const operators = new Set(['prefix', 'suffix', 'anything-but', 'numeric', 'exists', 'cidr', 'wildcard', 'equals-ignore-case'])

/** Whether a key belongs to a later version. */
export function isLaterKey(path: Path): boolean {
  return laterPaths.some(
    (later) => later.length === path.length && later.every((step, index) => step === '*' || step === path[index]),
  )
}

/** The operator of a later pattern language that a value uses, if it does: `[{ prefix: batch. }]`, or alternatives under `$or`. */
export function laterOperator(path: Path, value: unknown): string | undefined {
  if (path[0] !== 'rules' || path[2] !== 'when') return undefined
  if (path.at(-1) === '$or') return '$or'
  if (!Array.isArray(value)) return undefined
  return value.filter(isMap).flatMap((item) => Object.keys(item).filter((key) => operators.has(key)))[0]
}
