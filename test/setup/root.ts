/** The package's root, also as seen from a compiled copy of a test file. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = above(dirname(fileURLToPath(import.meta.url)))

function above(dir: string): string {
  return existsSync(join(dir, 'package.json')) ? dir : above(dirname(dir))
}
