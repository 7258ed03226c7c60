/** Runs again when a file of a configuration or of its cases changes. */
import { existsSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { filesOf } from '../../config/suite.ts'

/** Editors write a file in several steps: one run is enough for them. In milliseconds. */
const settleMs = 100

/** Until the process is ended. Directories are watched, since many editors put a new file in the place of the old one. */
export function watchFiles(files: readonly string[], run: () => void): void {
  const watched = files.flatMap(filesOf)
  let timer: NodeJS.Timeout | undefined
  for (const directory of new Set(watched.map((file) => dirname(file)))) {
    if (!existsSync(directory)) continue
    const names = new Set(watched.filter((file) => dirname(file) === directory).map((file) => basename(file)))
    watch(directory, (_, name) => {
      // A new file may be one that `include` names with a star.
      if (name === null || !(names.has(name) || /\.ya?ml$/i.test(name))) return
      clearTimeout(timer)
      timer = setTimeout(run, settleMs)
    })
  }
}
