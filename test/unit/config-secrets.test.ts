/** Wherever in a configuration a secret comes to stand, by mistake or not, no error and no doubt repeats it. */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { ConfigError } from '../../src/config/issues.ts'
import { loadConfig } from '../../src/config/load.ts'
import { certificate, privateKey } from '../fixtures/pem.ts'
import { leaksIn } from '../fixtures/spellings.ts'

const signing = `whsec_${randomBytes(32).toString('base64')}`
const retry = { initial: '1s', factor: 2, max: '1h', jitter: 0.2, attempts: 5, horizon: '3d' }
const breaker = { failures: 5, cooldown: '5s', max: '60s' }

/** With every key that there is. */
const whole = {
  server: { host: '0.0.0.0', port: 8080, body_limit: '256kb' },
  admin: { host: '0.0.0.0', port: 8081, token: 'made-up-and-long-enough' },
  database: { url: 'postgres://relay@db/relay' },
  retention: { events: '30d' },
  sources: {
    gemini: {
      path: '/hook',
      static: { secrets: [signing] },
      dynamic: { jwks_uri: 'https://keys.example/jwks.json', audience: 'here', algorithms: ['RS256'], unbound_jwt: 'once' },
    },
  },
  sinks: {
    ops: {
      type: 'slack',
      token: 'xoxb-1',
      channel: 'C0123456789',
      text: '{{ event.type }}',
      blocks: [{ type: 'section', text: { type: 'mrkdwn', text: '{{ event.subject }}' } }],
      api_url: 'https://slack.example/api/',
      rate: '1/s',
      concurrency: 1,
      batch: 1,
      timeout: '10s',
      retry,
      breaker,
    },
    stream: {
      type: 'kafka',
      brokers: ['kafka:9092'],
      client_id: 'relay',
      tls: { ca: certificate, cert: certificate, key: privateKey },
      sasl: { mechanism: 'plain', username: 'relay', password: 'made-up' },
      topic: 'events',
      key: 'event.subject',
      format: 'json',
    },
    jobs: {
      type: 'table',
      table: 'jobs',
      url: 'postgres://relay@other/jobs',
      key: ['id'],
      create: true,
      columns: { id: 'event.subject', at: { type: 'timestamptz', value: 'event.timestamp' } },
    },
    forward: { type: 'http', url: 'https://jobs.example/hook', secret: signing, allow_private: false },
    trace: { type: 'log' },
  },
  rules: [
    {
      name: 'all',
      when: { type: ['batch.*'], user_metadata: { priority: 'high' } },
      if: 'event.data.error_count > 1',
      to: [
        'trace',
        'jobs',
        'forward',
        { sink: 'ops', text: '{{ event.type }}', channel: 'C0123456789' },
        { sink: 'stream', topic: 'events', key: 'event.subject' },
      ],
    },
  ],
}

type Path = readonly (string | number)[]

/** Where values stand, those that are maps and lists too. */
function placesIn(value: unknown, path: Path = []): Path[] {
  if (typeof value !== 'object' || value === null) return [path]
  const inner = Object.entries(value).flatMap(([key, child]) =>
    placesIn(child, [...path, Array.isArray(value) ? Number(key) : key]),
  )
  return path.length === 0 ? inner : [path, ...inner]
}

function replaced(value: unknown, path: Path, by: string): unknown {
  const [step, ...rest] = path
  if (step === undefined) return by
  if (Array.isArray(value)) return value.map((child: unknown, at) => (at === step ? replaced(child, rest, by) : child))
  const entries = typeof value === 'object' && value !== null ? Object.entries(value) : []
  return Object.fromEntries(entries.map(([key, child]) => [key, key === step ? replaced(child, rest, by) : child]))
}

/** All that loading says of a configuration. */
function said(config: unknown, env: Record<string, string> = {}): string {
  return saidOf(stringify(config), env)
}

function saidOf(yaml: string, env: Record<string, string>): string {
  try {
    return JSON.stringify(loadConfig({ file: 'relay.yaml', env, readFile: () => yaml }).warnings)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return `${error.message}\n${error.stack}\n${JSON.stringify(error.issues)}`
  }
}

const core = randomBytes(24).toString('hex')
/** Bare, as a token has it, and where the languages of a configuration stumble. */
const forms = [
  core,
  `whsec_${core}`,
  `${core}\n`,
  `{{ ${core} | ${core} }} {%`,
  `event.${core} ==`,
  `postgres://u:${core}@[/x`,
  `https://u:${core}@`,
  `-----BEGIN ${core}`,
]

describe('a secret from a variable', () => {
  it('the configuration is in order without it', () => {
    expect(said(whole)).toBe('[]')
    expect(placesIn(whole).length).toBeGreaterThan(80)
  })

  it.each(placesIn(whole).map((path) => [path.join('.'), path] as const))('at %s is not repeated', (_, path) => {
    const config = replaced(whole, path, '${SECRET}')
    const texts = forms.map((form) => ({ where: form, text: said(config, { SECRET: form }) }))
    expect(leaksIn(texts, { secret: [Buffer.from(core)] })).toEqual([])
  })
})

describe('a secret that comes by an alias', () => {
  const merged = (sinks: string) => `sources: { gemini: { path: /g, static: { secrets: ['${signing}'] } } }
sinks:
  one: &one { type: slack, token: t, channel: C0123456789, text: &text '\${SECRET}' }
  two: ${sinks}
rules: [{ name: all, to: [one, two] }]
`

  it.each(['{ <<: *one }', '*one', '{ type: log, value: *text }', '{ <<: [*one], text: x, blocks: [{ a: *text }] }'])(
    'into %s is not repeated',
    (sink) => {
      const texts = forms.map((form) => ({ where: form, text: saidOf(merged(sink), { SECRET: form }) }))
      expect(texts.some(({ text }) => text.includes('is not shown'))).toBe(true)
      expect(leaksIn(texts, { secret: [Buffer.from(core)] })).toEqual([])
    },
  )
})

describe('a secret in a pattern', () => {
  it.each([
    '{ type: [{ prefix: $ }] }',
    '{ scheme: [{ anything-but: [hmac, ed25519, jwt, reconciled, $] }] }',
    '{ data: { ip: [{ cidr: $ }] } }',
    '{ subject: [{ suffix: [$] }] }',
    '{ subject: [{ anything-but: { prefix: [{ of: $ }] } }] }',
  ])('as in %s is not repeated', (when) => {
    const yaml = `sources: { gemini: { path: /g, static: { secrets: ['${signing}'] } } }
sinks: { trace: { type: log } }
rules: [{ name: all, when: ${when.replace('$', "'${SECRET}'")}, to: [trace] }]
`
    const texts = forms.map((form) => ({ where: form, text: saidOf(yaml, { SECRET: form }) }))
    expect(texts.filter(({ text }) => text === '[]')).toEqual([])
    expect(leaksIn(texts, { secret: [Buffer.from(core)] })).toEqual([])
  })
})

describe('a secret that is written out', () => {
  const places: Path[] = [
    ['admin', 'token'],
    ['database', 'url'],
    ['sources', 'gemini', 'static', 'secrets', 0],
    ['sinks', 'ops', 'token'],
    ['sinks', 'stream', 'sasl', 'password'],
    ['sinks', 'stream', 'tls', 'key'],
    ['sinks', 'jobs', 'url'],
    ['sinks', 'forward', 'url'],
    ['sinks', 'forward', 'secret'],
  ]

  it.each(places.map((path) => [path.join('.'), path] as const))('at %s is not repeated', (_, path) => {
    const texts = forms.map((form) => ({ where: form, text: said(replaced(whole, path, form)) }))
    expect(leaksIn(texts, { secret: [Buffer.from(core)] })).toEqual([])
  })
})
