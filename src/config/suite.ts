/** A configuration with all its cases: those in it, and those of the file beside it. */
import { existsSync, readFileSync } from 'node:fs'
import { readDocument } from './document.ts'
import { loadConfig, type LoadedConfig } from './load.ts'
import { standIn } from './stand-ins.ts'
import { readTestFile, type PlacedCase } from './test-file.ts'

export interface Suite {
  loaded: LoadedConfig
  cases: PlacedCase[]
}

/** `relay.test.yaml` of `relay.yaml`. */
export function testFileOf(config: string): string {
  return config.replace(/(\.ya?ml)?$/i, (ending) => `.test${ending === '' ? '.yaml' : ending}`)
}

/** The configuration that a file is, or is the test file of. */
export function configOf(file: string): string {
  return file.replace(/\.test(\.ya?ml)$/i, '$1')
}

/**
 * Whatever the environment of this process holds, the same cases see the same configuration, and no secret is needed: a variable
 * has its value from `env` of the test file, else its default, else a made-up one.
 *
 * @throws ConfigError
 */
export function loadSuite(file: string): Suite {
  const readFile = (path: string) => readFileSync(path, 'utf8')
  const beside = testFileOf(file)
  const testFile = existsSync(beside) ? readTestFile(beside, readFile) : undefined
  const env = testFile?.env ?? {}
  const loaded = loadConfig({ file, env, readFile, standIn })
  const document = readDocument(readFile(file), { env, readFile, standIn })
  const inside = loaded.config.tests.map((one, index) => {
    return { one, file, line: document.place({ path: ['tests', index], message: '' }).line }
  })
  return { loaded, cases: [...inside, ...(testFile?.casesFor(loaded.config) ?? [])] }
}
