import { writeFileSync } from 'node:fs'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../src/emulator/keys.ts'
import { startJwksServer, type JwksServer } from '../../src/emulator/jwks-server.ts'
import { startReceiver, type Receiver } from '../sinks/receiver.ts'
import { cli } from '../setup/cli.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { spawnRelay, writeConfig, type RelayProcess } from '../setup/relay-process.ts'
import { eventually, secret } from '../setup/sender.ts'

describe('gemini-relay', () => {
  it.each([[['--help']], [['serve', '--help']], [['deliveries', '--help']], [['replay', '--help']]])(
    '%j shows how it is used and exits 0',
    async (args) => {
      const { code, stdout } = await cli(args)
      expect([code, stdout]).toEqual([0, expect.stringContaining('Usage: gemini-relay')])
    },
  )

  it.each([
    [['nonsense']],
    [['serve', '--nonsense']],
    [['deliveries', 'show']],
    [['deliveries', 'list', '--state', 'lost']],
    [['send', 'batch.failed', '--data', 'novalue']],
    [['replay', '-c', 'config/relay.yaml']],
  ])('%j is a usage error, exit 2', async (args) => {
    expect((await cli(args)).code).toBe(2)
  })
})

describe('gemini-relay check', () => {
  it('prints five mistakes of different kinds with their positions in one run, exit 1', async () => {
    const config = writeConfig(`server: { port: eighty }
sources:
  gemini: { path: /hook, static: { secrets: ["\${NOT_SET}"] } }
sinks:
  ops: { type: slack, token: xoxb-1, chanel: C0123456789 }
rules:
  - name: one
    if: event.typ == "x"
    to: [opps]
`)
    const { code, stderr } = await cli(['check', '-c', config.file])
    config.remove()
    expect(code).toBe(1)
    const lines = stderr
      .trim()
      .split('\n')
      .map((line) => line.replace(config.file, 'relay.yaml'))
    expect(lines.filter((line) => /^relay\.yaml:\d+:\d+: /.test(line))).toEqual([
      expect.stringMatching(/^relay\.yaml:1:17: .*port/),
      expect.stringMatching(/^relay\.yaml:3:47: .*NOT_SET/),
      expect.stringMatching(/^relay\.yaml:5:38: .*chanel.*channel/),
      expect.stringMatching(/^relay\.yaml:8:15: .*typ.*type/),
      expect.stringMatching(/^relay\.yaml:9:10: .*opps.*ops/),
    ])
  })

  it.each([['/nowhere.yaml'], ['/']])('says with --json that %s cannot be read, as it says what else is wrong', async (file) => {
    const { code, stdout, stderr } = await cli(['check', '--json', '-c', file])
    expect([code, stderr]).toEqual([1, ''])
    expect(JSON.parse(stdout)).toEqual({
      valid: false,
      errors: [{ file, line: 1, column: 1, path: '', message: expect.stringContaining('cannot read the configuration') }],
      warnings: [],
    })
  })

  it('is not the only command whose failures are JSON with --json', async () => {
    const config = writeConfig('sources: { gemini: { path: /hook, dynamic: { audience: any } } }')
    const [missing, invalid, usage] = await Promise.all([
      cli(['explain', '--json', '-c', '/nowhere.yaml', './event.json']),
      cli(['deliveries', 'list', '--json', '-c', config.file], { DATABASE_URL: 'nonsense' }),
      cli(['explain', '--json', '-c', config.file, './nothing.json']),
    ])
    config.remove()
    expect([missing?.code, JSON.parse(missing?.stdout ?? '')]).toMatchObject([
      1,
      { errors: [{ file: '/nowhere.yaml', line: 1 }] },
    ])
    expect([invalid?.code, JSON.parse(invalid?.stdout ?? '')]).toMatchObject([1, { errors: [{}] }])
    expect([usage?.code, JSON.parse(usage?.stdout ?? '')]).toMatchObject([2, { errors: [{ code: 'usage' }] }])
    expect(usage?.stderr).toContain('./nothing.json holds no event')
  })

  it('says which secret is none, and not the secret', async () => {
    const config = writeConfig('sources: { gemini: { path: /hook, static: { secrets: ["${SECRET}"] } } }')
    for (const bad of ['whsec_!!!!', 'whsec_', `whsec_${Buffer.alloc(16).toString('base64')}`]) {
      const { code, stderr } = await cli(['check', '-c', config.file], { SECRET: bad })
      expect([code, stderr]).toEqual([1, expect.stringContaining('`secrets[0]` ')])
      expect(stderr.replaceAll('whsec_ and padded base64', '')).not.toContain(bad)
    }
    config.remove()
  })

  it('says that a file is missing, and what to do', async () => {
    const { code, stderr } = await cli(['check', '-c', '/nowhere/relay.yaml'])
    expect([code, stderr]).toEqual([1, expect.stringContaining('/nowhere/relay.yaml')])
  })

  it('with --strict takes a doubt for a mistake', async () => {
    const config = writeConfig('sources: {}\nsinks: { trace: { type: log } }\nrules: [{ name: all, to: [trace] }]\n')
    const mild = await cli(['check', '-c', config.file])
    const strict = await cli(['check', '--strict', '-c', config.file])
    const json = await cli(['check', '--strict', '--json', '-c', config.file])
    config.remove()
    const doubt = `${config.file}:1:1: there is no source: nothing is received`
    expect([mild.code, mild.stdout.split('\n')[0]]).toEqual([0, doubt])
    expect([strict.code, strict.stdout, strict.stderr]).toEqual([1, '', `${doubt}\n`])
    expect([json.code, JSON.parse(json.stdout)]).toMatchObject([1, { valid: false, errors: [expect.anything()] }])
  })

  it('reports as JSON', async () => {
    const config = writeConfig('sources: {}\nsinks: { trace: { type: log } }\nrules: [{ name: all, to: [trace] }]\n')
    const { code, stdout } = await cli(['check', '--json', '-c', config.file])
    config.remove()
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { valid: true, rules: 1, sinks: 1, warnings: [expect.anything()] }])
  })
})

describe('with a relay running', () => {
  let database: TestDatabase
  let relay: RelayProcess
  let receiver: Receiver
  let jwks: JwksServer
  let config: ReturnType<typeof writeConfig>
  let db: pg.Pool
  const env = () => ({ DATABASE_URL: database.url, SECRET: secret })

  beforeAll(async () => {
    database = await createTestDatabase()
    db = new pg.Pool({ connectionString: database.url, max: 1 })
    receiver = await startReceiver()
    jwks = await startJwksServer()
    const yaml = `
server: { host: 127.0.0.1, port: 0 }
database: { url: "\${DATABASE_URL}" }
sources:
  gemini:
    path: /hook
    static: { secrets: ["\${SECRET}"] }
    dynamic: { jwks_uri: "${jwks.url}", audience: test }
sinks:
  forward: { type: http, url: "http://127.0.0.1:${receiver.port}/", allow_private: true, retry: { initial: 100ms } }
  trace: { type: log }
rules:
  - { name: failures, when: { type: batch.failed }, to: [forward] }
  - { name: urgent, when: { user_metadata: { priority: [high] } }, to: [trace] }
`
    config = writeConfig(yaml)
    relay = await spawnRelay({ yaml, env: env() })
  })
  afterAll(async () => {
    await relay.stop()
    config.remove()
    await jwks.close()
    await receiver.close()
    await db.end()
    await database.drop()
  })

  const send = (...args: string[]) => cli(['send', ...args, '-c', config.file, '--url', `${relay.url}/hook`], env())

  it('sends an event that a rule matches by its metadata', async () => {
    const { code, stdout } = await send('batch.succeeded', '-s', 'gemini', '--metadata', 'priority=high', '--json')
    const { webhook_id, answer } = JSON.parse(stdout)
    expect([code, answer]).toEqual([0, { status: 'received' }])
    const { rows } = await db.query(
      'select rule from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where webhook_id = $1',
      [webhook_id],
    )
    expect(rows).toEqual([{ rule: 'urgent' }])
  })

  it.each([
    ['ed25519', 'EdDSA'],
    ['jwt', 'RS256'],
  ] as const)('sends by %s with a key of its own', async (scheme, alg) => {
    const key = await generateSigningKey(alg)
    jwks.setKeys([key.publicJwk])
    const keyFile = config.file.replace('relay.yaml', `${alg}.json`)
    writeFileSync(keyFile, JSON.stringify({ ...key.privateKey.export({ format: 'jwk' }), kid: key.kid }))
    const sent = await eventually(
      () => send('batch.expired', '--scheme', scheme, '--key', keyFile),
      ({ code }) => code === 0,
      45_000,
    )
    expect(sent.stdout).toContain('"received"')
  })

  it('exits 1 when the relay refuses, and when nobody answers', async () => {
    const other = `whsec_${Buffer.alloc(32, 9).toString('base64')}`
    const refused = await cli(['send', 'batch.failed', '-c', config.file, '--url', `${relay.url}/hook`], {
      ...env(),
      SECRET: other,
    })
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('signature_mismatch')])
    const nobody = await cli(['send', 'batch.failed', '-c', config.file, '--url', 'http://127.0.0.1:9/hook'], env())
    expect([nobody.code, nobody.stderr]).toEqual([1, expect.stringContaining('nothing answers')])
  })

  it('lists and shows a dead delivery, and replays it until it arrives', async () => {
    receiver.respond((response) => {
      response.writeHead(404).end('no such job')
    })
    const { stdout: sent } = await send('batch.failed', '--id', 'msg_dead', '--json')
    expect(JSON.parse(sent)).toMatchObject({ webhook_id: 'msg_dead', status: 200 })
    const dead = await eventually(
      async () => JSON.parse((await cli(['deliveries', 'list', '--state', 'dead', '--json', '-c', config.file], env())).stdout),
      (list) => list.length === 1,
    )
    expect(dead[0]).toMatchObject({ webhook_id: 'msg_dead', sink: 'forward', rule: 'failures', code: 'rejected', attempts: 1 })
    const list = await cli(['deliveries', 'list', '--sink', 'forward', '-c', config.file], env())
    expect(list.stdout).toMatch(
      /ID +STATE +SINK +RULE +EVENT[^\n]*\n\d+ +dead +forward +failures +msg_dead +batch.failed +1 +\d+s +rejected: /,
    )
    const shown = await cli(['deliveries', 'show', dead[0].id, '-c', config.file], env())
    expect(shown.stdout).toMatch(/failed attempts\n +1 .* rejected: .*404/)
    expect(shown.stdout).toContain('"type":"batch.failed"')

    receiver.respond((response) => {
      response.writeHead(204).end()
    })
    const replayed = await cli(['replay', '--dead', '--sink', 'forward', '-c', config.file], env())
    expect([replayed.code, replayed.stdout]).toEqual([0, '1 new delivery of 1 event\n'])
    const rows = await eventually(
      () => states('msg_dead'),
      (found) => found.length === 2 && found[1]?.state === 'delivered',
    )
    expect(rows).toEqual([
      { replay: 0, state: 'dead' },
      { replay: 1, state: 'delivered' },
    ])
    expect((await cli(['replay', '--dead', '--sink', 'forward', '-c', config.file], env())).stdout).toBe('nothing to replay\n')
    const byId = await cli(['replay', 'msg_dead', '--json', '-c', config.file], env())
    expect(JSON.parse(byId.stdout)).toEqual({ events: 1, deliveries: 1, unrouted: 0 })
    await eventually(
      () => states('msg_dead'),
      (found) => found.length === 3 && found[2]?.state === 'delivered',
    )
    expect(receiver.requests.at(-1)?.headers['webhook-id']).toBe('msg_dead')
  })

  it('shows what a sender made up on one line, without what a terminal obeys', async () => {
    const type = 'batch.\u001b[2Jgone\r\n\u202ehidden'
    const { stdout: sent } = await send(type, '--metadata', 'priority=high', '--subject', 'job\u0007\u009b31m', '--json')
    const { webhook_id } = JSON.parse(sent)
    const listed = await cli(['deliveries', 'list', '--sink', 'trace', '-c', config.file], env())
    const [id = ''] =
      listed.stdout
        .split('\n')
        .find((line) => line.includes(webhook_id))
        ?.split(' ') ?? []
    const shown = await cli(['deliveries', 'show', id, '-c', config.file], env())
    for (const { stdout } of [listed, shown]) {
      expect(stdout).toContain('batch. [2Jgone hidden')
      expect(stdout.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    }
  })

  it('replays nothing when one of the events is not known', async () => {
    const { code, stderr } = await cli(['replay', 'msg_unknown', '-c', config.file], env())
    expect([code, stderr]).toEqual([1, expect.stringContaining('msg_unknown')])
  })

  async function states(webhookId: string): Promise<{ replay: number; state: string }[]> {
    const { rows } = await db.query<{ replay: number; state: string }>(
      'select replay, state from gemini_relay.deliveries d join gemini_relay.events e on e.id = d.event_id where webhook_id = $1 order by replay',
      [webhookId],
    )
    return rows
  }
})
