/** Runs the cases of a configuration: what the rules make of each event, beside what is expected. */
import type { Case, Expected } from '../config/cases.ts'
import type { Suite } from '../config/suite.ts'
import { differences, type Difference } from './compare.ts'
import { dryEvent } from './event.ts'
import { createExplainer, type Explained } from './explain.ts'
import { dryResource } from './resource.ts'

export interface CaseResult {
  name: string
  file: string
  /** 1-based. */
  line: number
  /** None: it passed. */
  problems: Problem[]
}

export type Problem = { rule: string; sink: string } & (
  { problem: 'missing'; because: Explained } | { problem: 'unexpected'; delivery: Made } | ({ problem: 'differs' } & Difference)
)

export interface SuiteResult {
  config: string
  cases: CaseResult[]
  /** Names of the rules that no case's event matched. */
  untouched: string[]
}

/** A delivery as cases speak of it: the fields of its preview, or how it fails. */
interface Made {
  rule: string
  sink: string
  fields: Record<string, unknown>
  /** Of one that fails. */
  message?: string
}

export function runCases({ loaded: { config, file }, cases }: Suite): SuiteResult {
  const explainer = createExplainer(config)
  const touched = new Set<string>()
  const [only = ''] = Object.keys(config.sources)
  const results = cases.map(({ one, ...place }): CaseResult => {
    const { event: body, source = only, webhook_id: webhookId, scheme, user_metadata: claimsMetadata } = one
    const stored = dryEvent({ body, source, webhookId, scheme, claimsMetadata })
    const explained = explainer.explain({ stored, resource: dryResource(one) })
    for (const { rule, outcome } of explained) if (outcome === 'matched' || outcome === 'condition_error') touched.add(rule)
    return { name: one.name, ...place, problems: problemsOf(one, explained) }
  })
  return { config: file, cases: results, untouched: config.rules.map(({ name }) => name).filter((name) => !touched.has(name)) }
}

function problemsOf({ expect }: Case, explained: readonly Explained[]): Problem[] {
  const made = explained.flatMap(madeBy)
  const compared = expect.flatMap((expected): Problem[] => {
    const { rule, sink } = expected
    const found = made.find((one) => one.rule === rule && one.sink === sink)
    if (found !== undefined) return differencesOf(expected, found).map((one) => ({ problem: 'differs', rule, sink, ...one }))
    return explained.filter((one) => one.rule === rule).map((because) => ({ problem: 'missing', rule, sink, because }))
  })
  const extra = made.filter(({ rule, sink }) => !expect.some((one) => one.rule === rule && one.sink === sink))
  return [...compared, ...extra.map((one): Problem => ({ problem: 'unexpected', rule: one.rule, sink: one.sink, delivery: one }))]
}

function madeBy(explained: Explained): Made[] {
  const { rule, outcome } = explained
  if (outcome === 'condition_error')
    return explained.sinks.map((sink) => ({ rule, sink, fields: { dead: 'condition_error' }, message: explained.message }))
  if (outcome !== 'matched') return []
  return explained.deliveries.map(({ sink, ...preview }) => {
    if ('sends' in preview) return { rule, sink, fields: preview.sends }
    return { rule, sink, fields: { fails: preview.fails.code }, message: preview.fails.message }
  })
}

/** Of a delivery that fails or is dead unexpectedly, that is the one thing to say. */
function differencesOf(expected: Expected, { rule, sink, fields, message }: Made): Difference[] {
  for (const field of ['fails', 'dead'] as const) {
    if (field in fields && fields[field] !== expected[field])
      return [{ field, wanted: expected[field] ?? null, seen: `${String(fields[field])}: ${message}` }]
  }
  return differences(expected, { rule, sink, ...fields })
}
