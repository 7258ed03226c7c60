/** A configuration with all its cases: those in its files, and those of the files beside them. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { readConfigFiles } from './include.ts'
import { loadConfig, type LoadedConfig } from './load.ts'
import { standIn } from './stand-ins.ts'
import { readTestFile, type PlacedCase } from './test-file.ts'

export interface Suite {
  loaded: LoadedConfig
  cases: PlacedCase[]
}

/** `relay.test.yaml` of `relay.yaml`. */
function testFileOf(config: string): string {
  return config.replace(/(\.ya?ml)?$/i, (ending) => `.test${ending === '' ? '.yaml' : ending}`)
}

/** The configuration that a file is, or is the test file of. */
export function configOf(file: string): string {
  return file.replace(/\.test(\.ya?ml)$/i, '$1')
}

/** Of what is read for the cases of a configuration, or of the test file beside one: those that are there or could be. */
export function filesOf(file: string): string[] {
  const config = configOf(file)
  if (!existsSync(config)) return [config, testFileOf(config)]
  const { main, included } = readConfigFiles(config, access)
  return [main, ...included].flatMap((one) => [one.file, testFileOf(one.file)])
}

const access = {
  env: {},
  readFile: (path: string) => readFileSync(path, 'utf8'),
  listFiles: (directory: string) => readdirSync(directory),
  standIn,
}

/**
 * Whatever the environment of this process holds, the same cases see the same configuration, and no secret is needed: a variable
 * has its value from `env` of a test file (that of the main configuration before others), else its default, else a made-up one.
 *
 * @throws ConfigError
 */
export function loadSuite(file: string): Suite {
  const { main, included } = readConfigFiles(file, access)
  const testFiles = [main, ...included]
    .map((one) => testFileOf(one.file))
    .filter((one) => existsSync(one))
    .map((one) => readTestFile(one, access.readFile))
  const env = Object.assign({}, ...testFiles.map((one) => one.env).toReversed())
  const loaded = loadConfig({ ...access, file, env })
  const inside = loaded.config.tests.map((one, index) => {
    const { file: written, line } = loaded.place(['tests', index])
    return { one, file: written, line }
  })
  return { loaded, cases: [...inside, ...testFiles.flatMap((one) => one.casesFor(loaded.config))] }
}
