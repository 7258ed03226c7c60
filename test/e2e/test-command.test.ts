import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { casesRelay as relay, passingCases as passing } from '../fixtures/cases.ts'
import { useCaseFiles } from '../setup/case-files.ts'
import { cli } from '../setup/cli.ts'
import { binary } from '../setup/relay-process.ts'
import { eventually } from '../setup/sender.ts'

const files = useCaseFiles()

/** What the command prints, with this directory's name left out. */
async function test(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await cli(['test', ...args])
  return { code, stdout: stdout.replaceAll(`${files.dir()}/`, ''), stderr: stderr.replaceAll(`${files.dir()}/`, '') }
}

describe('gemini-relay test', () => {
  it('passes without any variable, secret or file that the configuration names', async () => {
    const config = files.write('relay.yaml', relay + passing)
    expect(await test(config)).toEqual({ code: 0, stdout: 'ok   relay.yaml: 4 cases\n', stderr: '' })
    expect(readdirSync(files.dir())).toEqual(['relay.yaml'])
  })

  it('names case, rule, sink, field, wanted and seen of what differs', async () => {
    const config = files.write('relay.yaml', relay.replace(':x:', ':no:') + passing)
    const { code, stdout } = await test(config)
    expect(code).toBe(1)
    expect(stdout).toBe(`FAIL relay.yaml: 1 of 4 cases
  ✗ a failure is told and kept (relay.yaml:${(relay + passing).split('\n').indexOf('  - name: a failure is told and kept') + 1})
    rule failures, sink ops, text
      wanted ":x: b1 &lt;quota&gt;"
      seen   ":no: b1 &lt;quota&gt;"
`)
  })

  it('has gemini-relay check find the same in the cases of a configuration', async () => {
    const config = files.write('relay.yaml', `${relay}tests: [{ name: a, event: {}, expect: [{ rule: large, sink: streem }] }]\n`)
    const env = { GEMINI_WEBHOOK_SECRET: '', OPS_CHANNEL: 'C0123', KAFKA_BROKERS: 'k:1', PASSWORD: 'p', PGHOST: 'h' }
    const { code, stderr } = await cli(['check', '-c', config], { ...env, FORWARD_URL: 'http://h/', FORWARD_SECRET: '' })
    expect([code, stderr]).toEqual([1, expect.stringContaining('there is no sink `streem`, did you mean `stream`?')])
  })

  it('gives variables the values of the test file, and none of the environment', async () => {
    const config = files.write('relay.yaml', relay)
    const cases = `tests: [{ name: a, event: { type: batch.failed, data: { id: b, n: 1 } }, expect: [{ rule: failures, sink: jobs }, { rule: failures, sink: ops, channel: C0999 }] }]`
    files.write('relay.test.yaml', `env: { OPS_CHANNEL: C0999 }\n${cases}\n`)
    expect((await cli(['test', config], { OPS_CHANNEL: 'C0111' })).code).toBe(0)
    files.write('relay.test.yaml', `${cases}\n`)
    const { code, stdout } = await cli(['test', config], { OPS_CHANNEL: 'C0999' })
    expect([code, stdout]).toEqual([1, expect.stringContaining('"COPSCHANNEL"')])
  })

  it('runs a configuration once, with all its cases, however it is named', async () => {
    const config = files.write('relay.yaml', relay + passing)
    const cases = files.write('relay.test.yaml', '- { name: more, event: {}, expect: [] }\n')
    for (const named of [[config], [cases], [config, cases], ['-c', config]])
      expect(await test(...named)).toMatchObject({ code: 0, stdout: 'ok   relay.yaml: 5 cases\n' })
  })

  it('fails for rules that no case touches only with --strict', async () => {
    const config = files.write('relay.yaml', `${relay}tests: [{ name: a, event: {}, expect: [] }]\n`)
    expect(await test(config)).toMatchObject({ code: 0, stdout: expect.stringContaining('no case touches the rule large') })
    expect((await test(config, '--strict')).code).toBe(1)
    expect((await test(files.write('relay.yaml', relay + passing), '--strict')).code).toBe(0)
  })

  it('ends with 1 where there is no case, and goes on after a configuration that is not valid', async () => {
    const none = files.write('none.yaml', relay)
    expect(await test(none)).toMatchObject({
      code: 1,
      stdout: 'none none.yaml: no cases\n',
      stderr: expect.stringContaining('there is no case'),
    })
    const broken = files.write('broken.yaml', `${relay}rulez: []\n`)
    const { code, stdout } = await test(broken, files.write('relay.yaml', relay + passing))
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/^FAIL broken.yaml\nbroken.yaml:\d+:1: unknown key `rulez`.*\nok {3}relay.yaml: 4 cases\n$/),
    ])
    expect(await test(join(files.dir(), 'nowhere.yaml'))).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('FAIL nowhere.yaml\nnowhere.yaml:1:1: cannot read the configuration: there is none'),
    })
    expect((await test('--nonsense')).code).toBe(2)
    expect((await test(none, '--junit', files.dir())).code).toBe(2)
  })

  it('writes JUnit that counts, and escapes whatever a case says', async () => {
    const config = files.write(
      'relay.yaml',
      relay.replace(':x:', '<&>') + passing.replace('anything else', 'all "quotes" & <tags>'),
    )
    const junit = join(files.dir(), 'results.xml')
    expect((await test(config, files.write('broken.yaml', 'rulez: []'), '--junit', junit)).code).toBe(1)
    const xml = readFileSync(junit, 'utf8').replaceAll(`${files.dir()}/`, '')
    expect(xml).toContain('<testsuite name="relay.yaml" tests="4" failures="1" errors="0">')
    expect(xml).toContain('name="all &quot;quotes&quot; &amp; &lt;tags&gt; goes nowhere"')
    expect(xml).toContain('<failure message="rule failures, sink ops, text">')
    expect(xml).toContain('<testsuite name="broken.yaml" tests="1" failures="0" errors="1">')
    expect(xml.replaceAll(/&(amp|lt|gt|quot);/g, '')).not.toContain('&')
    expect(xml.replaceAll(/<\/?[a-z]+( [a-z]+="[^"<>]*")*>|<\?xml[^>]*>/g, '')).not.toMatch(/[<>]/)
  })

  it('prints one JSON document with --json', async () => {
    const config = files.write('relay.yaml', relay.replace(':x:', ':no:') + passing)
    const { code, stdout } = await test(config, '--json')
    expect([code, JSON.parse(stdout)]).toMatchObject([
      1,
      {
        passed: false,
        configurations: [
          {
            config: 'relay.yaml',
            untouched: [],
            cases: [
              {
                name: 'a failure is told and kept',
                problems: [
                  {
                    problem: 'differs',
                    rule: 'failures',
                    sink: 'ops',
                    field: 'text',
                    wanted: ':x: b1 &lt;quota&gt;',
                    seen: ':no: b1 &lt;quota&gt;',
                  },
                ],
              },
              { problems: [] },
              { problems: [] },
              { problems: [] },
            ],
          },
        ],
      },
    ])
  })

  it.each(['relay.yaml', 'relay.test.yaml'])('says with --json that %s cannot be read', async (name) => {
    const config = files.write('relay.yaml', relay + passing)
    rmSync(join(files.dir(), name), { force: true })
    mkdirSync(join(files.dir(), name))
    const { code, stdout } = await test(config, '--json')
    rmdirSync(join(files.dir(), name))
    expect([code, JSON.parse(stdout)]).toEqual([
      1,
      {
        passed: false,
        configurations: [
          {
            config: 'relay.yaml',
            errors: [{ file: name, line: 1, column: 1, path: '', message: expect.stringContaining('it is a directory') }],
          },
        ],
      },
    ])
  })

  it('runs again with --watch when a file changes, also by a new one in its place', async () => {
    const config = files.write('relay.yaml', relay + passing)
    const child = spawn(process.execPath, [binary, 'test', config, '--watch'], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.on('data', (chunk: Buffer) => void (output += chunk.toString()))
    const said = (text: string) =>
      eventually(
        () => output,
        (seen) => seen.includes(text),
      )
    try {
      await said('4 cases')
      renameSync(files.write('relay.yaml.new', relay.replace(':x:', ':no:') + passing), config)
      await said('1 of 4 cases')
      files.write('relay.test.yaml', '- { name: more, event: {}, expect: [] }\n')
      await said('1 of 5 cases')
    } finally {
      child.kill()
    }
  })
})
