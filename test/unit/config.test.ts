import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { ConfigError, formatIssues } from '../../src/config/issues.ts'
import { configJsonSchema } from '../../src/config/json-schema.ts'
import { loadConfig } from '../../src/config/load.ts'
import { configReference } from '../../src/config/reference.ts'
import { relayEvent } from '../fixtures/deliveries.ts'

type Env = Record<string, string | undefined>

function load(yaml: string, env: Env = {}, files: Record<string, string> = {}) {
  return loadConfig({ file: 'relay.yaml', env, readFile: (path) => (path === 'relay.yaml' ? yaml : contentOf(files, path)) })
}

function contentOf(files: Record<string, string>, path: string): string {
  const content = files[path]
  if (content !== undefined) return content
  throw Object.assign(new Error(`no such file: ${path}`), { code: 'ENOENT' })
}

/** Every issue of a configuration as `line:column message`. */
function issuesOf(yaml: string, env: Env = {}, files: Record<string, string> = {}): string[] {
  try {
    load(yaml, env, files)
  } catch (error) {
    if (error instanceof ConfigError) return error.issues.map(({ line, column, message }) => `${line}:${column} ${message}`)
    throw error
  }
  return []
}

/**
 * The messages of the issues of a configuration that marks with `¶` where each is to be, in the order of the file.
 * One that is elsewhere says so, and does not equal what a test expects.
 */
function issuesAtMarks(marked: string, env: Env = {}, files: Record<string, string> = {}): string[] {
  const pieces = marked.split('¶')
  const places = pieces.slice(0, -1).map((_, index) => placeOf(pieces.slice(0, index + 1).join('')))
  return issuesOf(pieces.join(''), env, files).map((issue, index) => {
    const place = `${places[index] ?? 'nowhere'} `
    return issue.startsWith(place) ? issue.slice(place.length) : `${issue} (not at ${place})`
  })
}

function placeOf(before: string): string {
  const lines = before.split('\n')
  return `${lines.length}:${(lines.at(-1)?.length ?? 0) + 1}`
}

function thrown(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

function warningsOf(yaml: string): string[] {
  return load(yaml).warnings.map(({ line, column, message }) => `${line}:${column} ${message}`)
}

function audience(yaml: string, env: Env): string | undefined {
  return load(`sources: { g: { path: /g, dynamic: { audience: ${yaml} } } }`, env).config.sources['g']?.dynamic?.audience
}

function withColumns(lines: string): string {
  return `sources: {}\nsinks:\n  t:\n    type: table\n    table: t\n    key: [a]\n    columns:\n${lines}`
}

/** Rules that may feed a sink of each kind. */
function withRules(rules: string): string {
  return `sources: { g: { path: /g } }
sinks:
  trace: { type: log }
  ops: { type: slack, token: t, channel: C0123456789 }
  quiet: { type: slack, token: t }
  stream: { type: kafka, brokers: ['a:9092'] }
rules:
${rules}`
}

const example = `# yaml-language-server: $schema=./relay.schema.json
server:   { host: 0.0.0.0, port: 8080, body_limit: 256kb }
database: { url: "\${DATABASE_URL:-embedded}" }
retention: { events: 30d }

sources:
  gemini:
    path: /webhooks/gemini
    static:  { secrets: ["\${GEMINI_WEBHOOK_SECRET:-}"] }
    dynamic: { jwks_uri: "https://example.com/jwks.json", audience: "\${GEMINI_WEBHOOK_AUDIENCE}", algorithms: [RS256], unbound_jwt: once }

sinks:
  ops:    { type: slack, token: "\${SLACK_BOT_TOKEN}", channel: C0123456789 }
  stream: { type: kafka, brokers: ["\${KAFKA_BROKERS}"], topic: gemini.events, key: event.subject, format: cloudevents }
  jobs:
    type: table
    table: gemini_jobs
    key: [job_id]
    create: true
    columns:
      job_id: event.subject
      status: event.type
      finished_at: { type: timestamptz, value: event.timestamp }
      error: event.data.?error_message.orValue(null)
  forward: { type: http, url: "https://jobs.internal/hook", secret: "\${FORWARD_SECRET}", allow_private: true }
  trace:   { type: log }

rules:
  - name: failures-to-ops
    when: { type: [batch.failed, batch.expired, interaction.failed] }
    to:
      - sink: ops
        text: ":x: {{ event.type }} {{ event.subject }}: {{ event.data.error_message | default: 'no message' }}"
  - name: everything
    to: [stream, jobs]
  - name: urgent
    when: { user_metadata: { priority: [high] }, type: batch.* }
    if: "event.data.error_count > 10"
    to: [{ sink: ops, channel: C0999999999, text: "…" }]
`

const exampleEnv = {
  GEMINI_WEBHOOK_AUDIENCE: 'project-1',
  SLACK_BOT_TOKEN: 'xoxb-1',
  KAFKA_BROKERS: 'a:9092, b:9092',
  FORWARD_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
}

describe('a configuration', () => {
  test('that shows every part is loaded', () => {
    const { config, plan, warnings } = load(example, exampleEnv)
    expect(config.server).toEqual({ host: '0.0.0.0', port: 8080, body_limit: 262_144 })
    expect(config.database.url).toBe('embedded')
    expect(config.retention.events).toBe(30 * 86_400_000)
    expect(config.sinks['stream']).toMatchObject({ type: 'kafka', brokers: ['a:9092', 'b:9092'], batch: 500 })
    expect(config.sinks['jobs']).toMatchObject({
      columns: { job_id: { value: 'event.subject' }, finished_at: { type: 'timestamptz', value: 'event.timestamp' } },
    })
    expect(plan.rules).toEqual([
      { name: 'failures-to-ops', sinks: ['ops'] },
      { name: 'everything', sinks: ['stream', 'jobs'] },
      { name: 'urgent', sinks: ['ops'] },
    ])
    expect(warnings.map(({ message }) => message)).toEqual(['no rule feeds the sink `forward`', 'no rule feeds the sink `trace`'])
  })

  test('routes as its rules say', () => {
    const { plan } = load(example, exampleEnv)
    const urgent = relayEvent({ type: 'batch.failed', data: { error_count: 11 }, user_metadata: { priority: 'high' } })
    expect(plan.route(urgent).map(({ rule, sink }) => `${rule}→${sink}`)).toEqual([
      'failures-to-ops→ops',
      'everything→stream',
      'everything→jobs',
      'urgent→ops',
    ])
  })

  test('is shipped that starts without any environment', () => {
    const { config, warnings } = loadConfig({ file: 'config/relay.yaml', env: {} })
    expect(config.database.url).toBe('embedded')
    expect(Object.keys(config.sinks)).toEqual(['trace', 'jobs'])
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('the source `gemini` trusts no key yet')])
  })

  test('is shipped whose commented parts are right too', () => {
    const shipped = readFileSync('config/relay.yaml', 'utf8')
    const uncommented = shipped.replace(/^( *)# (?= *[a-z]+:|- name| +- )/gm, '$1').replace(/^( {4})( +)(?=text: ":x)/m, '$1$2')
    const { config, warnings } = load(uncommented, {
      ...exampleEnv,
      GEMINI_WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    })
    expect(Object.keys(config.sinks)).toEqual(['trace', 'jobs', 'ops', 'stream', 'forward'])
    expect(config.rules.map(({ name }) => name)).toEqual(['everything', 'failures-to-ops', 'urgent'])
    expect(config.sources['gemini']?.dynamic?.audience).toBe('project-1')
    expect(warnings).toEqual([])
  })

  test('may repeat settings by anchors and merge keys', () => {
    const yaml = `sources: {}
sinks:
  a: &http { type: http, url: 'https://a.example', timeout: 5s }
  b: { <<: *http, url: 'https://b.example' }`
    expect(load(yaml).config.sinks['b']).toMatchObject({ url: 'https://b.example', timeout: 5_000 })
  })

  test('takes numbers and switches from variables', () => {
    const yaml =
      'server: { port: "${PORT}" }\nsources: {}\nsinks: { a: { type: http, url: "https://a.example", allow_private: "${PRIVATE}" } }'
    const { config } = load(yaml, { PORT: '0', PRIVATE: 'true' })
    expect(config.server.port).toBe(0)
    expect(config.sinks['a']).toMatchObject({ allow_private: true })
  })
})

describe('five mistakes of different kinds', () => {
  const marked = `sources:
  gemini:
    path: /webhooks/gemini
    dynamic: { audience: "¶\${GEMINI_AUDIENCE}" }
sinks:
  ops: { type: slack, token: t, ¶chanel: C0123456789, channel: C0123456789 }
  jobs: { type: table, table: jobs, key: [job_id], columns: { job_id: event.¶subjct } }
rules:
  - name: everything
    to:
      - ¶job
      - sink: ops
        text: "¶{{ event.type | upcas }}"
`
  const messages = [
    '`GEMINI_AUDIENCE` is not set in the environment; `${GEMINI_AUDIENCE:-}` would make it optional',
    'unknown key `chanel`, did you mean `channel`?',
    '`job_id`: `event` has no field `subjct`, did you mean `subject`?',
    'there is no sink `job`, did you mean `jobs`?',
    '`text`: undefined filter: upcas, did you mean `upcase`?',
  ]

  test('are five issues with their places', () => {
    expect(issuesAtMarks(marked)).toEqual(messages)
  })

  test('are one error, whose lines an editor can follow', () => {
    const error = thrown(() => load(marked.replaceAll('¶', '')))
    if (!(error instanceof ConfigError)) throw error
    expect(error.code).toBe('config_invalid')
    expect(error.message).toBe(`5 problems in relay.yaml\n${formatIssues(error.issues)}`)
    expect(formatIssues(error.issues).split('\n')[1]).toBe('relay.yaml:6:33: unknown key `chanel`, did you mean `channel`?')
    expect(error.issues.map(({ path }) => path)).toEqual([
      'sources.gemini.dynamic.audience',
      'sinks.ops.chanel',
      'sinks.jobs.columns.job_id',
      'rules[0].to[0]',
      'rules[0].to[1].text',
    ])
  })
})

const topicMessage = '`topic`: expected a topic name: letters of a to z, digits, dot, dash and underscore, at most 249 long'

describe('a mistake in the shape', () => {
  test.each([
    ['server: { ¶prt: 1 }\nsources: {}', 'unknown key `prt`, did you mean `port`?'],
    ['¶sourcs: {}\nsources: {}', 'unknown key `sourcs`, did you mean `sources`?'],
    ['server: { port: ¶many }\nsources: {}', '`port`: expected a whole number from 0 to 65535'],
    ['server: { port: ¶70000 }\nsources: {}', '`port`: expected a whole number from 0 to 65535'],
    ['server: { body_limit: ¶256 }\nsources: {}', '`body_limit`: expected a size such as 256kb or 1mb'],
    ['server: { body_limit: ¶17mb }\nsources: {}', '`body_limit`: at most 16mb'],
    ['server: { body_limit: ¶256k }\nsources: {}', '`body_limit`: expected a size such as 256kb or 1mb'],
    ['retention: { events: ¶9999999999d }\nsources: {}', '`events`: at most 3650d'],
    ['retention: { events: ¶24h }\nsources: {}', '`events`: at least 48h: a sender may repeat a webhook-id for that long'],
    [
      'database: { url: ¶"postgres://u:with/slash@h/d" }\nsources: {}',
      '`url`: expected a URL such as postgres://user:password@host:5432/database, with `/`, `?`, `#`, `@` and `%` of a password percent-encoded',
    ],
    [
      'database: { url: ¶"postgres://u:100%@h/d" }\nsources: {}',
      '`url`: expected a URL such as postgres://user:password@host:5432/database, with `/`, `?`, `#`, `@` and `%` of a password percent-encoded',
    ],
    ['sources:¶\nsinks: {}', '`sources` has no value'],
    ['¶sinks: {}', '`sources` is missing'],
    ['¶', '`sources` is missing'],
    ['sources: ¶[]', '`sources`: expected a map, found a list'],
    ['sources: { ¶a b: { path: /x } }', '`a b`: expected a name of letters, digits, dot, dash and underscore, at most 63 long'],
    ['sources: { g: { path: ¶x } }', '`path`: expected a path such as /webhooks/gemini'],
    ['sources: { g: { path: /x, ¶dynamic: {} } }', '`audience` is missing'],
    [
      'sources: { g: { path: /x, dynamic: { audience: a, unbound_jwt: ¶onse } } }',
      '`unbound_jwt`: expected once or accept or reject; did you mean `once`?',
    ],
    [
      'sources: { g: { path: /x, dynamic: { audience: a, jwks_uri: ¶"ftp://x" } } }',
      '`jwks_uri`: expected a URL with http:// or https://',
    ],
  ])('%j', (marked, message) => {
    expect(issuesAtMarks(marked)).toEqual([message])
  })

  test.each([
    ['{ type: ¶slak }', ['`type`: expected slack, kafka, table, http, log; did you mean `slack`?']],
    [
      '{ type: slack, token: t, channel: ¶"#ops" }',
      ['`channel`: expected a channel id such as C0123456789 (not a #name: look-ups by name hit rate limits)'],
    ],
    ['{ type: log, retry: { ¶atempts: 3 } }', ['unknown key `atempts`, did you mean `attempts`?']],
    ['{ type: log, timeout: ¶soon }', ['`timeout`: expected a duration such as 250ms, 30s, 5m, 24h or 3d']],
    ['{ type: log, ¶text: x }', ['unknown key `text`']],
    [
      '{ type: table, table: t, key: [a], columns: { a: { ¶typ: text, value: event.type } } }',
      ['unknown key `typ`, did you mean `type`?'],
    ],
    [
      '{ type: table, table: t, key: [a], columns: { a: ¶[] } }',
      ['`a`: expected a CEL expression, or a map of `type` and `value`'],
    ],
    ['{ type: kafka, topic: t, brokers: [¶""] }', ['`brokers[0]`: must not be empty']],
    ['{ type: kafka, topic: t, brokers: ¶[","] }', ['`brokers`: names no broker']],
    ['{ type: kafka, topic: ¶"a b", brokers: ["a:1"] }', [topicMessage]],
    ['{ type: kafka, topic: ¶.., brokers: ["a:1"] }', [topicMessage]],
    [`{ type: kafka, topic: ¶${'x'.repeat(250)}, brokers: ["a:1"] }`, [topicMessage]],
    ['{ type: kafka, topic: ¶"", brokers: ["a:1"] }', ['`topic`: must not be empty']],
    [
      '{ type: kafka, brokers: ["a:9092"], sasl: { mechanism: plain, username: ¶3, password: p } }',
      ['`username`: expected text, found a number'],
    ],
  ])('of a sink: %s', (sink, messages) => {
    expect(issuesAtMarks(`sources: {}\nsinks:\n  it: ${sink}`)).toEqual(messages)
  })

  test('in names that every object has is a mistake like any other', () => {
    const marked =
      'sources: {}\nsinks: { a: { type: ¶constructor } }\nrules: [{ name: x, to: [a, ¶toString, { sink: ¶valueOf }] }]'
    expect(issuesAtMarks(marked)).toEqual([
      '`type`: expected slack, kafka, table, http, log',
      'there is no sink `toString`',
      'there is no sink `valueOf`',
    ])
  })

  test.each([
    ['{ ¶typ: log }', ['unknown key `typ`, did you mean `type`?']],
    ['{ ¶tpye: slack, channel: C012, brokers: [] }', ['unknown key `tpye`, did you mean `type`?']],
    ['{ topic: t }', []],
    ['{}', []],
  ])('of a sink without a type: %s', (sink, others) => {
    expect(issuesAtMarks(`sources: {}\nsinks:\n  ¶it: ${sink}`)).toEqual(['`type` is missing', ...others])
  })

  test('in a name that JavaScript keeps for itself does not make the part disappear', () => {
    const name = '`__proto__`: expected a name of letters, digits, dot, dash and underscore, at most 63 long'
    const marked = `sources:
  ¶__proto__: { path: /g }
sinks:
  ¶__proto__: { type: log }
  jobs: { type: table, table: t, key: [a], columns: { a: event.type, ¶__proto__: event.source } }
rules:
  - { name: ¶__proto__, to: [jobs] }
  - { name: b, when: { data: { ¶__proto__: x } }, to: [jobs] }`
    expect(issuesAtMarks(marked)).toEqual([
      name,
      name,
      '`__proto__`: this cannot be a key',
      name.replace('__proto__', 'name'),
      '`__proto__`: this cannot be a key',
    ])
  })

  test.each([
    ['{ name: a, to: [{ sink: stream, topic: ¶a/b }] }', [topicMessage]],
    ['{ name: a, to: ¶[] }', ['`to`: names no sink']],
    ['{ name: a, to: ¶trace }', ['`to`: expected a list, found text']],
    ['{ name: a, to: [¶[trace]] }', ['`to[0]`: expected the name of a sink, or a map with `sink`']],
    ['{ name: a, to: [{ ¶snk: trace }] }', ['unknown key `snk`, did you mean `sink`?']],
    ['¶{ to: [trace] }', ['`name` is missing']],
    ['{ name: a, when: { type: ¶[] }, to: [trace] }', ['`type`: an empty list matches nothing']],
    ['{ name: a, when: { ¶typ: x }, to: [trace] }', ['unknown field `typ`, did you mean `type`?']],
    ['{ name: a, when: { ¶version: 1 }, to: [trace] }', ['`version` is text: 1 never matches, quote it if text is meant']],
  ])('of a rule: %s', (rule, messages) => {
    expect(issuesAtMarks(withRules(`  - ${rule}`))).toEqual(messages)
  })
})

describe('parts that do not fit together', () => {
  test.each([
    ['{ name: a, to: [¶trce] }', 'there is no sink `trce`, did you mean `trace`?'],
    ['{ name: a, to: [{ sink: ¶nowhere }] }', 'there is no sink `nowhere`'],
    ['{ name: a, to: [trace, ops, { sink: ¶trace }] }', 'this rule feeds `trace` twice'],
    ['{ name: a, to: [trace] }\n  - { name: ¶a, to: [ops] }', 'there is another rule named `a`'],
    ['{ name: a, to: [{ sink: trace, ¶text: x }] }', 'a sink of type log takes no `text` from a rule'],
    ['{ name: a, to: [{ sink: stream, ¶text: x, topic: t }] }', 'a sink of type kafka takes no `text` from a rule'],
    ['{ name: a, to: [{ sink: ops, ¶topic: t }] }', 'a sink of type slack takes no `topic` from a rule'],
    ['{ name: a, to: [¶quiet] }', 'no channel: neither this rule nor the sink `quiet` says one'],
    ['{ name: a, to: [¶stream] }', 'no topic: neither this rule nor the sink `stream` says one'],
  ])('in a rule: %s', (rule, message) => {
    expect(issuesAtMarks(withRules(`  - ${rule}`))).toEqual([message])
  })

  test('do so where the rule says what the sink leaves open', () => {
    const rule = '{ name: a, to: [{ sink: quiet, channel: C0000000001 }, { sink: stream, topic: t, key: event.source }] }'
    expect(issuesOf(withRules(`  - ${rule}`))).toEqual([])
  })

  test.each([
    ['{ path: /Same/ }', '`path`: the source `a` has the same one'],
    ['{ path: /livez }', '`path`: /livez and /readyz are the health checks'],
    ['{ path: /readyz/ }', '`path`: /livez and /readyz are the health checks'],
  ])('in a source: %s', (source, message) => {
    expect(issuesAtMarks(`sources:\n  a: { path: /same }\n  b: ${source.replace('/', '¶/')}`)).toEqual([message])
  })

  test('in keys fetched in the clear from elsewhere', () => {
    const message = '`jwks_uri`: https is required: whoever can change keys on the way can sign'
    expect(
      issuesAtMarks('sources: { a: { path: /a, dynamic: { audience: x, jwks_uri: ¶"http://keys.example/jwks" } } }'),
    ).toEqual([message])
  })

  test.each(['http://localhost:1/jwks', 'http://127.0.0.1:1/jwks', 'http://[::1]:1/jwks'])(
    'but not in keys from this machine: %s',
    (uri) => {
      expect(issuesOf(`sources: { a: { path: /a, dynamic: { audience: x, jwks_uri: "${uri}" } } }`)).toEqual([])
    },
  )

  test('in a table are its key and its columns, of which some are reserved', () => {
    const marked = `sources: {}
sinks:
  jobs:
    type: table
    table: jobs
    key: [id, ¶job_ib]
    columns:
      job_id: event.subject
      id: event.webhook_id
      ¶relay_event_seq: event.data.seq`
    expect(issuesAtMarks(marked)).toEqual([
      'the key `job_ib` is not among the columns, did you mean `job_id`?',
      "the column `relay_event_seq` is the relay's own",
    ])
  })
})

describe('the address of a broker', () => {
  const brokers = (list: string) => `sources: {}\nsinks: { k: { type: kafka, topic: a.B_c-1, brokers: [${list}] } }`
  const hostAndPort = 'expected host:port, such as kafka-1.example.com:9092'
  const noIPv6 = 'the Kafka client takes no IPv6 address: expected a host name or an IPv4 address, and a port'

  test.each(['"kafka:9092"', '"10.0.0.1:1", "b-1.example.com:65535"', '"kafka_1:9092, localhost:9093,"'])(
    'is a host with a port: %s',
    (list) => {
      expect(issuesOf(brokers(list))).toEqual([])
    },
  )

  test.each([
    ['kafka', hostAndPort],
    ['kafka:', hostAndPort],
    [':9092', hostAndPort],
    ['kafka:0', hostAndPort],
    ['kafka:65536', hostAndPort],
    ['kafka:9092:1', hostAndPort],
    ['ka fka:9092', hostAndPort],
    ['300.1.1.1:9092', hostAndPort],
    ['kafka://kafka:9092', hostAndPort],
    ['user:sesame@kafka:9092', hostAndPort],
    ['a:1, kafka', hostAndPort],
    ['::1', noIPv6],
    ['[::1]:9092', noIPv6],
    ['[fe80::1]', noIPv6],
  ])('is not %j, which is not repeated', (entry, message) => {
    expect(issuesAtMarks(brokers(`"a:1", ¶"${entry}"`))).toEqual([`\`brokers[1]\`: ${message}`])
    expect(issuesAtMarks(brokers('"a:1", ¶"${B}"'), { B: entry })).toEqual([
      `\`brokers[1]\`: ${message} (the value comes from \`\${B}\`)`,
    ])
  })
})

test.each(['https://user@h.example/x', 'https://:sesame@h.example/x', 'https://user:sesame@h.example/x'])(
  'the address of a key set with credentials is refused and not repeated: %s',
  (url) => {
    const marked = 'sources: { g: { path: /g, dynamic: { audience: x, jwks_uri: ¶"${URL}" } } }'
    expect(issuesAtMarks(marked, { URL: url })).toEqual([
      '`jwks_uri`: holds credentials, which a key set does not need (the value comes from `${URL}`)',
    ])
  },
)

describe('a secret', () => {
  const bytes = (count: number) => `whsec_${Buffer.alloc(count, 7).toString('base64')}`

  test.each([
    ['whsec_', 'holds 0 bytes, expected 24 to 64: check that the whole secret was copied'],
    ['whsec_!!!!', 'is not base64: expected whsec_ and padded base64, as Gemini shows it'],
    [bytes(23), 'holds 23 bytes, expected 24 to 64: check that the whole secret was copied'],
    [bytes(65), 'holds 65 bytes, expected 24 to 64: check that the whole secret was copied'],
  ])('of a source or an http sink such as %s is refused by its place and not shown', (secret, problem) => {
    const source = `sources: { g: { path: /g, static: { secrets: ['${bytes(24)}', ¶'\${A}'] } } }`
    expect(issuesAtMarks(source, { A: secret })).toEqual([`\`secrets[1]\` ${problem} (the value comes from \`\${A}\`)`])
    const sink = `sources: {}\nsinks: { f: { type: http, url: 'https://x.example', secret: ¶'${secret}' } }`
    expect(issuesAtMarks(sink)).toEqual([`\`secret\` ${problem}`])
  })

  test('that is a token of Slack with a line break is refused, and not shown', () => {
    const sink = 'sources: {}\nsinks: { s: { type: slack, channel: C012, token: ¶"${A}" } }'
    expect(issuesAtMarks(sink, { A: 'xoxb-1\n\n' })).toEqual([
      '`token`: holds a space, a line break or another character that no token has (the value comes from `${A}`)',
    ])
  })
})

describe('the Gemini side', () => {
  const source = 'sources: { g: { path: /g, static: { managed: true } }, h: { path: /h } }'

  test('has defaults', () => {
    const { config } = load('sources: {}')
    expect(config.encryption).toEqual({ keys: [] })
    expect(config.gemini).toEqual({ webhooks: {}, enrich: { budget: { count: 5, perMs: 1_000 }, timeout: 5_000 } })
  })

  test('declares webhooks, each for a source that takes managed secrets', () => {
    const webhook = (inner: string) => `${source}\ngemini: { webhooks: { w: { uri: "https://r.example/g", ${inner} } } }`
    expect(load(webhook('source: g, events: [batch.succeeded]')).config.gemini.webhooks).toEqual({
      w: { uri: 'https://r.example/g', source: 'g', events: ['batch.succeeded'] },
    })
    expect(issuesAtMarks(webhook('source: ¶gg'))).toEqual(['there is no source `gg`, did you mean `g`?'])
    expect(issuesAtMarks(webhook('source: ¶h'))).toEqual([
      'the source `h` does not take managed secrets: give it `static: { managed: true }`',
    ])
    expect(issuesAtMarks(webhook('source: g, events: [¶batch]'))).toEqual([
      '`events[0]`: expected a type of events, such as batch.succeeded',
    ])
    const two = 'v: { uri: "https://r.example/g", source: g }, w: { uri: ¶"https://r.example/g", source: g }'
    expect(issuesAtMarks(`${source}\ngemini: { webhooks: { ${two} } }`)).toEqual(['`uri`: the webhook `v` has the same one'])
    expect(issuesAtMarks(`${source}\ngemini: { webhooks: { w: { uri: ¶"http://r.example/g", source: g } } }`)).toEqual([
      '`uri`: must be https, or http on a loopback address',
    ])
  })

  test('makes up the events of one source', () => {
    expect(issuesAtMarks(`${source}\ngemini: { ¶reconcile: { every: 1h } }`)).toEqual([
      '`reconcile`: there are several sources: say which, with `source`',
    ])
    expect(issuesAtMarks(`${source}\ngemini: { reconcile: { source: ¶nowhere } }`)).toEqual(['there is no source `nowhere`'])
    expect(load(`${source}\ngemini: { reconcile: { source: h } }`).config.gemini.reconcile).toEqual({
      source: 'h',
      every: 3_600_000,
      since: 172_800_000,
    })
  })

  test('enriches what a rule says to', () => {
    const rule = (sink: string, enrich: string) =>
      `sources: {}\nsinks: { s: ${sink} }\nrules: [{ name: a, to: [{ sink: s, ¶enrich: ${enrich} }] }]`
    const slack = '{ type: slack, token: t, channel: C012 }'
    const log = '{ type: log, value: event.resource }'
    expect(load(rule(log, 'gemini').replace('¶', '')).config.rules[0]?.to[0]).toMatchObject({ enrich: { from: 'gemini' } })
    for (const [written, read] of [
      ['gemini', { from: 'gemini', unavailable: 'wait' }],
      ['{ from: gemini, unavailable: without }', { from: 'gemini', unavailable: 'without' }],
    ] as const)
      expect(load(rule(slack, written).replace('¶', '')).config.rules[0]?.to[0]).toEqual({ sink: 's', enrich: read })
  })

  test('has no resource where rules decide: that is before anything is fetched', () => {
    const why = '`event.resource` is fetched for a delivery, after rules have decided which ones there are'
    expect(issuesAtMarks(withRules('  - { name: a, if: "event.¶resource.state == \'failed\'", to: [trace] }'))).toEqual([
      `\`if\`: ${why}`,
    ])
    expect(issuesAtMarks(withRules('  - { name: a, if: \'¶event["resource"] == null\', to: [trace] }'))).toEqual([
      `\`if\`: ${why}`,
    ])
    expect(issuesAtMarks(withRules('  - { name: a, when: { ¶resource: { state: failed } }, to: [trace] }'))).toEqual([why])
  })

  test('doubts a text, a key or a column that shows what nothing fetches', () => {
    const kafka = (target: string, sink = '') => `sources: { g: { path: /g, static: { managed: true } } }
sinks:
  s: { type: kafka, brokers: [b:9092], topic: t${sink} }
rules:
  - { name: a, to: [{ sink: s${target} }] }`
    const doubt = (key: string, who: string) =>
      `\`${key}\` shows \`event.resource\`, which is null here: ${who} \`enrich: gemini\``
    expect(warningsOf(kafka(', key: event.resource.name'))).toEqual([`5:32 ${doubt('key', 'this target does not say')}`])
    expect(warningsOf(kafka(', enrich: gemini, key: event.resource.name'))).toEqual([])
    expect(warningsOf(kafka(', key: event.data.resource'))).toEqual([])
    expect(warningsOf(kafka('', ', key: event.?resource.?name.orValue(null)'))).toEqual([`3:50 ${doubt('key', 'no rule says')}`])
    expect(warningsOf(kafka(', enrich: gemini', ', key: event.resource.name'))).toEqual([])
    const slack = (target: string) =>
      kafka(target).replace('type: kafka, brokers: [b:9092], topic: t', 'type: slack, token: t, channel: C012')
    expect(warningsOf(slack(', text: "{{ event.resource.name }}"'))).toHaveLength(1)
    expect(
      warningsOf(slack(', blocks: [{ type: section, text: { type: mrkdwn, text: "{{ event[\'resource\'].name }}" } }]')),
    ).toHaveLength(1)
  })
})

describe('the admin port', () => {
  const adminOf = (yaml: string, env: Env = {}) => load(`sources: {}\nadmin: ${yaml}`, env).config.admin
  const env = { TOKEN: 'sixteen-letters!', EMPTY: '', HOST: '10.0.0.1' }

  test('is not there where nothing is said of it', () => {
    expect(load('sources: {}').config.admin).toBeUndefined()
  })

  test('is on loopback, without a token, unless it is said otherwise', () => {
    expect(adminOf('{}')).toEqual({ host: '127.0.0.1', port: 8081 })
    expect(adminOf('{ host: 0.0.0.0, port: 9000, token: "${TOKEN}" }', env)).toEqual({
      host: '0.0.0.0',
      port: 9_000,
      token: 'sixteen-letters!',
    })
  })

  test.each(['127.0.0.1', '127.8.8.8', '::1', 'localhost'])('needs no token on %s', (host) => {
    expect(adminOf(`{ host: "${host}", token: "\${TOKEN:-}" }`)?.token).toBeUndefined()
  })

  const needed = 'a `token` is required where this is not 127.0.0.1, ::1 or localhost'
  test.each([
    ['{ host: ¶0.0.0.0 }', `\`host\`: ${needed}`],
    ['{ host: ¶"::" }', `\`host\`: ${needed}`],
    ['{ host: ¶relay.internal, token: "" }', `\`host\`: ${needed}`],
    ['{ host: ¶127.0.0.1.example.com }', `\`host\`: ${needed}`],
    ['{ host: ¶"${HOST}", token: "${EMPTY}" }', `\`host\`: ${needed} (the value comes from \`\${HOST}\`)`],
    ['{ token: ¶fifteen-letters }', '`token`: expected at least 16 characters of ASCII, without spaces'],
    ['{ token: ¶sixteen letters and more }', '`token`: expected at least 16 characters of ASCII, without spaces'],
    ['{ ¶prot: 1 }', 'unknown key `prot`, did you mean `port`?'],
  ])('%s is a mistake', (yaml, message) => {
    expect(issuesAtMarks(`sources: {}\nadmin: ${yaml}`, env)).toEqual([message])
  })
})

describe('patterns', () => {
  test.each([
    ['{ type: [¶{ prefx: batch. }] }', 'unknown operator `prefx`, did you mean `prefix`?'],
    [
      '{ data: { code: [1, ¶{ numeric: [">", x] }] } }',
      '`numeric` takes a comparison such as ["=", 3], or a range such as [">=", 1, "<", 10]',
    ],
    ['{ ¶$or: [{ type: a }] }', '`$or` takes a list of two or more patterns'],
    ['{ $or: [{ type: a }, { ¶sorce: b }] }', 'unknown field `sorce`, did you mean `source`?'],
    ['{ ¶subject: [{ exists: false }] }', '`subject` is there in every event: exists: false never matches'],
  ])('%s', (when, message) => {
    expect(issuesAtMarks(withRules(`  - { name: a, when: ${when}, to: [trace] }`))).toEqual([message])
  })

  test('take all operators', () => {
    const when = `{ type: [{ prefix: batch. }, interaction.*], data: { n: [{ numeric: [">", 3] }], x: [{ anything-but: { suffix: [a, b] } }] }, $or: [{ source: a }, { subject: [{ wildcard: "batches/*" }] }] }`
    expect(load(withRules(`  - { name: a, when: ${when}, to: [trace] }`)).config.rules[0]?.when).toMatchObject({
      $or: [{ source: 'a' }, {}],
    })
  })
})

describe('variables', () => {
  const nested = 'references cannot be nested: a default, or the path of a file, is plain text'

  test.each([
    ['"${A}"', { A: 'x' }, 'x'],
    ['"${A:-y}"', {}, 'y'],
    ['"${A:-y}"', { A: '' }, 'y'],
    ['"${A:-y}"', { A: 'x' }, 'x'],
    ['"${A:-http://h:1/:-x}"', {}, 'http://h:1/:-x'],
    ['"a-${A}-${B:-c}-$d"', { A: 'b' }, 'a-b-c-$d'],
    ['"$${A}"', { A: 'x' }, '${A}'],
    ['"$$${A}"', { A: 'x' }, '$${A}'],
    ['"${A}"', { A: '${B} $& $1' }, '${B} $& $1'],
    ["'${A}'", { A: 'it\'s "quoted": #no' }, 'it\'s "quoted": #no'],
  ])('%s with %j is %s', (yaml, env, expected) => {
    expect(audience(yaml, env)).toBe(expected)
  })

  test('are expanded in values, not in keys or comments', () => {
    const yaml = 'sources:\n  # ${UNSET}\n  g: { path: "/${A}" } # ${UNSET}'
    expect(load(yaml, { A: 'x' }).config.sources['g']?.path).toBe('/x')
    expect(issuesAtMarks('sources: { ¶"${A}": { path: /x } }', { A: 'x' })).toEqual([
      '`${A}`: expected a name of letters, digits, dot, dash and underscore, at most 63 long',
    ])
  })

  test('may be files, less one newline at their end, beside the configuration', () => {
    const files = {
      '/etc/relay/relay.yaml': 'sources: { g: { path: /g, dynamic: { audience: "${file:secret}|${file:/run/secrets/x}" } } }',
      '/etc/relay/secret': 'one\n\n',
      '/run/secrets/x': 'two\r\n',
    }
    const { config } = loadConfig({ file: '/etc/relay/relay.yaml', env: {}, readFile: (path) => contentOf(files, path) })
    expect(config.sources['g']?.dynamic?.audience).toBe('one\n|two')
  })

  test.each([
    [
      '"a ¶${A} ¶${B}"',
      [
        '`A` is not set in the environment; `${A:-}` would make it optional',
        '`B` is not set in the environment; `${B:-}` would make it optional',
      ],
    ],
    ['¶${file:/run/secrets/x}', ['cannot read the file `/run/secrets/x`: there is none']],
    ['"¶${1A}"', ['expected `${VAR}`, `${VAR:-default}` or `${file:/path}`; `$${` stands for a plain `${`']],
    ['"¶${A-b}"', ['expected `${VAR}`, `${VAR:-default}` or `${file:/path}`; `$${` stands for a plain `${`']],
    ['"x ¶${A:-${B:-x}}"', [nested]],
    ['"¶${A:-$${B}}"', [nested]],
    ['"¶${A:-${B"', [nested]],
    ['"¶${file:/run/${NAME}}"', [nested]],
    ['"x ¶${A"', ['a `${` is never closed; `$${` stands for a plain one']],
  ])('that cannot be expanded are issues: %s', (yaml, messages) => {
    expect(issuesAtMarks(`sources:\n  g:\n    path: /g\n    dynamic:\n      audience: ${yaml}`)).toEqual(messages)
  })

  test('that expand to nothing where something is needed are named', () => {
    expect(issuesAtMarks('sources: { g: { path: /g, dynamic: { audience: ¶"${A}" } } }', { A: '' })).toEqual([
      '`audience` needs a value, and `${A}` expands to nothing',
    ])
    expect(issuesAtMarks('sources: {}\nsinks: { k: { type: kafka, brokers: [¶"${B:-}"] } }')).toEqual([
      '`brokers[0]` needs a value, and `${B}` expands to nothing',
    ])
  })

  test('that expand to nothing leave a list of secrets short', () => {
    expect(load('sources: { g: { path: /g, static: { secrets: ["${A:-}"] } } }').config.sources['g']?.static?.secrets).toEqual([
      '',
    ])
  })
})

test('no message holds a value that came from a variable, a file or a default', () => {
  const yaml = `server: { port: "\${SECRET}", body_limit: "\${SECRET}" }
sources: { g: { path: "\${SECRET}", dynamic: { audience: x, algorithms: ["\${SECRET}"], jwks_uri: "\${SECRET}" } } }
sinks:
  a: { type: "\${SECRET}" }
  b: { type: slack, token: [x], channel: "\${SECRET}", text: "{{ \${SECRET} }}" }
  c: { type: table, table: "\${SECRET}", key: ["\${SECRET}"], columns: { id: "\${file:secret}", n: "\${UNSET:-sesame}" } }
rules:
  - { name: "\${SECRET}", if: "\${SECRET}", to: ["\${SECRET}", trace, "\${SECRET}"] }
  - { name: x, when: { type: { a: "\${SECRET}" } }, to: [{ sink: b, channel: "\${SECRET}" }] }
  - { name: "\${SECRET}", to: [b] }`
  const error = thrown(() => load(yaml, { SECRET: 'sesame' }, { secret: 'sesame\n' }))
  if (!(error instanceof ConfigError)) throw error
  expect(error.issues.length).toBeGreaterThan(15)
  expect(JSON.stringify([error.message, error.issues, error.hint])).not.toContain('sesame')
  expect(error.message).toContain('`if` is not valid; its value comes from `${SECRET}` and is not shown')
})

describe('expressions and texts that do not compile', () => {
  const message = '`a`: `event` has no field `typ`, did you mean `type`?'

  test.each([
    ['      a: event.¶typ + "x"', 'plain'],
    ['      a: "event.¶typ + \'x\'"', 'in double quotes'],
    ["      a: 'event.¶typ'", 'in single quotes'],
    ['      a: |\n        event.type +\n          event.¶typ', 'in a block'],
    ['      a: |-\n\n        event.type +\n        event.¶typ', 'in a block that begins with an empty line'],
    ["      a: ¶'''x'' + event.typ'", 'behind an escape, at the start of the value'],
    ['      a: ¶"\\x65vent.typ"', 'behind a hexadecimal escape, at the start of the value'],
    ['      a: ¶>\n        event.type +\n        event.typ', 'in a folded block, at its start'],
    ['      a: &x event.¶typ', 'behind an anchor'],
    ['      a: ¶"\'$${x}\' + event.typ"', 'behind an escaped `${`, at the start of the value'],
  ])('%j (%s) are found where they are', (lines, _how) => {
    expect(issuesAtMarks(withColumns(lines))).toEqual([message])
  })

  test('are found at the start of a value that a variable had a part in', () => {
    const withheld = (label: string) => `\`${label}\` is not valid; its value comes from \`\${A}\` and is not shown`
    expect(issuesAtMarks(withColumns('      a: ¶"${A}event.typ"'), { A: '"some text" + ' })).toEqual([withheld('a')])
    expect(issuesAtMarks(withColumns('      a: ¶${A}'), { A: 'x\n + event.typ' })).toEqual([withheld('a')])
    const rule = "  - { name: a, to: [{ sink: ops, text: ¶'${A}' }] }"
    expect(issuesAtMarks(withRules(rule), { A: 'long {{ event.typ }}' })).toEqual([withheld('text')])
  })

  test('are found in every place that takes one', () => {
    const marked = withRules(`  - name: a
    if: event.data.a ¶=
    to:
      - { sink: ops, text: '{{ ¶evnt.type }}', blocks: [{ type: section, text: { type: mrkdwn, text: 'a ¶{{ event.type | x }}' } }] }
      - { sink: stream, topic: t, key: ¶subject }
  - { name: b, if: ¶event.type, to: [trace] }`)
    expect(issuesAtMarks(marked)).toEqual([
      '`if`: Unexpected character: =',
      '`text`: unknown variable `evnt`, did you mean `event`?',
      '`text`: undefined filter: x',
      '`key`: unknown name `subject`, did you mean `event.subject`?',
      '`if`: a condition must be bool, this is string',
    ])
  })
})

describe('a file that is no YAML', () => {
  test.each([
    ['a: ¶b: c', 'not YAML: Nested mappings are not allowed in compact mappings'],
    ['a: "x¶', 'not YAML: Missing closing "quote'],
    ['¶\ta: 1', 'not YAML: Tabs are not allowed as indentation'],
    ['a: 1\n¶---\nb: 2', 'a second document begins here: one is expected'],
    ['a: [1, ¶*nowhere]', 'no anchor `nowhere` comes before this'],
    ['sinks: { o: { token: ¶${T} } }', 'inside `{ }` and `[ ]`, a reference must be quoted: "${…}"'],
    ['¶text', '`configuration`: expected a map, found text'],
  ])('is an issue with its place: %j', (marked, message) => {
    expect(issuesAtMarks(marked)).toEqual([message])
  })

  test('because references are not quoted is said of those, and not of what comes after them', () => {
    const marked = `sources: { g: { path: /g } }
sinks:
  o: { type: slack, token: ¶\${T}, channel: C012 }
  p: { type: log }
  q: { type: slack, token: ¶\${T} }
rules:
  - name: a
    to: [p]`
    const message = 'inside `{ }` and `[ ]`, a reference must be quoted: "${…}"'
    expect(issuesAtMarks(marked)).toEqual([message, message])
  })

  test('because a key is there twice is told where, with the other issues', () => {
    expect(issuesAtMarks('sources: {}\n¶sources: {}\nserver: { ¶prt: 1 }')).toEqual([
      'this key appears twice',
      'unknown key `prt`, did you mean `port`?',
    ])
  })

  test('is not quoted, for it may hold a secret', () => {
    expect(issuesOf('token: "sesame\nother: [sesame}\n- sesame: sesame: "').join()).not.toContain('sesame')
  })

  test('because its aliases multiply is refused', () => {
    const bomb = `a: &a [x, x, x, x, x, x, x, x, x, x]\n${'bcdefgh'.replace(/./g, (key) => {
      const before = String.fromCharCode(key.charCodeAt(0) - 1)
      return `${key}: &${key} [${Array.from({ length: 10 }, () => `*${before}`).join(', ')}]\n`
    })}`
    expect(issuesOf(bomb)).toEqual([expect.stringContaining('alias')])
  })
})

test('a file that cannot be read is an error that says how to name another', () => {
  const error = thrown(() => loadConfig({ file: 'config/nowhere.yaml', env: {} }))
  expect(error).toBeInstanceOf(ConfigError)
  const message = expect.stringMatching(/^cannot read the configuration: there is none \(--config FILE names another; /)
  expect(error).toMatchObject({
    code: 'config_invalid',
    issues: [{ file: 'config/nowhere.yaml', line: 1, column: 1, path: '', message }],
  })
})

describe('what is allowed and probably not meant is a warning', () => {
  test('with its place', () => {
    expect(warningsOf("sources:\n  g: { path: /g, static: { secrets: [''] } }\nsinks:\n  t: { type: log }")).toEqual([
      '1:1 there is no rule: events are kept and go nowhere',
      '2:3 the source `g` trusts no key yet: it answers 503 until it has a secret or `dynamic`',
      '4:3 no rule feeds the sink `t`',
    ])
    expect(warningsOf('sources: {}\nrules: []')).toEqual([
      '1:1 there is no source: nothing is received',
      '2:1 there is no rule: events are kept and go nowhere',
    ])
  })

  test('unless all is well', () => {
    expect(
      warningsOf(
        'sources: { g: { path: /g, static: { secrets: [whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw] } } }\nsinks: { t: { type: log } }\nrules: [{ name: a, to: [t] }]',
      ),
    ).toEqual([])
  })
})

describe('the reference', () => {
  const rows = configReference(configJsonSchema('reference'))
    .split('\n')
    .filter((line) => line.startsWith('| `'))

  test('says of each key what it is', () => {
    expect(rows.length).toBeGreaterThan(100)
    expect(rows.filter((row) => /\|\s*\|$/.test(row))).toEqual([])
  })

  test.each([
    ['body_limit', 'size', '`256kb`'],
    ['timeout', 'duration', '`15s`'],
    ['rate', 'rate', '`1/s`'],
    ['token', 'text', 'needed'],
    ['webhooks.NAME.events', 'list of text', ''],
    ['to[].sink', 'text', 'needed'],
    ['unbound_jwt', '`once` or `accept` or `reject`', '`once`'],
  ])('has %s, a %s, by default %s', (key, type, fallback) => {
    const cells = rows.map((row) => row.split('|').map((cell) => cell.trim()))
    expect(cells.some(([, name, ...rest]) => name?.endsWith(`${key}\``) && rest[0] === type && rest[1] === fallback)).toBe(true)
  })
})

describe('the JSON Schema for editors', () => {
  test('is what the repository holds', () => {
    expect(JSON.parse(readFileSync('config/relay.schema.json', 'utf8'))).toEqual(
      JSON.parse(JSON.stringify(configJsonSchema('editor'))),
    )
  })

  describe('knows patterns', () => {
    const takes = (when: unknown) => {
      const schema = z.fromJSONSchema(JSON.parse(readFileSync('config/relay.schema.json', 'utf8')))
      return schema.safeParse({ rules: [{ name: 'all', when, to: ['trace'] }] }).success
    }
    const code = { error_code: [{ exists: true }] }

    test.each([
      { type: 'batch.*', source: ['gemini'], version: null },
      { $or: [{ data: code }, { user_metadata: { owner: 'me' } }] },
      { $or: [{ type: 'batch.failed', $or: [{ data: code }, { subject: [{ prefix: 'b' }] }] }, { scheme: 'jwt' }] },
      { data: { error: { $or: [{ code: [1] }, { code: [{ numeric: ['>', 400] }] }] } } },
    ])('such as %j', (when) => expect(takes(when)).toBe(true))

    test.each([
      { typ: 'batch.failed' },
      { $or: [{ typ: 'a' }, { type: 'b' }] },
      { $or: [{ type: 'a' }] },
      { data: 'a' },
      { version: 1 },
    ])('and not %j', (when) => expect(takes(when)).toBe(false))
  })

  test('allows a variable wherever a form is asked for', () => {
    const port = z.looseObject({
      properties: z.looseObject({ server: z.looseObject({ properties: z.looseObject({ port: z.unknown() }) }) }),
    })
    const digits = {
      anyOf: [
        { type: 'string', pattern: '^\\d+$' },
        { type: 'string', pattern: '\\$\\{.+\\}' },
      ],
    }
    expect(port.parse(configJsonSchema('editor')).properties.server.properties.port).toEqual({
      default: 8080,
      description: '0 takes a free one.',
      anyOf: [{ type: 'number' }, digits],
    })
  })
})
