/** What the webhook commands have in common: options, the API, the store with its encryption, and how a webhook is shown. */
import { existsSync } from 'node:fs'
import { InvalidArgumentError } from 'commander'
import { defaultConfigFile } from '../../config/include.ts'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import { createEncryption, encryptionKeys, type Encryption } from '../../encryption.ts'
import { RelayError } from '../../errors.ts'
import { geminiAccess } from '../../gemini/access.ts'
import { withWebhookChanges, type WebhookChanges } from '../../gemini/webhook-changes.ts'
import { createWebhookService, type GeminiWebhook, type WebhookService } from '../../gemini/webhook-service.ts'
import type { Pool } from '../../store/pool.ts'
import { assertKeysKnown } from '../../store/signing-secrets.ts'
import { withDatabase } from '../database.ts'
import { oneLine } from '../table.ts'

/** For commands that need the API alone: without a configuration the environment says all. */
export async function openService(configFile: string): Promise<WebhookService> {
  const missing = configFile === defaultConfigFile && !existsSync(configFile)
  const gemini = missing ? {} : loadConfig({ file: configFile, env: process.env }).config.gemini
  return await createWebhookService(geminiAccess(gemini, process.env))
}

export interface ChangeTools {
  changes: WebhookChanges
  service: WebhookService
  pool: Pool
  encryption: Encryption
}

/** For commands that change secrets: what another process left open is healed first. */
export async function changeWebhooks<T>(loaded: LoadedConfig, work: (tools: ChangeTools) => Promise<T>): Promise<T> {
  const encryption = encryptionOf(loaded)
  const service = await createWebhookService(geminiAccess(loaded.config.gemini, process.env))
  return await withDatabase(loaded, async (pool) => {
    // With another key than the relay has, it would be given a secret that it cannot read.
    await assertKeysKnown(pool, encryption)
    return await withWebhookChanges({ service, pool, encryption }, async (changes) => {
      for (const line of await changes.heal()) process.stderr.write(`healed: ${line}\n`)
      return await work({ changes, service, pool, encryption })
    })
  })
}

/** @throws RelayError `encryption_key` */
export function encryptionOf({ config }: LoadedConfig): Encryption {
  return createEncryption(encryptionKeys(config.encryption, process.env))
}

/** @throws RelayError `usage` */
export function managedSource({ config }: LoadedConfig, wanted: string | undefined): string {
  const managed = Object.keys(config.sources).filter((name) => config.sources[name]?.static?.managed)
  const name = wanted ?? (managed.length === 1 ? managed[0] : undefined)
  if (name !== undefined && managed.includes(name)) return name
  if (managed.length === 0) {
    throw new RelayError('usage', 'no source of the configuration takes managed secrets', {
      hint: 'give it `static: { managed: true }`',
    })
  }
  const problem = name === undefined ? 'say which source' : `there is no source ${name} that takes managed secrets`
  throw new RelayError('usage', `${problem}: --source ${managed.join(' | ')}`)
}

export function list(text: string): string[] {
  const values = text.split(',').map((value) => value.trim())
  if (values.some((value) => !/^[a-z_]+\.[a-z_]+$/.test(value)))
    throw new InvalidArgumentError('expected types of events between commas, such as batch.succeeded,batch.failed')
  return values
}

export function webhookText(webhook: GeminiWebhook): string {
  const facts: [string, string | undefined][] = [
    ['id', webhook.id],
    ['name', webhook.name],
    ['state', webhook.state],
    ['uri', webhook.uri],
    ['events', webhook.subscribed_events.join(', ')],
    ['created', webhook.create_time],
    ['updated', webhook.update_time],
    ...webhook.signing_secrets.map(({ truncated_secret: secret, expire_time: end }): [string, string] => [
      'secret',
      end === undefined ? secret : `${secret} until ${end}`,
    ]),
  ]
  return facts.flatMap(([name, value]) => (value === undefined ? [] : [`${name.padEnd(8)} ${oneLine(value)}`])).join('\n')
}

export function print(json: boolean, value: unknown, text: string): void {
  process.stdout.write(json ? `${JSON.stringify(value)}\n` : `${text}\n`)
}
