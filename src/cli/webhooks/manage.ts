/** Commands that ask the API and keep nothing. */
import { Option, type Command } from 'commander'
import { RelayError } from '../../errors.ts'
import type { GeminiWebhook, WebhookChange } from '../../gemini/webhook-service.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from '../options.ts'
import { formatTable, oneLine } from '../table.ts'
import { list, openService, print, webhookText } from './shared.ts'

type Common = ConfigOption & JsonOption

export function addList(webhooks: Command): void {
  withJson(withConfig(webhooks.command('list')))
    .description('list all webhooks of the project')
    .action(async ({ config, json }: Common) => {
      const found = await (await openService(config)).list()
      print(json, found, found.length === 0 ? 'the project has no webhooks' : tableOf(found))
    })
}

function tableOf(webhooks: readonly GeminiWebhook[]): string {
  return formatTable(
    ['ID', 'NAME', 'STATE', 'SECRETS', 'EVENTS', 'URI'],
    webhooks.map(({ id, name, state, signing_secrets: secrets, subscribed_events: events, uri }) =>
      [id, name ?? '', state ?? '', secrets.map((one) => one.truncated_secret).join(' '), events.join(','), uri].map(oneLine),
    ),
  )
}

export function addGet(webhooks: Command): void {
  withJson(withConfig(webhooks.command('get')))
    .description('show one webhook')
    .argument('<id>', 'id of the webhook')
    .action(async (id: string, { config, json }: Common) => {
      const webhook = await (await openService(config)).get(id)
      print(json, webhook, webhookText(webhook))
    })
}

interface UpdateOptions extends Common {
  name?: string
  uri?: string
  events?: string[]
  state?: 'enabled' | 'disabled'
}

export function addUpdate(webhooks: Command): void {
  withJson(withConfig(webhooks.command('update')))
    .description('change what is given, and leave the rest')
    .argument('<id>', 'id of the webhook')
    .option('--name <name>', 'what it is called')
    .option('--uri <uri>', 'where it calls')
    .option('--events <types>', 'types of events, between commas', list)
    .addOption(new Option('--state <state>', 'enabled also takes up one that Gemini disabled').choices(['enabled', 'disabled']))
    .action(async (id: string, { config, json, name, uri, events, state }: UpdateOptions) => {
      const change: WebhookChange = {
        ...(name === undefined ? {} : { name }),
        ...(uri === undefined ? {} : { uri }),
        ...(events === undefined ? {} : { subscribed_events: events }),
        ...(state === undefined ? {} : { state }),
      }
      if (Object.keys(change).length === 0)
        throw new RelayError('usage', 'say what to change: --name, --uri, --events or --state')
      const webhook = await (await openService(config)).update(id, change)
      print(json, webhook, webhookText(webhook))
    })
}

export function addPing(webhooks: Command): void {
  withJson(withConfig(webhooks.command('ping')))
    .description('have Gemini send a ping to a webhook')
    .argument('<id>', 'id of the webhook')
    .action(async (id: string, { config, json }: Common) => {
      await (await openService(config)).ping(id)
      print(json, { id, pinged: true }, `Gemini pings ${id}: it arrives as an event of its own`)
    })
}
