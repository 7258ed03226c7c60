/** Every configuration that was named, once, with what became of its cases. */
import { ConfigError } from '../../config/issues.ts'
import { configOf, loadSuite } from '../../config/suite.ts'
import { runCases, type SuiteResult } from '../../dry/run-cases.ts'

/** `refused`: it or its test file is not valid, so that nothing of it was run. */
export type Result = SuiteResult | { config: string; refused: ConfigError }

export function resultsOf(files: readonly string[]): Result[] {
  return [...new Set(files.map(configOf))].map((config) => {
    try {
      return runCases(loadSuite(config))
    } catch (error) {
      if (error instanceof ConfigError) return { config, refused: error }
      throw error
    }
  })
}

export function failedIn({ cases }: SuiteResult): SuiteResult['cases'] {
  return cases.filter(({ problems }) => problems.length > 0)
}

export function hasFailed(result: Result, { strict }: { strict: boolean }): boolean {
  if ('refused' in result) return true
  return failedIn(result).length > 0 || (strict && result.untouched.length > 0)
}

/** For machines. */
export function asJson(result: Result): Record<string, unknown> {
  if (!('refused' in result)) return { ...result }
  return { config: result.config, errors: result.refused.issues }
}
