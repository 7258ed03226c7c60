/** `webhooks config`: what a job says. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../setup/cli.ts'
import { writeConfig } from '../setup/relay-process.ts'

const uri = 'https://relay.example.com/hook'
const yaml = (webhooks: string) => `
sources:
  gemini: { path: /hook, static: { managed: true }, dynamic: { audience: me } }
  plain: { path: /plain, static: { managed: true } }
gemini: { webhooks: ${webhooks} }
`

let file: ReturnType<typeof writeConfig>
beforeAll(() => {
  file = writeConfig(
    yaml(
      `{ relay: { uri: "${uri}", source: gemini }, a: { uri: "${uri}/a", source: plain }, b: { uri: "${uri}/b", source: plain } }`,
    ),
  )
})
afterAll(() => file.remove())

const config = (...args: string[]) => cli(['webhooks', 'config', '-c', file.file, ...args])

describe('webhooks config', () => {
  it('prints the declared address and the metadata, whose values are JSON where they can be', async () => {
    const { code, stdout, stderr } = await config(
      '--source',
      'gemini',
      '--metadata',
      'priority=high',
      '-m',
      'n=3',
      '-m',
      'text="3"',
    )
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout)).toEqual({ uris: [uri], user_metadata: { priority: 'high', n: 3, text: '3' } })
  })

  it('spells the fields as the call takes them, and leaves the metadata as it is', async () => {
    const { stdout } = await config('--source', 'gemini', '-m', 'job_group=a', '--case', 'camel')
    expect(JSON.parse(stdout)).toEqual({ uris: [uri], userMetadata: { job_group: 'a' } })
    expect(JSON.parse((await config('--source', 'gemini', '--uri', `${uri}/other`)).stdout)).toEqual({ uris: [`${uri}/other`] })
  })

  it('warns where the source takes no such events', async () => {
    const { code, stderr } = await config('--source', 'plain', '--uri', uri)
    expect([code, stderr]).toEqual([0, expect.stringContaining('the source plain has no `dynamic`')])
  })

  it.each([
    [['--source', 'plain'], 'several webhooks are declared for the source plain: say its public address, with --uri'],
    [[], 'say which source: --source gemini | plain'],
    [['--source', 'gemini', '--uri', 'http://relay.example.com/'], 'expected an address such as https://'],
    [['--source', 'gemini', '-m', 'novalue'], 'expected name=value'],
  ])('%j is a usage error', async (args, message) => {
    expect(await config(...args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) })
  })

  it('needs an address where no webhook is declared', async () => {
    const none = writeConfig(yaml('{}'))
    const ran = await cli(['webhooks', 'config', '-c', none.file, '--source', 'gemini'])
    none.remove()
    expect(ran).toMatchObject({ code: 2, stderr: expect.stringContaining('no webhook is declared for the source gemini') })
  })
})
