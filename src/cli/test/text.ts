/** Results for people. */
import { formatIssues } from '../../config/issues.ts'
import type { CaseResult, Problem } from '../../dry/run-cases.ts'
import type { Explained } from '../../dry/explain.ts'
import { fieldTexts, mismatchText, shown } from '../explain.ts'
import { oneLine } from '../table.ts'
import { failedIn, type Result } from './results.ts'

export function textOf(result: Result): string {
  const { config } = result
  if ('refused' in result) return `FAIL ${config}\n${formatIssues(result.refused.issues)}`
  const failed = failedIn(result)
  if (result.cases.length === 0) return `none ${config}: no cases`
  const all = counted(result.cases.length)
  const head = failed.length === 0 ? `ok   ${config}: ${all}` : `FAIL ${config}: ${failed.length} of ${all}`
  const untouched = result.untouched.map((rule) => `  no case touches the rule ${rule}`)
  return [head, ...failed.flatMap(caseLines), ...untouched].join('\n')
}

function counted(cases: number): string {
  return `${cases} case${cases === 1 ? '' : 's'}`
}

function caseLines({ name, file, line, problems }: CaseResult): string[] {
  return [`  ✗ ${oneLine(name)} (${file}:${line})`, ...problems.flatMap(problemLines).map((text) => `    ${text}`)]
}

export function problemLines(problem: Problem): string[] {
  const where = `rule ${problem.rule}, sink ${problem.sink}`
  if (problem.problem === 'missing') return [`${where}: expected, and not made: ${reasonOf(problem.because)}`]
  if (problem.problem === 'unexpected') {
    const { fields, message } = problem.delivery
    const values = Object.entries(fields).map(([field, value]) => `  ${field}: ${shown(value)}`)
    return [`${where}: made, and not expected`, ...values, ...(message === undefined ? [] : [`  ${oneLine(message)}`])]
  }
  const wanted = shown(problem.wanted)
  if (!('seen' in problem)) return [`${where}, ${problem.field}`, `  wanted ${wanted}`, '  seen   nothing of this name']
  const seen = shown(problem.seen)
  return [`${where}, ${problem.field}`, `  wanted ${wanted}`, `  seen   ${seen}`, ...marker(wanted, seen)]
}

/** Points at the first character that differs, where it would take a while to find. */
function marker(wanted: string, seen: string): string[] {
  const at = firstDifference(wanted, seen)
  return at < 8 ? [] : [`         ${' '.repeat(at)}^`]
}

function firstDifference(one: string, other: string): number {
  let at = 0
  while (at < one.length && one[at] === other[at]) at++
  return at
}

/** Why a rule made no deliveries. */
function reasonOf(explained: Explained): string {
  if (explained.outcome === 'no_match') return mismatchText(explained.mismatch)
  if (explained.outcome !== 'condition_false') return 'the rule does not feed this sink'
  return [`the condition is false: ${oneLine(explained.condition)}`, ...fieldTexts(explained)].join('; ')
}
