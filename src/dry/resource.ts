/** The job of a case, as `enrich` would fetch it. */
import type { Case, CaseResource } from '../config/cases.ts'
import { readJob } from '../gemini/job-resource.ts'
import type { JobResource } from '../types.ts'

export function dryResource({ event, resource }: Pick<Case, 'event' | 'resource'>): JobResource | null {
  if (resource === undefined || resource === null) return null
  const type = typeof event === 'string' ? undefined : event['type']
  const isInteraction = typeof type === 'string' && type.startsWith('interaction.')
  return withGiven(readJob(resource.kind ?? (isInteraction ? 'interaction' : 'batch'), {}), resource)
}

function withGiven(empty: JobResource, given: CaseResource): JobResource {
  const { state = null, model = null, create_time = null, error = null } = given
  const both = { state, model, create_time, error }
  if (empty.kind === 'interaction') {
    const { id = null, agent = null, summary = '', outputs = [], update_time = null } = given
    return { ...empty, ...both, id, agent, summary, outputs, update_time }
  }
  const { name = null, display_name = null, output_files = [], end_time = null } = given
  return { ...empty, ...both, name, display_name, output_files, end_time, counts: countsOf(empty.counts, given.counts) }
}

type Counts = { total: number; succeeded: number; failed: number; pending: number }

function countsOf(empty: Counts, given: CaseResource['counts']): Counts {
  const { total = empty.total, succeeded = empty.succeeded, failed = empty.failed, pending = empty.pending } = given ?? {}
  return { total, succeeded, failed, pending }
}
