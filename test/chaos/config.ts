/** The configurations that the relays run. `expectedOf` in messages.ts says by hand what they have to lead to. */
import type { Sinks } from './messages.ts'
import type { BrokenHow, GoodChange, SinkMadeAnew } from './reload-faults.ts'

export const webhookPath = '/webhooks/gemini'

/** So that a delivery is tried again within the run, and a sink that is back is noticed at once. */
const impatient = 'retry: { initial: 200ms, max: 2s }, breaker: { failures: 5, cooldown: 500ms, max: 2s }'

const columns = `webhook_id: event.webhook_id, type: event.type, subject: event.subject, note: event.data.?note.orValue(null)`

export interface Ports {
  http: number
  slack: number
  kafka: number
}

/** What does not change while a run lasts. */
export interface Surroundings {
  /** Of the proxies before the sinks. */
  ports: Ports
  jwksUri: string
  audience: string
  sinks: Sinks
  /** Somebody listens there already: no relay can begin on it. */
  takenPort: number
}

/** In what two configurations of a run differ. */
export interface Variant {
  /** How often its settings became others. */
  anew: Readonly<Partial<Record<SinkMadeAnew, number>>>
  allAnew: number
  /** Told by each message in Slack. */
  revision: number
  /** A rule that nothing matches, to all sinks. */
  bystander: boolean
  guest: 'there' | 'rule gone' | 'sink gone'
}

export const firstVariant: Variant = { anew: {}, allAnew: 0, revision: 0, bystander: false, guest: 'there' }

export function changed(before: Variant, change: GoodChange): Variant {
  switch (change.what) {
    case 'sink anew':
      if (change.sink === 'all') return { ...before, allAnew: before.allAnew + 1 }
      return { ...before, anew: { ...before.anew, [change.sink]: (before.anew[change.sink] ?? 0) + 1 } }
    case 'rule text':
      return { ...before, revision: before.revision + 1 }
    case 'rule appears':
      return { ...before, bystander: true }
    case 'rule gone':
    case 'sink gone':
      return { ...before, guest: change.what }
    default:
      return change satisfies never
  }
}

/** Ends a message; the sink's end takes it off again. */
export const revisionMark = ' ~'

/** @param number no two texts of a run are equal, nor are their hashes */
export function relayYaml({ ports, jwksUri, audience, sinks }: Surroundings, variant: Variant, number: number): string {
  const timeout = (sink: SinkMadeAnew, ms: number) => `timeout: ${ms + (variant.anew[sink] ?? 0) + variant.allAnew}ms`
  const http = (path: 'forward' | 'ordered' | 'refuser' | 'guest', more = '') =>
    `{ type: http, url: "http://127.0.0.1:${ports.http}/${path}", allow_private: true, secret: "\${FORWARD_SECRET}", ${timeout(path, 3_000)}, concurrency: 16, ${more}${impatient} }`
  const stream = sinks.kafka ? ', stream' : ''
  return `# configuration ${number}
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: ${webhookPath}
    static: { secrets: ["\${SECRET}"] }
    dynamic: { jwks_uri: "${jwksUri}", audience: ${audience} }
sinks:
  forward: ${http('forward')}
  ordered: ${http('ordered', 'order: subject, ')}
  refuser: ${http('refuser')}
${variant.guest === 'sink gone' ? '' : `  guest: ${http('guest')}\n`}  seen: { type: table, table: seen, key: [webhook_id], ${timeout('seen', 5_000)}, columns: { ${columns} }, ${impatient} }
  state: { type: table, table: state, key: [subject], ${timeout('state', 5_000)}, columns: { ${columns} }, ${impatient} }
  mirror: { type: table, url: "\${OTHER_URL}", table: mirror, create: true, key: [webhook_id], ${timeout('mirror', 5_000)}, columns: { ${columns} }, ${impatient} }
  ops:
    { type: slack, token: "\${SLACK_BOT_TOKEN}", channel: C0CHAOS, api_url: "http://127.0.0.1:${ports.slack}/api/", rate: 100/s, concurrency: 4,
      ${timeout('ops', 3_000)}, ${impatient} }
${sinks.kafka ? `  stream: { type: kafka, brokers: ["127.0.0.1:${ports.kafka}"], topic: chaos, format: cloudevents, ${timeout('stream', 5_000)}, ${impatient} }\n` : ''}rules:
  - name: everything
    to: [forward, ordered, seen, mirror${stream}]
  - name: jobs
    when: { type: batch.* }
    to: [state]
  - name: alerts
    when: { type: [batch.failed] }
    to: [{ sink: ops, text: "{{ event.type }} {{ event.subject }} {{ event.data.note }}${revisionMark}${variant.revision}" }]
  - name: counted
    when: { type: [batch.expired] }
    if: event.data.count > 10
    to: [forward]
  - name: refused
    when: { type: [batch.cancelled] }
    to: [refuser]
${variant.guest === 'there' ? '  - name: guest\n    when: { type: batch.* }\n    to: [guest]\n' : ''}${variant.bystander ? `  - name: bystander\n    when: { type: video.generated }\n    to: [forward, ordered, refuser, seen, state, mirror, { sink: ops, text: nobody sends it }${stream}]\n` : ''}`
}

/** A text that a running relay has to refuse, and that none can begin with. */
export function brokenYaml(good: string, how: BrokenHow, { takenPort }: Surroundings): string {
  switch (how) {
    case 'bad YAML':
      return `${good}  - [ name: {\n`
    case 'unknown sink':
      return good.replace('to: [state]', 'to: [stat]')
    case 'changed port':
      return good.replace('port: 0', `port: ${takenPort}`)
    case 'missing column':
      return good.replace(
        '\nrules:\n',
        `\n  bare: { type: table, table: bare, key: [id], columns: { id: event.webhook_id, type: event.type } }\nrules:\n  - { name: bare, when: { type: video.generated }, to: [bare] }\n`,
      )
    default:
      return how satisfies never
  }
}
