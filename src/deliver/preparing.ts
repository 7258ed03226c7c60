/**
 * Before the queue of a lane whose rules enrich: a delivery waits here for the job it is about, and takes no place of anybody who
 * waits for the sink.
 */
import type { Enrich } from '../config/schema.ts'
import type { Jobs } from '../gemini/jobs.ts'
import { failed } from '../sinks/sink.ts'
import type { Failure, JobResource, LeasedDelivery } from '../types.ts'

export type Unavailable = Enrich['unavailable']

export interface Preparing {
  /** Deliveries that are here: being prepared, or until it is written that they could not be. */
  size: () => number
  add: (deliveries: readonly LeasedDelivery[]) => void
  /** Takes out what is not decided yet. */
  clear: () => LeasedDelivery[]
}

export interface PreparingOptions {
  jobs: Jobs
  /** What a rule says of a job that cannot be had. */
  unavailable: ReadonlyMap<string, Unavailable>
  ready: (deliveries: readonly LeasedDelivery[]) => void
  /** @param tries how often this process could not prepare it, 1 after the first */
  putOff: (delivery: LeasedDelivery, failure: Failure, tries: number) => Promise<void>
}

/** How often so many deliveries had to wait; of those before them the schedule begins anew. */
const maxCounted = 10_000

export function createPreparing({ jobs, unavailable, ready, putOff }: PreparingOptions): Preparing {
  const open = new Set<LeasedDelivery>()
  const tries = new Map<string, number>()
  let writing = 0

  async function prepare(delivery: LeasedDelivery): Promise<void> {
    open.add(delivery)
    const without = unavailable.get(delivery.rule) === 'without'
    const fetched = await (without ? withinTimeout(delivery) : jobs.fetch(delivery.stored.event))
    if (!open.delete(delivery)) return // given back meanwhile
    if ('resource' in fetched) return finish(delivery, fetched.resource)
    if (without) return finish(delivery, null)
    const count = (tries.get(delivery.id) ?? 0) + 1
    remember(delivery.id, count)
    writing += 1
    await putOff(delivery, failed('resource_unavailable', fetched.unavailable, fetched.retryAfterMs), count)
    writing -= 1
    ready([])
  }

  /** In turn for the budget, then for the answer: both together within the timeout of one call. */
  function withinTimeout({ stored }: LeasedDelivery): ReturnType<Jobs['fetch']> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve({ resource: null }), jobs.timeoutMs)
      void jobs.fetch(stored.event).then((fetched) => {
        clearTimeout(timer)
        resolve(fetched)
      })
    })
  }

  function finish(delivery: LeasedDelivery, resource: JobResource | null): void {
    tries.delete(delivery.id)
    ready([{ ...delivery, resource }])
  }

  function remember(id: string, count: number): void {
    tries.delete(id)
    tries.set(id, count)
    const [oldest] = tries.keys()
    if (oldest !== undefined && tries.size > maxCounted) tries.delete(oldest)
  }

  return {
    size: () => open.size + writing,
    add(deliveries) {
      const known: LeasedDelivery[] = []
      for (const delivery of deliveries) {
        const resource = jobs.known(delivery.stored.event)
        if (resource === undefined) void prepare(delivery)
        else {
          tries.delete(delivery.id)
          known.push({ ...delivery, resource })
        }
      }
      if (known.length > 0) ready(known)
    },
    clear() {
      const undecided = [...open]
      open.clear()
      return undecided
    },
  }
}
