/** What has to be done so that the webhooks at Gemini are as the configuration declares them. Pure: it asks and changes nothing. */
import type { Config } from '../config/schema.ts'
import { RelayError } from '../errors.ts'
import type { Endpoint } from '../store/webhooks.ts'
import { wantedTypes } from './event-types.ts'
import type { GeminiWebhook, WebhookChange } from './webhook-service.ts'

export interface Declaration {
  /** Also the name at Gemini. */
  name: string
  source: string
  uri: string
  events: readonly string[]
}

export interface Situation {
  declared: readonly Declaration[]
  /** All webhooks of the project. */
  live: readonly GeminiWebhook[]
  /** Those of them that the store knows as ours. */
  endpoints: readonly Endpoint[]
  /** Whether a source takes the secret that the API shows as this: `whsec_...MnM=`. */
  holds: (source: string, truncated: string) => boolean
}

/** One step; those of a webhook are made in their order. */
export type Action =
  /** What the store knew is not at Gemini any more. */
  | { kind: 'forget'; id: string }
  | { kind: 'create' }
  /** It has the declared address, and is not of this declaration yet. */
  | { kind: 'adopt'; id: string }
  /** Another source receives for it now. */
  | { kind: 'move'; id: string; from: string }
  | { kind: 'update'; id: string; was: GeminiWebhook; change: WebhookChange }
  /** @param previous whether some of the secrets before sign on, and are known here */
  | { kind: 'rotate'; id: string; previous: 'known' | 'unknown' }
  | { kind: 'enable'; id: string; state: string }

export interface DeclaredPlan {
  declaration: Declaration
  /** Undefined for one that is yet to be made. */
  id: string | undefined
  actions: readonly Action[]
  /** More webhooks that call the same address: each event comes once more. They are not ours to change. */
  others: readonly GeminiWebhook[]
}

/** Made by a declaration that is no more. */
export interface Undeclared {
  endpoint: Endpoint & { name: string }
  /** Undefined where it is gone at Gemini too. */
  webhook: GeminiWebhook | undefined
}

export interface WebhooksPlan {
  webhooks: readonly DeclaredPlan[]
  undeclared: readonly Undeclared[]
}

/** @throws RelayError `config_invalid` where one subscribes to nothing */
export function declarationsOf({ gemini, rules }: Pick<Config, 'gemini' | 'rules'>): Declaration[] {
  return Object.entries(gemini.webhooks).map(([name, { uri, source, events = wantedTypes(rules, source) }]) => {
    if (events.length > 0) return { name, source, uri, events }
    throw new RelayError('config_invalid', `gemini.webhooks.${name}: no rule wants an event of the source ${source}`, {
      hint: 'name the types to subscribe to with `events`, or add a rule',
    })
  })
}

export function planWebhooks({ declared, live, endpoints, holds }: Situation): WebhooksPlan {
  const taken = new Set<string>()
  const known = declared.map((declaration) => {
    const ours = endpoints.filter(({ name }) => name === declaration.name)
    const found = ours.flatMap(({ id }) => live.find((webhook) => webhook.id === id) ?? [])[0]
    if (found !== undefined) taken.add(found.id)
    return { declaration, ours, found }
  })
  const owned = new Set(endpoints.flatMap(({ id, name }) => (name === null ? [] : [id])))
  const webhooks = known.map(({ declaration, ours, found }): DeclaredPlan => {
    const { uri, source } = declaration
    const gone = ours.filter(({ id }) => live.every((webhook) => webhook.id !== id))
    const forgotten = gone.map(({ id }): Action => ({ kind: 'forget', id }))
    const free = live.filter((webhook) => webhook.uri === uri && !taken.has(webhook.id) && !owned.has(webhook.id))
    const webhook = found ?? toAdopt(free, endpoints)
    const others = live.filter((one) => one.uri === uri && one.id !== webhook?.id && !taken.has(one.id))
    if (webhook === undefined) return { declaration, id: undefined, actions: [...forgotten, { kind: 'create' }], others }
    taken.add(webhook.id)
    const endpoint = endpoints.find(({ id }) => id === webhook.id)
    const belonging = belongingOf(webhook.id, declaration, endpoint)
    const mended = mendingOf(webhook, declaration, { isNew: endpoint === undefined, holds: (secret) => holds(source, secret) })
    return { declaration, id: webhook.id, actions: [...forgotten, ...belonging, ...mended], others }
  })
  return { webhooks, undeclared: undeclaredOf(endpoints, live, declared, taken) }
}

/** One that was made by hand with its secret in the store, else the oldest that works. */
function toAdopt(free: readonly GeminiWebhook[], endpoints: readonly Endpoint[]): GeminiWebhook | undefined {
  const rank = ({ id, state }: GeminiWebhook): number =>
    (endpoints.some((endpoint) => endpoint.id === id) ? 0 : 2) + (state === 'enabled' ? 0 : 1)
  return free.toSorted((a, b) => rank(a) - rank(b) || compare(a.create_time ?? '', b.create_time ?? ''))[0]
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function belongingOf(id: string, { name, source }: Declaration, endpoint: Endpoint | undefined): Action[] {
  if (endpoint?.name !== name) return [{ kind: 'adopt', id }]
  return endpoint.source === source ? [] : [{ kind: 'move', id, from: endpoint.source }]
}

interface Secrets {
  /** Nothing of it is in the store: its secret is rotated even where a static one is the same. */
  isNew: boolean
  holds: (truncated: string) => boolean
}

/** Enabled last: what it sends then is signed with a secret that is known. */
function mendingOf(webhook: GeminiWebhook, declaration: Declaration, { isNew, holds }: Secrets): Action[] {
  const { id, signing_secrets: secrets, state } = webhook
  const change = changeOf(webhook, declaration)
  const previous = secrets.some(({ truncated_secret: secret }) => holds(secret)) ? 'known' : 'unknown'
  return [
    ...(Object.keys(change).length === 0 ? [] : [{ kind: 'update' as const, id, was: webhook, change }]),
    ...(isNew || signsUnknown(webhook, holds) ? [{ kind: 'rotate' as const, id, previous } as const] : []),
    ...(state === undefined || state === 'enabled' ? [] : [{ kind: 'enable' as const, id, state }]),
  ]
}

/** @param holds whether a secret is known here, by what the API shows of it */
export function signsUnknown({ signing_secrets: secrets }: GeminiWebhook, holds: (truncated: string) => boolean): boolean {
  // One that ends soon signs for now; what is known of it does not help when it has ended.
  const lasting = secrets.filter(({ expire_time: end }) => end === undefined)
  const signing = lasting.length > 0 ? lasting : secrets
  return signing.length > 0 && !signing.some(({ truncated_secret: secret }) => holds(secret))
}

function changeOf({ name, uri, subscribed_events: events }: GeminiWebhook, declaration: Declaration): WebhookChange {
  const isSame = events.length === declaration.events.length && declaration.events.every((type) => events.includes(type))
  return {
    ...(uri === declaration.uri ? {} : { uri: declaration.uri }),
    ...(isSame ? {} : { subscribed_events: [...declaration.events] }),
    ...(name === declaration.name ? {} : { name: declaration.name }),
  }
}

function undeclaredOf(
  endpoints: readonly Endpoint[],
  live: readonly GeminiWebhook[],
  declared: readonly Declaration[],
  taken: ReadonlySet<string>,
): Undeclared[] {
  return endpoints.flatMap(({ id, source, name }): Undeclared[] => {
    if (name === null || taken.has(id)) return []
    const webhook = live.find((one) => one.id === id)
    // Its own declaration forgets it.
    if (webhook === undefined && declared.some((declaration) => declaration.name === name)) return []
    return [{ endpoint: { id, source, name }, webhook }]
  })
}
