/** Does what a plan says. Each step leaves behind what the next plan goes on from, so that it may end anywhere. */
import { saveEndpoint } from '../store/webhooks.ts'
import type { Pool } from '../store/pool.ts'
import type { Action, DeclaredPlan, Undeclared, WebhooksPlan } from './declared.ts'
import type { WebhookChanges } from './webhook-changes.ts'
import type { WebhookService } from './webhook-service.ts'

export interface ApplyOptions {
  changes: WebhookChanges
  service: WebhookService
  pool: Pool
  /** What becomes of those that are no longer declared. */
  undeclared: 'kept' | 'deleted'
  /** Called after each step. */
  done: (plan: DeclaredPlan, action: Action) => void
  removed: (undeclared: Undeclared) => void
}

export async function applyPlan({ webhooks, undeclared }: WebhooksPlan, options: ApplyOptions): Promise<void> {
  for (const plan of webhooks) {
    for (const action of plan.actions) {
      await act(plan, action, options)
      options.done(plan, action)
    }
  }
  for (const one of undeclared) {
    // What is gone at Gemini is nobody's: to forget it deletes nothing.
    if (one.webhook === undefined) await options.changes.forget(one.endpoint.id)
    else if (options.undeclared === 'deleted') await options.changes.delete(one.endpoint.id)
    else continue
    options.removed(one)
  }
}

async function act({ declaration }: DeclaredPlan, action: Action, { changes, service, pool }: ApplyOptions): Promise<void> {
  const { name, source, uri, events } = declaration
  switch (action.kind) {
    case 'forget':
      return changes.forget(action.id)
    case 'create':
      return void (await changes.create({ source, name, uri, events, declared: name }))
    case 'adopt':
    case 'move':
      return saveEndpoint(pool, { id: action.id, source, name })
    case 'update':
      return void (await service.update(action.id, action.change))
    case 'rotate':
      return void (await changes.rotate({ id: action.id, source, name }, 'after_h24', previousForMs[action.previous]))
    case 'enable':
      return void (await service.update(action.id, { state: 'enabled' }))
  }
}

/** With 24 hours others who know an old secret go on; here, one that does not sign any more is not trusted any longer either. */
const previousForMs = { known: 86_400_000, unknown: 0 } as const
