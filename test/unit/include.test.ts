/** A configuration in several files, and what its sinks share: everything that is said of it names the place where it was written. */
import { basename, dirname } from 'node:path'
import { describe, expect, test } from 'vitest'
import { ConfigError, formatIssues } from '../../src/config/issues.ts'
import { loadConfig } from '../../src/config/load.ts'
import { relayEvent } from '../fixtures/deliveries.ts'
import { secret } from '../setup/sender.ts'

type Files = Record<string, string>

function load(files: Files, env: Record<string, string> = {}) {
  return loadConfig({
    file: 'relay.yaml',
    env,
    readFile(path) {
      const text = files[path] ?? files[path.replace(`${process.cwd()}/`, '')]
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return text
    },
    listFiles: (directory) =>
      Object.keys(files)
        .filter((file) => dirname(file) === directory)
        .map((file) => basename(file)),
  })
}

/** What is wrong with it, else what is doubted. */
function findingsIn(files: Files, env: Record<string, string> = {}): string[] {
  try {
    return lines(formatIssues(load(files, env).warnings))
  } catch (error) {
    if (error instanceof ConfigError) return lines(formatIssues(error.issues))
    throw error
  }
}

function lines(text: string): string[] {
  return text === '' ? [] : text.split('\n')
}

const main = `include: teams/*.yaml
sources: { gemini: { path: /g, static: { secrets: ['${secret}'] } } }
sinks:
  trace: { type: log }
rules:
  - name: everything
    to: [trace]
`

const ads = `sinks:
  ads-log: { type: log }
rules:
  - name: ads
    when: { user_metadata: { team: ads } }
    to: [ads-log, trace]
`

describe('include', () => {
  test('joins sources, sinks, rules and cases, those of the main file first', () => {
    const labs = `sources: { labs: { path: /labs, static: { secrets: ['${secret}'] } } }
rules: [{ name: labs, to: [trace], when: { source: labs, type: batch.failed } }]
tests: [{ name: none, source: gemini, event: { type: batch.succeeded }, expect: [] }]
`
    const { config, plan, warnings, files } = load({ 'relay.yaml': main, 'teams/ads.yaml': ads, 'teams/labs.yaml': labs })
    expect(warnings).toEqual([])
    expect(files).toEqual(['relay.yaml', 'teams/ads.yaml', 'teams/labs.yaml'])
    expect(Object.keys(config.sources)).toEqual(expect.arrayContaining(['gemini', 'labs']))
    expect(config.rules.map(({ name }) => name)).toEqual(['everything', 'ads', 'labs'])
    expect(config.tests.map(({ name }) => name)).toEqual(['none'])
    expect(plan.route(relayEvent({ user_metadata: { team: 'ads' } }))).toEqual([
      { rule: 'everything', sink: 'trace' },
      { rule: 'ads', sink: 'ads-log' },
      { rule: 'ads', sink: 'trace' },
    ])
  })

  test('`*` leaves out files of cases, and a name may come as one text or in a list', () => {
    const files = { 'teams/ads.yaml': ads, 'teams/ads.test.yaml': 'tests: []', 'other.yaml': 'sinks: { more: { type: log } }' }
    expect(load({ ...files, 'relay.yaml': main }).files).toEqual(['relay.yaml', 'teams/ads.yaml'])
    const both = main.replace('teams/*.yaml', '[other.yaml, teams/a*.yaml]')
    expect(load({ ...files, 'relay.yaml': both }).files).toEqual(['relay.yaml', 'other.yaml', 'teams/ads.yaml'])
  })

  test('a file of `${file:…}` is looked for beside the file that names it', () => {
    const files = {
      'relay.yaml': main,
      'teams/ads.yaml': `sinks: { ops: { type: slack, channel: C012, token: '\${file:token}' } }\nrules: [{ name: o, to: [ops] }]`,
      'teams/token': 'xoxb-here\n',
    }
    expect(load(files).config.sinks['ops']).toMatchObject({ token: 'xoxb-here' })
  })

  test.each<[what: string, team: string, finding: string]>([
    [
      'a rule that names an unknown sink',
      ads.replace('[ads-log, trace]', '[ads-lgo]'),
      'teams/ads.yaml:6:10: there is no sink `ads-lgo`, did you mean `ads-log`?',
    ],
    [
      'a text that does not compile',
      `sinks:\n  ops: { type: slack, token: t, channel: C012, text: 'x {{ evnt.type }}' }\nrules: [{ name: o, to: [ops] }]`,
      'teams/ads.yaml:2:60: `text`: unknown variable `evnt`, did you mean `event`?',
    ],
    [
      'a variable that is not set',
      `sinks:\n  ops: { type: slack, token: '\${NOPE}', channel: C012 }\nrules: [{ name: o, to: [ops] }]`,
      'teams/ads.yaml:2:31: `NOPE` is not set in the environment; `${NOPE:-}` would make it optional',
    ],
    [
      'a name that is taken',
      ads.replaceAll('ads-log', 'trace').replace('[trace, trace]', '[trace]'),
      'teams/ads.yaml:2:3: `trace` is in relay.yaml:4 already',
    ],
    [
      'a rule of a name that is taken',
      ads.replace('name: ads', 'name: everything'),
      'teams/ads.yaml:4:11: there is another rule named `everything`',
    ],
    [
      'what belongs into the main file',
      `${ads}server: { port: 1 }\n`,
      'teams/ads.yaml:7:1: `server`: an included file holds `sources`, `sinks`, `rules`, `tests` and nothing else',
    ],
    ['a section of another shape', 'rules: { name: x }', 'teams/ads.yaml:1:8: `rules`: expected a list'],
    ['what is no map', '- 1', 'teams/ads.yaml:1:1: expected a map: an included file holds `sources`, `sinks`, `rules`, `tests`'],
    [
      'what is no YAML',
      'rules: [',
      'teams/ads.yaml:1:9: not YAML: Flow sequence in block collection must be sufficiently indented and end with a ]',
    ],
    ['a doubt', ads.replace('to: [ads-log, trace]', 'to: [trace]'), 'teams/ads.yaml:2:3: no rule feeds the sink `ads-log`'],
    [
      'a case that expects what there is not',
      `${ads}tests:\n  - { name: c, event: { type: batch.failed }, expect: [{ rule: adz, sink: trace }] }\n`,
      'teams/ads.yaml:8:64: there is no rule `adz`, did you mean `ads`?',
    ],
  ])('places %s', (_, team, finding) => {
    expect(findingsIn({ 'relay.yaml': main, 'teams/ads.yaml': team })).toEqual([finding])
  })

  test.each<[what: string, broken: string, finding: string]>([
    [
      'is no YAML',
      'sinks: {',
      'teams/broken.yaml:1:9: not YAML: Flow map in block collection must be sufficiently indented and end with a }',
    ],
    ['has an alias of nothing', 'sinks: { more: *none }', 'teams/broken.yaml:1:16: no anchor `none` comes before this'],
    ['has a section of another shape', 'sinks: [more]', 'teams/broken.yaml:1:8: `sinks`: expected a map'],
  ])('of a file that %s, the others are looked at, less what may be in it', (_, broken, finding) => {
    const others = `rules:
  - { name: more, to: [more, trace], if: event.tpye == 'x' }
  - { name: less, to: [trace], when: { tpye: batch.failed } }
tests:
  - { name: c, source: more, event: {}, expect: [{ rule: gone, sink: trace }, { rule: less, sink: more }, { rule: less, sink: trace, topic: x }] }
`
    const files = {
      'relay.yaml': 'include: teams/*.yaml\nsinks: { trace: { type: log, timout: 3s } }',
      'teams/broken.yaml': broken,
      'teams/others.yaml': others,
    }
    expect(findingsIn(files)).toEqual([
      finding,
      'relay.yaml:2:30: unknown key `timout`, did you mean `timeout`?',
      'teams/others.yaml:2:48: `if`: `event` has no field `tpye`, did you mean `type`?',
      'teams/others.yaml:3:40: unknown field `tpye`, did you mean `type`?',
      'teams/others.yaml:5:134: a delivery to a sink of type log shows no `topic`: it shows `line`',
    ])
  })

  test('of a file that cannot be read, the others are looked at, less what may be in it', () => {
    const relay =
      'include: [gone.yaml]\nsinks: { trace: { type: log } }\nrules: [{ name: all, to: [trace, more], if: event.tpye }]'
    expect(findingsIn({ 'relay.yaml': relay })).toEqual([
      'relay.yaml:1:11: `include`: cannot read gone.yaml: there is none',
      'relay.yaml:3:51: `if`: `event` has no field `tpye`, did you mean `type`?',
    ])
  })

  test.each([
    ['teams/*.yaml', '`include`: there is no such file'],
    ['te*/x.yaml', '`include`: `*` may stand in the last part of a name only'],
    ['nope.yaml', '`include`: cannot read nope.yaml: there is none'],
    ['relay.yaml', '`include`: relay.yaml is there already'],
    ["''", '`include`: must not be empty'],
    ['{ a: 1 }', '`include`: expected the name of a file, or a list of them'],
  ])('%s that leads nowhere is said', (include, message) => {
    const text = main.replace('teams/*.yaml', include)
    expect(findingsIn({ 'relay.yaml': text })).toEqual([`relay.yaml:1:10: ${message}`])
  })

  test('the hash tells whether relays were told the same, whatever the variables hold', () => {
    const variable = main.replace(secret, '${SECRET}')
    const files = { 'relay.yaml': variable, 'teams/ads.yaml': ads }
    const { hash } = load(files, { SECRET: secret })
    expect(load(files, { SECRET: 'whsec_dGVuIHRlbiB0ZW4gdGVuIHRlbiB0ZW4gdGVu' }).hash).toBe(hash)
    expect(load({ ...files, 'teams/ads.yaml': `${ads}#` }, { SECRET: secret }).hash).not.toBe(hash)
    expect(hash).toMatch(/^[0-9a-f]{12}$/)
  })
})

describe('defaults', () => {
  const withSinks = (defaults: string, sinks: string) => `sources: { gemini: { path: /g, static: { secrets: ['${secret}'] } } }
defaults:
${defaults}
sinks:
${sinks}
rules:
  - { name: all, to: [one, two] }
`

  test('are what sinks of the type do not say themselves, then what none of them says', () => {
    const { config, warnings } = load({
      'relay.yaml': withSinks(
        `  all: { timeout: 3s, retry: { attempts: 4, factor: 3 } }
  slack: { token: t, retry: { attempts: 5 }, channel: C012 }`,
        `  one: { type: slack, retry: { max: 1h } }
  two: { type: log, timeout: 1s }`,
      ),
    })
    expect(warnings).toEqual([])
    expect(config.sinks['one']).toMatchObject({ token: 't', channel: 'C012', timeout: 3_000, retry: { attempts: 5, factor: 3 } })
    expect(config.sinks['two']).toMatchObject({ timeout: 1_000, retry: { attempts: 4, factor: 3 } })
  })

  test('are taken whole, but for parts of retry and breaker', () => {
    const { config } = load({
      'relay.yaml': withSinks(
        '  http: { url: "https://a.example/", value: { a: event.subject }, headers: { x-team: a, x-more: b } }',
        '  one: { type: http, value: { b: event.type }, headers: { X-Team: c } }\n  two: { type: http }',
      ),
    })
    const { one, two } = config.sinks
    expect(one).toMatchObject({ value: { b: 'event.type' } })
    expect(one?.type === 'http' && Object.keys(one.headers ?? {})).toEqual(['X-Team'])
    expect(one?.type === 'http' && one.value).toEqual({ b: 'event.type' })
    expect(two).toMatchObject({ value: { a: 'event.subject' }, headers: { 'x-more': { text: 'b' } } })
  })

  test.each<[what: string, defaults: string, finding: string]>([
    [
      'a key that is unknown',
      '  slack: { token: t, chanel: C012 }',
      'relay.yaml:3:22: unknown key `chanel`, did you mean `channel`?',
    ],
    [
      'a text that does not compile, once for all sinks',
      "  slack: { token: t, channel: C012, text: '{{ evnt }}' }",
      'relay.yaml:3:47: `text`: unknown variable `evnt`, did you mean `event`?',
    ],
    [
      'a value that is wrong',
      '  slack: { token: t, channel: ops }',
      'relay.yaml:3:31: `channel`: expected a channel id such as C0123456789 (not a #name: look-ups by name hit rate limits)',
    ],
    ['a type of sinks that there is not', '  slck: { token: t }', 'relay.yaml:3:3: unknown key `slck`, did you mean `slack`?'],
    [
      'a variable that is not set',
      "  slack: { channel: C012, token: '${NOPE}' }",
      'relay.yaml:3:35: `NOPE` is not set in the environment; `${NOPE:-}` would make it optional',
    ],
    [
      'what is for one type only',
      '  all: { token: t }\n  slack: { token: t, channel: C012 }',
      'relay.yaml:3:10: unknown key `token`',
    ],
    [
      'a doubt',
      "  slack: { token: t, channel: C012, text: '{{ event.data.erorr_message }}' }",
      'relay.yaml:3:47: `event.data.erorr_message`: no type of events that is known has it, did you mean `error_message`?',
    ],
  ])('places %s', (_, defaults, finding) => {
    const found = findingsIn({ 'relay.yaml': withSinks(defaults, '  one: { type: slack }\n  two: { type: slack }') })
    expect(found.filter((line) => !/: `token` is missing|: no channel: /.test(line))).toEqual([finding])
  })

  test('that are wrong are said once for all sinks', () => {
    const http = '  http: { url: "https://a.example/", secret: none }'
    expect(findingsIn({ 'relay.yaml': withSinks(http, '  one: { type: http }\n  two: { type: http }') })).toEqual([
      'relay.yaml:3:46: `secret` holds 3 bytes, expected 24 to 64: check that the whole secret was copied',
    ])
  })
})
