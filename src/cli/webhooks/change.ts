/** Commands whose answers hold secrets, which go straight into the store. */
import { Option, type Command } from 'commander'
import { loadConfig, type LoadedConfig } from '../../config/load.ts'
import { RelayError } from '../../errors.ts'
import { wantedTypes } from '../../gemini/event-types.ts'
import { revocations, type Revocation } from '../../gemini/webhook-service.ts'
import { rekeySecrets } from '../../store/signing-secrets.ts'
import { listEndpoints, type Endpoint } from '../../store/webhooks.ts'
import { withDatabase } from '../database.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from '../options.ts'
import { changeWebhooks, encryptionOf, list, managedSource, print, webhookText } from './shared.ts'

type Common = ConfigOption & JsonOption

interface SecretOptions extends Common {
  source?: string
  showSecret: boolean
}

const load = (file: string): LoadedConfig => loadConfig({ file, env: process.env })
const kept = 'its secret is in the store: running relays take it within a second'

function withSecret(command: Command): Command {
  return withJson(withConfig(command))
    .option('-s, --source <source>', 'source that receives; needed when several take managed secrets')
    .option('--show-secret', 'print the secret, which nobody shows again', false)
}

export function addCreate(webhooks: Command): void {
  withSecret(webhooks.command('create'))
    .description('make a webhook, and keep its secret in the store')
    .requiredOption('--uri <uri>', 'public address of the source: https, as Gemini calls it')
    .option('--events <types>', 'types of events, between commas; default: those that the rules want', list)
    .option('--name <name>', 'what it is called')
    .action(async ({ config, json, uri, events, name, source, showSecret }: SecretOptions & CreateOptions) => {
      const loaded = load(config)
      const receiving = managedSource(loaded, source)
      const subscribed = events ?? wantedTypes(loaded.config.rules, receiving)
      if (subscribed.length === 0)
        throw new RelayError('usage', 'no rule wants an event of this source: say which, with --events')
      const { webhook, secret } = await changeWebhooks(loaded, ({ changes }) =>
        changes.create({ source: receiving, name, uri, events: subscribed, declared: null }),
      )
      const shown = showSecret ? { signing_secret: secret } : {}
      const text = [webhookText(webhook), kept, ...(showSecret ? [secret] : [])].join('\n')
      print(json, { ...webhook, source: receiving, ...shown }, text)
    })
}

interface CreateOptions {
  uri: string
  events?: string[]
  name?: string
}

export function addRotate(webhooks: Command): void {
  withSecret(webhooks.command('rotate'))
    .description('give a webhook a new secret, and keep it in the store')
    .argument('<id>', 'id of the webhook')
    .addOption(
      new Option('--revoke <when>', 'when the previous secrets end: they sign on for 24 hours, or not at all')
        .choices(revocations)
        .default('after_h24'),
    )
    .action(async (id: string, { config, json, source, showSecret, revoke }: SecretOptions & { revoke: Revocation }) => {
      const loaded = load(config)
      const { endpoint, secret } = await changeWebhooks(loaded, async ({ changes, service, pool }) => {
        const known = (await listEndpoints(pool)).find((one) => one.id === id)
        const found: Endpoint = known ?? { id, source: managedSource(loaded, source), name: null }
        if (source !== undefined && source !== found.source)
          throw new RelayError('usage', `webhook ${id} is of source ${found.source}, not ${source}`)
        // A webhook that does not exist is told before anything is written down.
        if (known === undefined) await service.get(id)
        return { endpoint: found, secret: await changes.rotate(found, revoke) }
      })
      const previous = revoke === 'immediately' ? 'the previous ones are revoked' : 'the previous ones sign for another 24 hours'
      const text = [`webhook ${id} has a new secret; ${previous}`, kept, ...(showSecret ? [secret] : [])].join('\n')
      print(json, { id, source: endpoint.source, revoke, ...(showSecret ? { signing_secret: secret } : {}) }, text)
    })
}

export function addDelete(webhooks: Command): void {
  withJson(withConfig(webhooks.command('delete')))
    .description('delete a webhook, and forget its secrets')
    .argument('<id>', 'id of the webhook')
    .action(async (id: string, { config, json }: Common) => {
      await changeWebhooks(load(config), ({ changes }) => changes.delete(id))
      print(json, { id, deleted: true }, `webhook ${id} is deleted, and its secrets forgotten`)
    })
}

export function addHeal(webhooks: Command): void {
  withJson(withConfig(webhooks.command('heal')))
    .description('end what a create or rotate that died has left open; a relay with GEMINI_API_KEY does so by itself')
    .action(async ({ config, json }: Common) => {
      const loaded = load(config)
      encryptionOf(loaded)
      // What there is to heal is healed, and told, before any change.
      await changeWebhooks(loaded, () => Promise.resolve())
      print(json, { healed: true }, 'nothing is left open')
    })
}

export function addRekey(webhooks: Command): void {
  withJson(withConfig(webhooks.command('rekey')))
    .description('encrypt all stored secrets with the first encryption key, so that the others can go')
    .action(async ({ config, json }: Common) => {
      const loaded = load(config)
      const encryption = encryptionOf(loaded)
      const count = await withDatabase(loaded, (pool) => rekeySecrets(pool, encryption))
      print(
        json,
        { rekeyed: count, key: encryption.keyId },
        `${count} secrets were encrypted anew, with the key ${encryption.keyId}`,
      )
    })
}
