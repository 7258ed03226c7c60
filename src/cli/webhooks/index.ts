/** `gemini-relay webhooks …`: the webhooks of the project at Gemini, and the secrets they sign with. */
import type { Command } from 'commander'
import { addCreate, addDelete, addHeal, addRekey, addRotate } from './change.ts'
import { addConfig } from './config.ts'
import { addApply, addPlan } from './declare.ts'
import { addDoctor } from './doctor.ts'
import { addGet, addList, addPing, addUpdate } from './manage.ts'

export function addWebhooks(program: Command): void {
  const webhooks = program
    .command('webhooks')
    .description('manage the webhooks of the Gemini API, with GEMINI_API_KEY, and the secrets they sign with')
  const manage = [addCreate, addList, addGet, addUpdate, addDelete, addRotate, addPing, addHeal, addRekey]
  const declare = [addPlan, addApply, addDoctor, addConfig]
  for (const add of [...manage, ...declare]) add(webhooks)
}
