/** The configuration that `init` writes: what is needed to begin, and the rest to uncomment. */

export interface NewConfig {
  /** Of the JSON Schema, as the file has to name it. */
  schema: string
  port: number
  /** With `--gemini`. */
  gemini?: GeminiSide
}

export interface GeminiSide {
  /** As Gemini calls it. */
  uri: string
  /** Of the key's file, as the configuration has to name it; undefined where RELAY_ENCRYPTION_KEY is set. */
  keyFile: string | undefined
}

export function configText({ schema, port, gemini }: NewConfig): string {
  return `# yaml-language-server: $schema=${schema}
#
# Made by \`gemini-relay init\`; \`gemini-relay check\` says what is wrong with it. \${VAR} takes a variable, \${VAR:-default} gives it
# a default, \${file:path} reads a file beside this one; $\${ is a plain \${. A running relay takes changes over by itself.
# Further files, by team say, may hold sources, sinks and rules: include: teams/*.yaml

server: { host: '\${RELAY_HOST:-0.0.0.0}', port: '\${PORT:-${port}}' }
database: { url: '\${DATABASE_URL:-embedded}' } # embedded: a real Postgres that the relay runs itself
retention: { events: 30d }
${gemini === undefined ? withoutGemini : withGemini(gemini)}
sinks:
  trace: { type: log } # one line of JSON an event, on standard output

  # ops:
  #   type: slack
  #   token: \${SLACK_BOT_TOKEN}
  #   channel: C0123456789 # the id, from the channel's details
  #   thread: subject # later events of a job answer in the thread of its first message

  # stream:
  #   type: kafka
  #   brokers: ['\${KAFKA_BROKERS}']
  #   topic: gemini.events
  #   key: event.subject

  # jobs:
  #   type: table
  #   table: gemini_jobs
  #   create: true
  #   key: [job_id]
  #   columns:
  #     job_id: event.subject
  #     status: event.type
  #     finished_at: { type: timestamptz, value: event.timestamp }

rules:
  - name: everything
    to: [trace]

  # - name: failures-to-ops
  #   when: { type: [batch.failed, batch.expired, interaction.failed] }
  #   to:
  #     - sink: ops
  #       text: ":x: {{ event.type }} {{ event.subject }}: {{ event.data.error_message | default: 'no message' }}"

  # - name: kept
  #   to: [stream, jobs]
`
}

const dynamic = `    # For jobs that name their webhook themselves; \`gemini-relay webhooks config\` prints what they say. They are signed with Gemini's
    # own keys. No field of the API sets the audience: the documentation says "e.g., your project client ID". A 400 that says
    # \`the token's aud is not accepted\` means that it is another.
    # dynamic: { audience: '\${GEMINI_WEBHOOK_AUDIENCE}' }
`

const withoutGemini = `
sources:
  gemini:
    path: /webhooks/gemini
    # The secret that Gemini showed when the webhook was created. Until it is set, senders are told to come back later.
    static: { secrets: ['\${GEMINI_WEBHOOK_SECRET:-}'] }
${dynamic}`

function withGemini({ uri, keyFile }: GeminiSide): string {
  const encryption =
    keyFile === undefined
      ? '# Signing secrets are encrypted with RELAY_ENCRYPTION_KEY of the environment.\n'
      : `# Signing secrets are encrypted with this key. Keep it, and apart from the database.
encryption: { keys: ['\${file:${keyFile}}'] }
`
  return `
${encryption}
sources:
  gemini:
    path: ${JSON.stringify(new URL(uri).pathname)}
    static: { managed: true } # its secrets are made at Gemini, and kept in the database
${dynamic}
# With the key of GEMINI_API_KEY. \`gemini-relay webhooks plan\` compares this with what there is at Gemini, \`apply\` makes it so.
gemini:
  webhooks:
    relay:
      uri: ${JSON.stringify(uri)}
      source: gemini
      # events: [batch.succeeded, batch.failed] # by default those that the rules want
`
}
