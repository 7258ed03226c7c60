/** What a running process has bound, or stored its promises in: a configuration that changes it needs a restart. */
import type { Path } from './issues.ts'
import { at } from './raw.ts'
import type { Config } from './schema.ts'

const ofEach: readonly Path[] = [
  ['server', 'host'],
  ['server', 'port'],
  ['database', 'url'],
]
const ofAdmin: readonly Path[] = [
  ['admin', 'host'],
  ['admin', 'port'],
]

export const boundPaths: readonly Path[] = [...ofEach, ['admin'], ...ofAdmin]

/** A section that only one of both has changes as a whole. */
export function changedBounds(before: Config, next: Config): Path[] {
  const isWhole = before.admin === undefined || next.admin === undefined
  const bounds: readonly Path[] = [...ofEach, ...(isWhole ? [['admin']] : ofAdmin)]
  return bounds.filter((path) => at(before, path) !== at(next, path))
}
