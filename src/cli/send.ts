import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { InvalidArgumentError, Option, type Command } from 'commander'
import type { Config, SourceConfig } from '../config/schema.ts'
import { loadConfig } from '../config/load.ts'
import { eventTypes, exampleEvent } from '../emulator/catalog.ts'
import { readSigningKey, type SigningKey } from '../emulator/keys.ts'
import { signEd25519, signHmac, signJwt, type Message, type WebhookHeaders } from '../emulator/sign.ts'
import { RelayError, messageOf } from '../errors.ts'
import type { SigningScheme } from '../types.ts'
import { chooseSource } from './choose-source.ts'
import { collectField, jsonOr, type Fields } from './fields.ts'
import { withConfig, withJson, type ConfigOption, type JsonOption } from './options.ts'

interface SendOptions extends ConfigOption, JsonOption {
  source?: string
  scheme?: SigningScheme
  key?: string
  data: Fields
  metadata?: Fields
  id?: string
  subject?: string
  url?: string
}

/** A relay on this machine answers in milliseconds. */
const timeoutMs = 15_000

export function addSend(program: Command): void {
  withJson(withConfig(program.command('send')))
    .description('post a correctly signed event to a running relay, for a first try of a rule')
    .argument('<type>', `event type, such as ${eventTypes.slice(0, 3).join(', ')}; any other is sent too`)
    .option('-s, --source <source>', 'source of the configuration; needed when there are several')
    .addOption(
      new Option('--scheme <scheme>', 'how to sign; by default what the source trusts and we have a key for').choices([
        'hmac',
        'ed25519',
        'jwt',
      ]),
    )
    .option('--key <file>', 'private key (JWK or PEM) for ed25519 and jwt, whose public half is in the source’s JWKS')
    .option('-d, --data <k=v>', 'field of data; repeat for more', collectField, {})
    .option('-m, --metadata <k=v>', 'field of user_metadata; repeat for more', collectField)
    .option('--subject <job>', 'data.id; default: a new one')
    .option('--id <webhook-id>', 'webhook-id; default: a new one', visibleAscii)
    .option('--url <url>', 'where to post; default: the server of the configuration, on this machine', httpUrl)
    .action(async (type: string, options: SendOptions) => {
      const loaded = loadConfig({ file: options.config, env: process.env })
      const { name, source } = chooseSource(loaded, options.source)
      const now = new Date()
      const event = exampleEvent(type, {
        id: options.subject ?? `batches/${randomUUID().slice(0, 8)}`,
        now,
        data: options.data,
        ...(options.metadata === undefined ? {} : { metadata: options.metadata }),
      })
      const message: Message = { id: options.id ?? `msg_${randomUUID()}`, timestamp: now, body: JSON.stringify(event) }
      const headers = await sign(message, name, source, options)
      const url = options.url ?? localUrl(loaded.config.server, source.path)
      const answer = await post(url, message, headers)
      const webhookId = message.id
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ webhook_id: webhookId, url, ...answer, event })}\n`
          : `${webhookId} → ${url}\n${answer.status} ${JSON.stringify(answer.answer)}\n`,
      )
      if (answer.status !== 200) process.exitCode = 1
    })
}

/** Where the relay listens to every address, this machine's own is one of them. */
function localUrl({ host, port }: Config['server'], path: string): string {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  return `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${port}${path}`
}

async function sign(
  message: Message,
  name: string,
  source: SourceConfig,
  { scheme, key: keyFile }: SendOptions,
): Promise<WebhookHeaders> {
  const secrets = source.static?.secrets.filter((secret) => secret !== '') ?? []
  if ((scheme ?? (keyFile === undefined ? 'hmac' : undefined)) === 'hmac') {
    const [secret] = secrets
    if (secret === undefined) {
      throw new RelayError('usage', `source ${name} has no static secret to sign with`, {
        hint: 'give it one under static.secrets, or sign with --scheme ed25519|jwt --key FILE',
      })
    }
    return signHmac({ ...message, secret })
  }
  if (keyFile === undefined) {
    throw new RelayError('usage', `--scheme ${scheme} needs a private key: --key FILE`, {
      hint: `only the holder of a key in ${source.dynamic?.jwks_uri ?? 'a JWKS'} can sign so; for a try, serve a JWKS of your own and name it in dynamic.jwks_uri`,
    })
  }
  const key = await readKey(keyFile)
  if ((scheme ?? (key.alg === 'EdDSA' ? 'ed25519' : 'jwt')) === 'ed25519') return signEd25519({ ...message, key })
  const audience = source.dynamic?.audience
  return await signJwt({ ...message, key, ...(audience === undefined || audience === 'any' ? {} : { audience }) })
}

async function readKey(file: string): Promise<SigningKey> {
  try {
    return await readSigningKey(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new RelayError('usage', `${file} is no private key we can sign with: ${messageOf(error)}`)
  }
}

async function post(url: string, { body }: Message, headers: WebhookHeaders): Promise<{ status: number; answer: unknown }> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
    const text = await response.text()
    return { status: response.status, answer: jsonOr(text) }
  } catch (error) {
    const reason = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error)
    throw new RelayError('send_failed', `nothing answers at ${url}: ${reason}`, {
      cause: error,
      hint: 'is `gemini-relay serve` running with this configuration?',
    })
  }
}

function httpUrl(text: string): string {
  if (!/^https?:/.test(text) || !URL.canParse(text))
    throw new InvalidArgumentError('expected a URL such as http://127.0.0.1:8080/webhooks/gemini')
  return text
}

function visibleAscii(text: string): string {
  if (!/^[\x21-\x7e]{1,256}$/.test(text)) throw new InvalidArgumentError('expected 1 to 256 visible ASCII characters')
  return text
}
