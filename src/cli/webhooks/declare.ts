/** `webhooks plan` and `webhooks apply`: the webhooks at Gemini, kept as the configuration declares them. */
import type { Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import type { Encryption } from '../../encryption.ts'
import { geminiAccess } from '../../gemini/access.ts'
import { applyPlan } from '../../gemini/apply.ts'
import { declarationsOf, planWebhooks, type DeclaredPlan, type WebhooksPlan } from '../../gemini/declared.ts'
import { readHeldSecrets } from '../../gemini/held-secrets.ts'
import { createWebhookService, type WebhookService } from '../../gemini/webhook-service.ts'
import type { Pool } from '../../store/pool.ts'
import { assertKeysKnown } from '../../store/signing-secrets.ts'
import { listEndpoints, listIntents } from '../../store/webhooks.ts'
import { withDatabase } from '../database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from '../options.ts'
import { actionText, countsOf, isNothing, planText, undeclaredText, type Prune } from './plan-text.ts'
import { changeWebhooks, encryptionOf, print } from './shared.ts'

interface DeclareOptions extends ConfigOption, JsonOption {
  prune: boolean
}

function withPrune(command: Command): Command {
  return withJson(withConfig(command)).option('--prune', 'delete those that are no longer declared', false)
}

export function addPlan(webhooks: Command): void {
  withPrune(webhooks.command('plan'))
    .description('compare the webhooks that the configuration declares with those at Gemini, and change nothing')
    .option('--exit-code', '1 where there is something to do', false)
    .action(async ({ config, json, prune: pruning, exitCode }: DeclareOptions & { exitCode: boolean }) => {
      const loaded = loadConfig({ file: config, env: process.env })
      const prune = pruneOf(pruning)
      const { plan, open } = await readPlan(loaded)
      const counts = countsOf(plan, prune)
      const healing = open === 0 ? '' : `! heal: ${open} changes of webhooks have not ended; apply ends them first\n`
      print(json, { ...planFacts(plan), open_intents: open, to_do: counts }, `${healing}${planText(plan, prune)}`)
      if (exitCode && (open > 0 || !isNothing(counts))) process.exitCode = 1
    })
}

export function addApply(webhooks: Command): void {
  withPrune(webhooks.command('apply'))
    .description('make, mend and enable webhooks until they are as the configuration declares them')
    .action(async ({ config, json, prune }: DeclareOptions) => {
      const loaded = loadConfig({ file: config, env: process.env })
      const tell = (line: string): void => void (json || process.stdout.write(`${line}\n`))
      const { done, after } = await applyDeclared(loaded, pruneOf(prune), tell)
      print(json, { done, ...planFacts(after) }, planText(after, pruneOf(prune)))
    })
}

function pruneOf(prune: boolean): Prune {
  return prune ? 'deleted' : 'kept'
}

/**
 * @param tell called with a line for each step that was made
 * @returns those lines, and what a plan finds afterwards
 */
export async function applyDeclared(
  loaded: LoadedConfig,
  prune: Prune,
  tell: (line: string) => void,
): Promise<{ done: readonly string[]; after: WebhooksPlan }> {
  return await changeWebhooks(loaded, async ({ changes, service, pool, encryption }) => {
    const done: string[] = []
    const did = (line: string): void => {
      done.push(line)
      tell(line)
    }
    await applyPlan(await planNow(loaded, { service, pool, encryption }), {
      changes,
      service,
      pool,
      undeclared: prune,
      done: (one, action) => did(actionText(one, action)),
      removed: (one) => did(undeclaredText(one, prune)),
    })
    return { done, after: await planNow(loaded, { service, pool, encryption }) }
  })
}

interface Sources {
  service: WebhookService
  pool: Pool
  encryption: Encryption
}

export async function planNow({ config }: LoadedConfig, { service, pool, encryption }: Sources): Promise<WebhooksPlan> {
  const declared = declarationsOf(config)
  const { holds } = await readHeldSecrets(pool, encryption, config.sources)
  return planWebhooks({ declared, live: await service.list(), endpoints: await listEndpoints(pool), holds })
}

async function readPlan(loaded: LoadedConfig): Promise<{ plan: WebhooksPlan; open: number }> {
  const encryption = encryptionOf(loaded)
  const service = await createWebhookService(geminiAccess(loaded.config.gemini, process.env))
  return await withDatabase(loaded, async (pool) => {
    await assertKeysKnown(pool, encryption)
    const plan = await planNow(loaded, { service, pool, encryption })
    return { plan, open: (await listIntents(pool)).length }
  })
}

function planFacts({ webhooks, undeclared }: WebhooksPlan): Record<string, unknown> & { webhooks: unknown[] } {
  return {
    webhooks: webhooks.map(declaredFacts),
    no_longer_declared: undeclared.map(({ endpoint, webhook }) => ({ ...endpoint, gone: webhook === undefined })),
  }
}

function declaredFacts({ declaration, id, actions, others }: DeclaredPlan): Record<string, unknown> {
  return {
    ...declaration,
    id: id ?? null,
    actions: actions.map((action) => (action.kind === 'update' ? { kind: action.kind, change: action.change } : action)),
    others: others.map((other) => other.id),
  }
}
