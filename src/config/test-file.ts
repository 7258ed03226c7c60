/** Cases in a file of their own, read as strictly as a configuration. */
import { dirname, resolve } from 'node:path'
import { caseFaults } from './case-faults.ts'
import { testFileSchema, type Case } from './cases.ts'
import { readDocument } from './document.ts'
import { reasonUnreadable } from './expand.ts'
import { ConfigError, formatPath, issueOfFile, saidOnce, type ConfigIssue, type Fault } from './issues.ts'
import type { Config } from './schema.ts'
import { passedOverFaults, shapeFaults } from './shape.ts'

export interface PlacedCase {
  one: Case
  file: string
  /** 1-based. */
  line: number
}

export interface TestFile {
  /** For the configuration's variables. */
  env: Record<string, string>
  /** @throws ConfigError for what the configuration does not have */
  casesFor: (config: Config) => PlacedCase[]
}

/** @throws ConfigError with every issue at once */
export function readTestFile(file: string, readFile: (path: string) => string): TestFile {
  const document = readDocument(textOf(file, readFile), { env: {}, readFile: (path) => readFile(resolve(dirname(file), path)) })
  const isList = Array.isArray(document.json)
  const json = isList ? { tests: document.json } : document.json
  const issued = (faults: readonly Fault[]): ConfigIssue[] =>
    saidOnce(
      faults.map((fault) => {
        const written = { ...fault, path: isList ? fault.path.slice(1) : fault.path }
        const { path, message } = written
        return { path, message, place: { file, ...document.place(written) }, origin: { file, ...document.origin(written) } }
      }),
    )
  const spoiled = document.faults.map(({ position, path, message }) => ({ file, ...position, path: formatPath(path), message }))
  const parsed = testFileSchema.safeParse(json)
  const shape = parsed.success ? [] : shapeFaults(parsed.error, json)
  const issues = json === undefined ? spoiled : [...spoiled, ...issued([...shape, ...passedOverFaults(json)])]
  if (!parsed.success || issues.length > 0) throw new ConfigError(file, issues)
  const { env, tests } = parsed.data
  return {
    env,
    casesFor(config) {
      const unknown = issued(caseFaults({ ...config, tests }))
      if (unknown.length > 0) throw new ConfigError(file, unknown)
      return tests.map((one, index) => {
        const path = isList ? [index] : ['tests', index]
        return { one, file, line: document.place({ path, message: '' }).line }
      })
    },
  }
}

function textOf(file: string, readFile: (path: string) => string): string {
  try {
    return readFile(file)
  } catch (error) {
    throw new ConfigError(file, [issueOfFile(file, `cannot read the cases: ${reasonUnreadable(error)}`)])
  }
}
