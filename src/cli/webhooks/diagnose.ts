/** What is wrong with the webhooks, and what to do about it. Pure. */
import type { RuleConfig } from '../../config/schema.ts'
import { signsUnknown, type DeclaredPlan, type WebhooksPlan } from '../../gemini/declared.ts'
import { isSubscribable, namedTypes, subscribes, wantedTypes } from '../../gemini/event-types.ts'
import type { HeldSecret, HeldSecrets } from '../../gemini/held-secrets.ts'
import type { GeminiWebhook } from '../../gemini/webhook-service.ts'
import type { LastEvent } from '../../store/last-event.ts'
import type { Endpoint, Intent } from '../../store/webhooks.ts'
import { oneLine } from '../table.ts'
import { actionText, whyDisabled } from './plan-text.ts'

export interface Finding {
  /** A `note` may be meant. */
  level: 'problem' | 'note'
  what: string
  todo: string
}

export interface Diagnosis {
  /** Of the declaration, else at Gemini. */
  name: string
  ownership: 'declared' | 'no longer declared' | 'made by hand' | 'not ours'
  /** Undefined for one of somebody else. */
  source: string | undefined
  /** Undefined for one that is not at Gemini. */
  webhook: GeminiWebhook | undefined
  uri: string
  /** Newest first. */
  secrets: readonly HeldSecret[]
  lastEvent: LastEvent | undefined
  findings: readonly Finding[]
}

export interface Examined {
  plan: WebhooksPlan
  live: readonly GeminiWebhook[]
  endpoints: readonly Endpoint[]
  held: HeldSecrets
  rules: readonly RuleConfig[]
  /** Names of declarations that name their events. */
  explicit: ReadonlySet<string>
  lastEvents: ReadonlyMap<string, LastEvent | undefined>
}

export function diagnose(examined: Examined): Diagnosis[] {
  const { plan, endpoints } = examined
  const adopted = new Set(plan.webhooks.flatMap(({ id }) => id ?? []))
  const others = new Map(plan.webhooks.flatMap((one) => one.others.map((other) => [other.id, { other, of: one }] as const)))
  const byHand = endpoints.filter(({ id, name }) => name === null && !adopted.has(id))
  return [
    ...plan.webhooks.map((one) => ofDeclaration(one, examined)),
    ...plan.undeclared.map(({ endpoint, webhook }) => ofEndpoint(endpoint, examined, [undeclared(endpoint.name, webhook)])),
    ...byHand.map((endpoint) => ofEndpoint(endpoint, examined, [])),
    ...[...others.values()]
      .filter(({ other }) => endpoints.every(({ id }) => id !== other.id))
      .map(({ other, of }) => ofSomebody(other, of)),
  ]
}

/** Changes that have not ended: one of them may be under way. */
export function intentFindings(intents: readonly Intent[]): Finding[] {
  return intents.map((intent) => ({
    level: 'problem',
    what: `the ${intent.kind === 'create' ? `making of a webhook for ${intent.uri}` : `rotation of webhook ${intent.webhook}`} has not ended: until then ${intent.source} answers 503 to signatures that it does not know`,
    todo: 'if no command is at it: gemini-relay webhooks heal',
  }))
}

function ofDeclaration(one: DeclaredPlan, examined: Examined): Diagnosis {
  const { declaration, id, actions } = one
  const { name, source, uri } = declaration
  const webhook = examined.live.find((live) => live.id === id)
  const drift = actions.map((action): Finding => {
    return { level: 'problem', what: actionText(one, action), todo: 'gemini-relay webhooks apply' }
  })
  const isChanging = actions.some((action) => action.kind === 'update' && action.change.subscribed_events !== undefined)
  const events =
    webhook === undefined || isChanging ? [] : eventFindings(webhook, source, examined, examined.explicit.has(name) ? name : null)
  return {
    name,
    ownership: 'declared',
    source,
    webhook,
    uri: webhook?.uri ?? uri,
    secrets: id === undefined ? [] : examined.held.ofWebhook(id),
    lastEvent: examined.lastEvents.get(source),
    findings: [...drift, ...events, ...silence(source, webhook, examined)],
  }
}

function undeclared(name: string, webhook: GeminiWebhook | undefined): Finding {
  return webhook === undefined
    ? { level: 'problem', what: `${name} is no longer declared, and gone at Gemini`, todo: 'gemini-relay webhooks apply' }
    : {
        level: 'problem',
        what: `${name} is no longer declared`,
        todo: 'gemini-relay webhooks apply --prune, or declare it again',
      }
}

/** One of ours that no declaration keeps in shape. */
function ofEndpoint({ id, source, name }: Endpoint, examined: Examined, more: readonly Finding[]): Diagnosis {
  const webhook = examined.live.find((live) => live.id === id)
  const findings: Finding[] = [...more]
  if (webhook === undefined && name === null)
    findings.push({ level: 'problem', what: 'it is gone at Gemini', todo: `gemini-relay webhooks delete ${id}` })
  if (webhook?.state !== undefined && webhook.state !== 'enabled')
    findings.push({
      level: 'problem',
      what: whyDisabled(webhook.state),
      todo: `gemini-relay webhooks update ${id} --state enabled`,
    })
  if (webhook !== undefined && signsUnknown(webhook, (secret) => examined.held.holds(source, secret)))
    findings.push({ level: 'problem', what: 'its secret is not known here', todo: `gemini-relay webhooks rotate ${id}` })
  if (webhook !== undefined)
    findings.push(...eventFindings(webhook, source, examined, null), ...silence(source, webhook, examined))
  return {
    name: name ?? webhook?.name ?? '',
    ownership: name === null ? 'made by hand' : 'no longer declared',
    source,
    webhook,
    uri: webhook?.uri ?? '',
    secrets: examined.held.ofWebhook(id),
    lastEvent: examined.lastEvents.get(source),
    findings,
  }
}

function ofSomebody(webhook: GeminiWebhook, { declaration, id }: DeclaredPlan): Diagnosis {
  const twice: Finding = {
    level: 'problem',
    what: `it calls the address of ${declaration.name}${id === undefined ? '' : ` (${id})`} and is not ours: each event comes once more`,
    todo: `where nobody needs it: gemini-relay webhooks delete ${webhook.id}`,
  }
  return {
    name: webhook.name ?? '',
    ownership: 'not ours',
    source: undefined,
    webhook,
    uri: webhook.uri,
    secrets: [],
    lastEvent: undefined,
    findings: webhook.state === 'enabled' ? [twice] : [{ ...twice, level: 'note' }],
  }
}

/** @param explicit the declaration, where it names its events: what they leave out is meant, unless a rule names it */
function eventFindings(
  { id, subscribed_events: events }: GeminiWebhook,
  source: string,
  { rules }: Examined,
  explicit: string | null,
): Finding[] {
  const list =
    explicit === null ? `gemini-relay webhooks update ${id} --events …` : `add it to gemini.webhooks.${explicit}.events`
  const named = namedTypes(rules, source).filter((type) => !subscribes(events, type))
  const missed = wantedTypes(rules, source).filter((type) => !subscribes(events, type) && !named.includes(type))
  return [
    ...named.map((type): Finding => {
      const offered = isSubscribable(type)
      const what = `a rule names ${oneLine(type)}, which this webhook does not send`
      if (offered) return { level: 'problem', what, todo: list }
      return {
        level: 'note',
        what: `${what}: Gemini's webhooks are not known to offer it`,
        todo: 'list it in `events` to subscribe anyway; a job that names its webhook itself may bring it too',
      }
    }),
    ...(missed.length === 0
      ? []
      : [
          { level: 'note' as const, what: `rules would take ${missed.join(', ')}, which this webhook does not send`, todo: list },
        ]),
  ]
}

function silence(source: string, webhook: GeminiWebhook | undefined, { lastEvents }: Examined): Finding[] {
  if (webhook === undefined || lastEvents.get(source) !== undefined) return []
  return [{ level: 'note', what: `no event of ${source} was received`, todo: `gemini-relay webhooks ping ${webhook.id}` }]
}
