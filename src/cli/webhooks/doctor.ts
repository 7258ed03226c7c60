/** `webhooks doctor`: how each webhook is, what is wrong with it, and what to do about that. */
import type { Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import { geminiAccess } from '../../gemini/access.ts'
import { declarationsOf, planWebhooks } from '../../gemini/declared.ts'
import { readHeldSecrets, type HeldSecret } from '../../gemini/held-secrets.ts'
import { createWebhookService } from '../../gemini/webhook-service.ts'
import { readLastEvent } from '../../store/last-event.ts'
import { assertKeysKnown } from '../../store/signing-secrets.ts'
import { listEndpoints, listIntents } from '../../store/webhooks.ts'
import { withDatabase } from '../database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from '../options.ts'
import { ago, oneLine } from '../table.ts'
import { diagnose, intentFindings, type Diagnosis, type Finding } from './diagnose.ts'
import { encryptionOf, print } from './shared.ts'

export function addDoctor(webhooks: Command): void {
  withJson(withConfig(webhooks.command('doctor')))
    .description('say how each webhook is, and what to do about what is wrong; 1 when something is')
    .action(async ({ config, json }: ConfigOption & JsonOption) => {
      const { diagnoses, intents } = await examine(loadConfig({ file: config, env: process.env }))
      const problems = [...intents, ...diagnoses.flatMap(({ findings }) => findings)].filter(({ level }) => level === 'problem')
      const verdict = problems.length === 0 ? 'nothing is wrong' : `${problems.length} to look after`
      const text = [...diagnoses.map(diagnosisText), ...intents.map(findingText), verdict].join('\n')
      print(json, { healthy: problems.length === 0, webhooks: diagnoses.map(diagnosisFacts), findings: intents }, text)
      if (problems.length > 0) process.exitCode = 1
    })
}

async function examine(loaded: LoadedConfig): Promise<{ diagnoses: Diagnosis[]; intents: Finding[] }> {
  const { config } = loaded
  const encryption = encryptionOf(loaded)
  const service = await createWebhookService(geminiAccess(config.gemini, process.env))
  return await withDatabase(loaded, async (pool) => {
    await assertKeysKnown(pool, encryption)
    const [live, endpoints, intents] = [await service.list(), await listEndpoints(pool), await listIntents(pool)]
    const held = await readHeldSecrets(pool, encryption, config.sources)
    const plan = planWebhooks({ declared: declarationsOf(config), live, endpoints, holds: held.holds })
    const sources = new Set([
      ...plan.webhooks.map(({ declaration }) => declaration.source),
      ...endpoints.map(({ source }) => source),
    ])
    const lastEvents = new Map(
      await Promise.all([...sources].map(async (source) => [source, await readLastEvent(pool, source)] as const)),
    )
    const explicit = Object.entries(config.gemini.webhooks).flatMap(([name, { events }]) => (events === undefined ? [] : [name]))
    const examined = { plan, live, endpoints, held, rules: config.rules, explicit: new Set(explicit), lastEvents }
    return { diagnoses: diagnose(examined), intents: intentFindings(intents) }
  })
}

function diagnosisText(diagnosis: Diagnosis): string {
  const { name, ownership, webhook, source, uri, secrets, lastEvent, findings } = diagnosis
  const facts: [string, string | undefined][] = [
    ['state', webhook === undefined ? 'not at Gemini' : (webhook.state ?? 'not told')],
    ['uri', uri],
    ['events', webhook?.subscribed_events.join(', ')],
    ['secret', source === undefined ? undefined : secretText(secrets)],
    ['last', source === undefined ? undefined : lastText(diagnosis, lastEvent)],
  ]
  const lines = facts.flatMap(([key, value]) => (value === undefined ? [] : [`  ${key.padEnd(6)} ${oneLine(value)}`]))
  return [
    [oneLine(name), webhook?.id ?? '', `(${ownership})`].filter(Boolean).join(' '),
    ...lines,
    ...findings.map(findingText),
  ].join('\n')
}

function findingText({ level, what, todo }: Finding): string {
  return `  ${level === 'problem' ? '✗' : '·'} ${what}\n    → ${todo}`
}

function lastText({ source }: Diagnosis, last: Diagnosis['lastEvent']): string {
  return last === undefined ? `no event at ${source}` : `${last.type ?? '(no type)'} at ${source}, ${ago(last.received_at)} ago`
}

function secretText(secrets: readonly HeldSecret[]): string {
  const [newest, ...previous] = secrets
  if (newest === undefined) return 'none in the store'
  const ends = previous.flatMap(({ expiresInMs }) => (expiresInMs === null ? [] : [expiresInMs]))
  const until =
    ends.length === 0 ? '' : `; ${ends.length} before it, until ${new Date(Date.now() + Math.max(...ends)).toISOString()}`
  return `${ago(newest.createdAt)} old${until}`
}

function diagnosisFacts({
  name,
  ownership,
  source,
  webhook,
  uri,
  secrets,
  lastEvent,
  findings,
}: Diagnosis): Record<string, unknown> {
  return {
    id: webhook?.id ?? null,
    name,
    ownership,
    source: source ?? null,
    state: webhook?.state ?? null,
    uri,
    events: webhook?.subscribed_events ?? [],
    secrets: secrets.map(({ createdAt, expiresInMs }) => ({
      created_at: createdAt,
      expires_at: expiresInMs === null ? null : new Date(Date.now() + expiresInMs),
    })),
    last_event: lastEvent ?? null,
    findings,
  }
}
