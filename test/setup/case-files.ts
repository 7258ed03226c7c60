/** Configurations and their cases, in a directory that each test has for itself. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach } from 'vitest'

export interface CaseFiles {
  dir: () => string
  /** @returns its path */
  write: (name: string, text: string) => string
}

/** Call it once in a test file. */
export function useCaseFiles(): CaseFiles {
  let dir = ''
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'gemini-relay-cases-'))
  })
  afterEach(() => {
    rmSync(dir, { recursive: true, force: true })
  })
  return {
    dir: () => dir,
    write(name, text) {
      const file = join(dir, name)
      writeFileSync(file, text)
      return file
    },
  }
}
