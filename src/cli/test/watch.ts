/** Runs again when a configuration or its test file changes. */
import { existsSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { configOf, testFileOf } from '../../config/suite.ts'

/** Editors write a file in several steps: one run is enough for them. In milliseconds. */
const settleMs = 100

/** Until the process is ended. Directories are watched, since many editors put a new file in the place of the old one. */
export function watchFiles(files: readonly string[], run: () => void): void {
  const watched = files.map(configOf).flatMap((config) => [config, testFileOf(config)])
  let timer: NodeJS.Timeout | undefined
  for (const directory of new Set(watched.map((file) => dirname(file)))) {
    if (!existsSync(directory)) continue
    const names = new Set(watched.filter((file) => dirname(file) === directory).map((file) => basename(file)))
    watch(directory, (_, name) => {
      if (name === null || !names.has(name)) return
      clearTimeout(timer)
      timer = setTimeout(run, settleMs)
    })
  }
}
