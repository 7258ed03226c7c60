import { describe, expect, it } from 'vitest'
import { ConfigError } from '../../src/config/issues.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createPreviews } from '../../src/sinks/preview.ts'
import { leasedDelivery } from '../fixtures/deliveries.ts'

function load(headers: string, env: Record<string, string>, target = 'forward') {
  const yaml = `
sources: { gemini: { path: /g, static: { managed: true } } }
sinks: { forward: { type: http, url: "https://jobs.example.com/", headers: ${headers} } }
rules: [{ name: all, to: [${target}] }]
`
  return loadConfig({ file: 'relay.yaml', env, readFile: (path) => (path === 'relay.yaml' ? yaml : 'of-a-file\n') }).config
}

describe('a header whose text comes from a variable', () => {
  it('is told from one that stands in the file, in a sink and in a rule', () => {
    const config = load(
      '{ authorization: "Bearer ${TOKEN} ${file:/run/token}", x-plain: plain }',
      { TOKEN: 't0ken' },
      '{ sink: forward, headers: { x-team: "${TEAM:-none}", x-plain: null } }',
    )
    expect(config.sinks['forward']).toMatchObject({
      headers: {
        authorization: { text: 'Bearer t0ken of-a-file', secrets: ['t0ken', 'of-a-file'] },
        'x-plain': { text: 'plain', secrets: [] },
      },
    })
    expect(config.rules[0]?.to[0]).toMatchObject({
      headers: { 'x-team': { text: 'none', secrets: ['none'] }, 'x-plain': null },
    })
  })

  it('is one where it comes by an alias, too', () => {
    const config = load('{ x-a: &a "${TOKEN}", x-b: *a }', { TOKEN: 't0ken' }, '{ sink: forward, headers: { x-c: *a } }')
    expect(config.sinks['forward']).toMatchObject({ headers: { 'x-b': { text: 't0ken', secrets: ['t0ken'] } } })
    expect(config.rules[0]?.to[0]).toMatchObject({ headers: { 'x-c': { text: 't0ken', secrets: ['t0ken'] } } })
  })

  it('is not quoted where it does not compile', () => {
    const loading = () => load('{ x-a: "${TOKEN}" }', { TOKEN: '{{ t0ken }}' })
    expect(loading).toThrow(ConfigError)
    expect(loading).toThrow('`x-a` is not valid; its value comes from `${TOKEN}` and is not shown')
    expect(loading).not.toThrow('t0ken')
  })

  it('shows in no preview, as it is or made into another', () => {
    const config = load(
      `{ authorization: "Bearer \${TOKEN}", x-basic: '{{ "me:\${TOKEN}" | base64_encode }}', x-job: "{{ event.subject }}" }`,
      { TOKEN: 't0ken-of-ours' },
    )
    const preview = createPreviews(config).of(leasedDelivery({ rule: 'all', sink: 'forward' }))
    expect(preview).toMatchObject({
      sends: { headers: { authorization: 'Bearer [hidden]', 'x-basic': '[hidden]', 'x-job': 'batches/b1' } },
    })
  })
})
