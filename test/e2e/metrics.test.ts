/** What the process that a user runs tells of itself at its admin port, and to whom. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { Agent, createServer, request, type IncomingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { refusalStatus } from '../../src/errors.ts'
import { version } from '../../src/version.ts'
import { cli } from '../setup/cli.ts'
import { createTestDatabase, type TestDatabase } from '../setup/database.ts'
import { listenForTest } from '../setup/listening.ts'
import { readMetrics } from '../setup/metrics-text.ts'
import { rawConnection } from '../setup/raw-connection.ts'
import { launchRelay, spawnRelay, type RelayProcess } from '../setup/relay-process.ts'
import { root } from '../setup/root.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

const token = 'a-token-for-those-who-scrape'

let database: TestDatabase
let relay: RelayProcess | undefined

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())
afterEach(async () => {
  if (relay?.child.exitCode === null) await relay.stop()
  relay = undefined
})

function yaml(admin: string, rules = ''): string {
  return `
server: { host: 127.0.0.1, port: 0 }
${admin}
database: { url: "${database.url}" }
sources: { gemini: { path: /hook, static: { secrets: ["${secret}"] } } }
sinks:
  jobs: { type: table, table: jobs, create: true, key: [id], columns: { id: event.webhook_id } }
  trace: { type: log }
rules:
  - { name: all, to: [jobs, trace] }
${rules}
`
}

const open = 'admin: { port: 0 }'
const guarded = `admin: { port: 0, token: "${token}" }`

interface Started extends RelayProcess {
  adminPort: number
  /** Has another configuration read. @returns when the log has told of it */
  reload: (changed: string) => Promise<void>
}

async function start(config: string): Promise<Started> {
  const started = await spawnRelay({ yaml: config, args: ['--no-watch'] })
  relay = started
  const [, port] = /metrics are at http:\/\/127\.0\.0\.1:(\d+)\/metrics/.exec(started.log()) ?? []
  const told = () => started.log().match(/the configuration (was|says|was not) /g)?.length ?? 0
  return {
    ...started,
    adminPort: Number(port),
    async reload(changed) {
      const before = told()
      writeFileSync(started.file, changed)
      started.child.kill('SIGHUP')
      await eventually(told, (now) => now > before)
    },
  }
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

async function ask(
  port: number,
  path: string,
  headers: Record<string, string> = {},
  method = 'GET',
  agent?: Agent,
): Promise<Answer> {
  const asked = request({ host: '127.0.0.1', port, path, method, headers, agent }).end()
  const answer = await new Promise<Answer>((resolve, reject) => {
    asked.on('error', reject).on('response', (response) => {
      void text(response).then((body) => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }), reject)
    })
  })
  return answer
}

const bearer = (value: string) => ({ authorization: `Bearer ${value}` })

async function scrape({ adminPort }: Started, headers: Record<string, string> = {}) {
  const { status, body } = await ask(adminPort, '/metrics', headers)
  expect(status).toBe(200)
  return readMetrics(body)
}

/** The hash of the configuration that runs; there is one. */
function hashIn(series: ReadonlyMap<string, number>): string | undefined {
  const found = [...series].flatMap(([key, value]) => {
    const [, hash] = /^gemini_relay_config_info\{hash="(.*)"\}$/.exec(key) ?? []
    return hash === undefined ? [] : [{ hash, value }]
  })
  expect(found).toEqual([{ hash: expect.any(String), value: 1 }])
  return found[0]?.hash
}

const ofReloads = (series: ReadonlyMap<string, number>) => ({
  applied: series.get('gemini_relay_config_reloads_total{result="applied"}'),
  refused: series.get('gemini_relay_config_reloads_total{result="refused"}'),
  successful: series.get('gemini_relay_config_last_reload_successful'),
})

describe('metrics', () => {
  it('are all there from the start, each of them on the page on operations', async () => {
    const before = Date.now() / 1_000
    const { series, types } = await scrape(await start(yaml(open)))
    expect(ofReloads(series)).toEqual({ applied: 0, refused: 0, successful: 1 })
    expect(series.get(`gemini_relay_build_info{version="${version}"}`)).toBe(1)
    expect(series.get('gemini_relay_config_applied_timestamp_seconds')).toBeGreaterThan(before)
    for (const code of Object.keys(refusalStatus))
      expect(series.get(`gemini_relay_refused_requests_total{code="${code}"}`)).toBe(0)
    const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
    const rows = [...page.matchAll(/^\| `(gemini_relay_\w+)[^`]*` +\| (\w+) /gm)].map(([, name, type]) => `${name} ${type}`)
    expect(rows.toSorted()).toEqual([...types].map(([name, type]) => `${name} ${type}`).toSorted())
  })

  it('tell what became of each reload, and which configuration runs', async () => {
    const started = await start(yaml(open))
    const readyHash = async () => (await (await fetch(`${started.url}/readyz`)).text()).match(/"hash":"(\w+)"/)?.[1]
    const first = await scrape(started)
    expect(hashIn(first.series)).toBe(await readyHash())

    await started.reload(yaml(open, '  - { name: more, when: { type: video.generated }, to: [trace] }'))
    const applied = (await scrape(started)).series
    expect(ofReloads(applied)).toEqual({ applied: 1, refused: 0, successful: 1 })
    expect(hashIn(applied)).toBe(await readyHash())
    expect(hashIn(applied)).not.toBe(hashIn(first.series))
    const since = 'gemini_relay_config_applied_timestamp_seconds'
    expect(applied.get(since)).toBeGreaterThan(first.series.get(since) ?? Infinity)

    await started.reload('rules: [')
    const refused = (await scrape(started)).series
    expect(ofReloads(refused)).toEqual({ applied: 1, refused: 1, successful: 0 })
    expect([hashIn(refused), refused.get(since)]).toEqual([hashIn(applied), applied.get(since)])

    await started.reload(yaml(open, '  - { name: mended, when: { type: video.generated }, to: [trace] }'))
    const mended = (await scrape(started)).series
    expect(ofReloads(mended)).toEqual({ applied: 2, refused: 1, successful: 1 })
    expect(hashIn(mended)).toBe(await readyHash())
  })

  it('count refused requests by their code', async () => {
    const started = await start(yaml(open))
    expect(
      (await post(`${started.url}/hook`, { body: envelope('batch.failed'), headers: { 'webhook-signature': 'v1,AAAA' } })).status,
    ).toBe(400)
    expect((await fetch(`${started.url}/elsewhere`)).status).toBe(404)
    const broken = rawConnection(Number(new URL(started.url).port))
    broken.write('this is not HTTP\r\n\r\n')
    expect(await broken.ended).toContain('malformed_request')
    const { series } = await scrape(started)
    const counted = [...series].filter(([key, value]) => key.startsWith('gemini_relay_refused_requests_total') && value > 0)
    expect(counted.map(([key, value]) => [key.replace(/.*code="(.*)".*/, '$1'), value])).toEqual([
      ['malformed_request', 1],
      ['signature_mismatch', 1],
      ['not_found', 1],
    ])
  })

  it('show each configured sink, and whether it is paused', async () => {
    const started = await start(yaml(open))
    const paused = async () => {
      const { series } = await scrape(started)
      return Object.fromEntries(
        [...series]
          .filter(([key]) => key.startsWith('gemini_relay_sink_paused'))
          .map(([key, value]) => [key.replace(/.*sink="(.*)".*/, '$1'), value]),
      )
    }
    expect(await paused()).toEqual({ jobs: 0, trace: 0 })
    expect((await cli(['sinks', 'pause', 'jobs', '--reason', 'a test', '-c', started.file])).code).toBe(0)
    await eventually(paused, ({ jobs }) => jobs === 1)
    expect(await paused()).toEqual({ jobs: 1, trace: 0 })
    expect((await cli(['sinks', 'resume', 'jobs', '-c', started.file])).code).toBe(0)
    await eventually(paused, ({ jobs }) => jobs === 0)

    await started.reload(yaml(open).replace('jobs, trace]', 'jobs]').replace('  trace: { type: log }\n', ''))
    expect(await paused()).toEqual({ jobs: 0 })
  })
})

describe('whoever asks', () => {
  it('needs the token, where there is one', async () => {
    const started = await start(yaml(guarded))
    const { adminPort } = started
    const refused = [
      await ask(adminPort, '/metrics'),
      await ask(adminPort, '/metrics', bearer('another-token-for-those-who-guess')),
      await ask(adminPort, '/metrics', bearer(token.slice(0, -1))),
      await ask(adminPort, '/metrics', bearer('')),
      await ask(adminPort, '/metrics', { authorization: `Basic ${token}` }),
      await ask(adminPort, `/metrics?token=${token}`),
      await ask(adminPort, '/elsewhere'),
      await ask(adminPort, '/metrics', {}, 'POST'),
    ]
    for (const { status, headers, body } of refused) {
      expect([status, headers['www-authenticate'], headers['content-type']]).toEqual([
        401,
        'Bearer',
        'application/json; charset=utf-8',
      ])
      expect(JSON.parse(body)).toEqual({ error: expect.any(String), code: 'unauthorized' })
    }
    const taken = await ask(adminPort, '/metrics', bearer(token))
    expect([taken.status, taken.headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    expect((await ask(adminPort, '/metrics', { authorization: `bearer  ${token}`, host: 'relay.internal' })).status).toBe(200)
    expect(`${started.log()}${taken.body}`).not.toContain(token)
  })

  it('needs another token once a reload says so, also on a connection that is open', async () => {
    const started = await start(yaml(guarded))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const ports = new Set<number | undefined>()
    agent.on('free', (socket: { localPort?: number }) => ports.add(socket.localPort))
    const status = async (value: string) => (await ask(started.adminPort, '/metrics', bearer(value), 'GET', agent)).status
    const next = 'the-next-token-of-them'
    expect([await status(token), await status(next)]).toEqual([200, 401])
    await started.reload(yaml(guarded.replace(token, next)))
    expect([await status(token), await status(next)]).toEqual([401, 200])
    await started.reload(yaml(open))
    expect([await status(token), (await ask(started.adminPort, '/metrics')).status]).toEqual([200, 200])
    agent.destroy()
    expect(ports.size).toBe(1)
  })

  it('has to mean this machine where there is no token, which a page in a browser does not', async () => {
    const { adminPort } = await start(yaml(open))
    const asked = (host: string) => ask(adminPort, '/metrics', { host })
    for (const host of [`127.0.0.1:${adminPort}`, 'localhost', `LOCALHOST:${adminPort}`, '[::1]:8081'])
      expect((await asked(host)).status).toBe(200)
    for (const host of [
      'rebound.example.com',
      `rebound.example.com:${adminPort}`,
      '127.0.0.1.example.com',
      '192.0.2.1',
      'localhost@example.com',
    ]) {
      const { status, body } = await asked(host)
      expect([status, JSON.parse(body)]).toEqual([403, { error: expect.any(String), code: 'host_refused' }])
    }
    const nameless = rawConnection(adminPort)
    nameless.write('GET /metrics HTTP/1.0\r\n\r\n')
    expect(await nameless.ended).toMatch(/^HTTP\/1\.1 403 /)
  })

  it('finds /metrics, and nothing else', async () => {
    const { adminPort, url } = await start(yaml(open))
    for (const path of ['/', '/metrics/', '/readyz', '/hook', '//metrics'])
      expect([path, (await ask(adminPort, path)).status]).toEqual([path, 404])
    expect((await ask(adminPort, '/metrics?collect=all')).status).toBe(200)
    for (const method of ['POST', 'DELETE', 'OPTIONS']) {
      const { status, headers, body } = await ask(adminPort, '/metrics', {}, method)
      expect([status, headers.allow, JSON.parse(body)]).toEqual([
        405,
        'GET, HEAD',
        { error: expect.any(String), code: 'method_not_allowed' },
      ])
    }
    const { body } = await ask(adminPort, '/metrics')
    const head = await ask(adminPort, '/metrics', {}, 'HEAD')
    expect([head.status, head.body, head.headers['content-length']]).toEqual([200, '', String(Buffer.byteLength(body))])
    // Nor does the receiver have them.
    expect((await fetch(`${url}/metrics`)).status).toBe(404)
  })
})

describe('the admin port', () => {
  it('is not there without its section', async () => {
    const started = await start(yaml(''))
    expect(started.log()).not.toContain('metrics are at')
  })

  it('that is in use ends the start, with what to do', async () => {
    const url = await listenForTest(createServer())
    const { port } = new URL(url)
    const failing = launchRelay({ yaml: yaml(`admin: { port: ${port} }`) })
    await expect(failing.ready).rejects.toThrow(/port \d+ on 127\.0\.0\.1 is already in use\n +set admin\.port to a free one/)
    expect(await failing.exited).toBe(1)
  })

  it.each([
    ['moved', 'admin: { port: 1 }', 'admin.port'],
    ['put elsewhere', 'admin: { port: 0, host: "::1" }', 'admin.host'],
    ['taken away', '', 'admin'],
  ])('is the process’ own: it cannot be %s by a reload', async (_, changed, path) => {
    const started = await start(yaml(open))
    await started.reload(yaml(changed))
    expect(started.log()).toMatch(new RegExp(`relay\\.yaml:\\d+:\\d+: \`${path}\` cannot change while the relay runs`))
    expect(ofReloads((await scrape(started)).series)).toEqual({ applied: 0, refused: 1, successful: 0 })
  })

  it('is the process’ own: it cannot be added by a reload', async () => {
    const started = await start(yaml(''))
    await started.reload(yaml(open))
    expect(started.log()).toMatch(/relay\.yaml:3:8: `admin` cannot change while the relay runs/)
  })

  it('holds up no exit, whatever is open there', async () => {
    const { adminPort, child, exited } = await start(yaml(open))
    const agent = new Agent({ keepAlive: true })
    expect((await ask(adminPort, '/metrics', {}, 'GET', agent)).status).toBe(200)
    const silent = rawConnection(adminPort)
    const halfway = rawConnection(adminPort)
    halfway.write('POST /metrics HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n12345')
    await halfway.answered()
    const idle = Object.values(agent.freeSockets).flatMap((sockets) => sockets ?? [])
    expect(idle).toHaveLength(1)
    const closed = idle.map((socket) => once(socket, 'close'))
    const asked = Date.now()
    child.kill('SIGTERM')
    expect(await exited).toBe(0)
    // Attempts and requests under way would get twenty seconds.
    expect(Date.now() - asked).toBeLessThan(10_000)
    await Promise.all([...closed, silent.ended, halfway.ended])
    agent.destroy()
  })

  it('takes no connection from the receiver when it has too many', async () => {
    const { adminPort, url } = await start(yaml(open))
    const many = Array.from({ length: 100 }, () => rawConnection(adminPort))
    for (const connection of many) connection.write('GET /metrics HTTP/1.1\r\n')
    await Promise.race(many.map(({ ended }) => ended))
    expect((await post(`${url}/hook`, { body: envelope('batch.succeeded') })).status).toBe(200)
    for (const connection of many) connection.destroy()
    await eventually(
      () =>
        ask(adminPort, '/metrics').then(
          ({ status }) => status,
          () => 0,
        ),
      (status) => status === 200,
    )
  })
})
