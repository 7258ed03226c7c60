/** What the configuration's contract names and this version does not have: said as such, rather than as a spelling mistake. */
import type { Path } from './issues.ts'

/** Whether a key belongs to a later version. */
export function isLaterKey(path: Path): boolean {
  return path.length === 1 && path[0] === 'admin'
}
