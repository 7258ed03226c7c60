/** The configuration that both relays run. `expectedOf` in messages.ts says by hand what it has to lead to. */
import type { Sinks } from './messages.ts'

export const webhookPath = '/webhooks/gemini'

/** So that a delivery is tried again within the run, and a sink that is back is noticed at once. */
const impatient = 'retry: { initial: 200ms, max: 2s }, breaker: { failures: 5, cooldown: 500ms, max: 2s }'

const columns = `webhook_id: event.webhook_id, type: event.type, subject: event.subject, note: event.data.?note.orValue(null)`

export interface Ports {
  http: number
  slack: number
  kafka: number
}

/** @param ports of the proxies before the sinks */
export function relayYaml({
  ports,
  jwksUri,
  audience,
  sinks,
}: {
  ports: Ports
  jwksUri: string
  audience: string
  sinks: Sinks
}): string {
  const http = (path: string, more: string) =>
    `{ type: http, url: "http://127.0.0.1:${ports.http}/${path}", allow_private: true, secret: "\${FORWARD_SECRET}", timeout: 3s, concurrency: 16, ${more}${impatient} }`
  return `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: ${webhookPath}
    static: { secrets: ["\${SECRET}"] }
    dynamic: { jwks_uri: "${jwksUri}", audience: ${audience} }
sinks:
  forward: ${http('forward', '')}
  ordered: ${http('ordered', 'order: subject, ')}
  refuser: ${http('refuser', '')}
  seen: { type: table, table: seen, key: [webhook_id], timeout: 5s, columns: { ${columns} }, ${impatient} }
  state: { type: table, table: state, key: [subject], timeout: 5s, columns: { ${columns} }, ${impatient} }
  mirror: { type: table, url: "\${OTHER_URL}", table: mirror, create: true, key: [webhook_id], timeout: 5s, columns: { ${columns} }, ${impatient} }
  ops:
    { type: slack, token: "\${SLACK_BOT_TOKEN}", channel: C0CHAOS, api_url: "http://127.0.0.1:${ports.slack}/api/", rate: 100/s, concurrency: 4,
      timeout: 3s, text: "{{ event.type }} {{ event.subject }} {{ event.data.note }}", ${impatient} }
${sinks.kafka ? `  stream: { type: kafka, brokers: ["127.0.0.1:${ports.kafka}"], topic: chaos, format: cloudevents, timeout: 5s, ${impatient} }\n` : ''}rules:
  - name: everything
    to: [forward, ordered, seen, mirror${sinks.kafka ? ', stream' : ''}]
  - name: jobs
    when: { type: batch.* }
    to: [state]
  - name: alerts
    when: { type: [batch.failed] }
    to: [ops]
  - name: counted
    when: { type: [batch.expired] }
    if: event.data.count > 10
    to: [forward]
  - name: refused
    when: { type: [batch.cancelled] }
    to: [refuser]
`
}
