/** The configurations that are shipped as examples: each is without a doubt, and has cases that notice a broken rule. */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/load.ts'
import { standIn } from '../../src/config/stand-ins.ts'
import { cli } from '../setup/cli.ts'
import { root } from '../setup/root.ts'

const directory = join(root, 'config/examples')
const files = readdirSync(directory).filter((file) => file.endsWith('.yaml'))
const configs = files.filter((file) => !file.endsWith('.test.yaml'))

describe('config/examples', () => {
  it('are there for at least eight situations', () => {
    expect(configs.length).toBeGreaterThanOrEqual(8)
  })

  it.each(configs)('%s has no mistake and no doubt, and names its schema', (name) => {
    const file = join(directory, name)
    expect(loadConfig({ file, env: {}, standIn }).warnings).toEqual([])
    expect(readFileSync(file, 'utf8')).toMatch(/^# yaml-language-server: \$schema=\.\.\/relay\.schema\.json\n/)
  })

  it('pass their cases, which touch every rule', async () => {
    const { code, stdout, stderr } = await cli(['test', '--strict', ...files.map((file) => join(directory, file))])
    expect([code, stderr]).toEqual([0, ''])
    const lines = stdout.trim().split('\n')
    expect(lines.map((line) => /^ok {3}.*\/([^/]+): [1-9]\d* cases?$/.exec(line)?.[1])).toEqual(configs)
  })

  it.each<[file: string, from: string, to: string, diff: RegExp]>([
    [
      'on-call.yaml',
      'rotating_light: {{',
      'rotating_lihgt: {{',
      /rule failures, sink on-call, text\n +wanted ":rotating_light: .*\n +seen +":rotating_lihgt: /,
    ],
    [
      'several-projects.yaml',
      'when: { source: ads, ',
      'when: { source: labs, ',
      /rule ads-failures, sink alerts: expected, and not made: source is "ads", wanted "labs"\n/,
    ],
    [
      'jobs-table.yaml',
      'event.type.split(".")[1]',
      'event.type.split(".")[0]',
      /rule job-states, sink jobs, row\.state\n +wanted "succeeded"\n +seen +"batch"\n/,
    ],
    [
      'kafka-cloudevents.yaml',
      'key: event.subject',
      'key: event.type',
      /rule everything, sink stream, key\n +wanted "batches\/b1"\n +seen +"batch.succeeded"\n/,
    ],
    [
      'one-message-per-batch.yaml',
      'thread: subject',
      'thread: none',
      /rule trouble, sink batches, thread\n +wanted "batches\/b1"\n +seen +nothing of this name\n/,
    ],
    ['agents-waiting.yaml', '"owner" in', 'true || "owner" in', /rule done, sink people: made, and not expected\n/],
  ])('%s fails where `%s` is `%s`, and says what differs', async (name, from, to, diff) => {
    const copy = mkdtempSync(join(tmpdir(), 'gemini-relay-examples-'))
    cpSync(directory, copy, { recursive: true })
    const file = join(copy, name)
    const text = readFileSync(file, 'utf8')
    expect(text).toContain(from)
    writeFileSync(file, text.replace(from, to))
    const { code, stdout } = await cli(['test', ...files.map((one) => join(copy, one))])
    rmSync(copy, { recursive: true, force: true })
    expect(code).toBe(1)
    expect(stdout.match(/^FAIL /gm)).toHaveLength(1)
    expect(stdout).toMatch(diff)
  })
})
