/** The composition root: acquires the parts in order and releases them in reverse. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { createAcceptor } from './accept/acceptor.ts'
import { acceptSettings } from './accept/commit-statement.ts'
import type { LoadedConfig } from './config/load.ts'
import { keepsOrder } from './config/schema.ts'
import { watchConfig } from './config/watch.ts'
import { createConfigured, createRelayParts } from './configured.ts'
import { createDeliverer } from './deliver/deliverer.ts'
import { leaseMarginMs, leaseMs } from './deliver/leases.ts'
import { createPauses } from './deliver/pauses.ts'
import type { RefusalCode } from './errors.ts'
import { httpOrigin } from './http-origin.ts'
import { createLifecycle } from './lifecycle.ts'
import { logWarnings } from './log-warnings.ts'
import type { Log } from './log.ts'
import { createReadiness } from './receive/readiness.ts'
import { listen } from './receive/server.ts'
import { createUnverifiedBytes } from './receive/unverified-bytes.ts'
import { createReloader, type Reloader } from './reload.ts'
import { waitForDatabase } from './store/connect.ts'
import { embeddedDataDir, startEmbedded } from './store/embedded/index.ts'
import { createListener } from './store/listener.ts'
import { migrate } from './store/migrate.ts'
import { createPool, describeUrl, keptPlans, type Pool } from './store/pool.ts'
import { createPruner } from './store/prune.ts'
import { createSession } from './store/session.ts'

export interface ServeOptions {
  /** Reads the configuration, at start. */
  load: () => LoadedConfig
  /** Reads it for each reload, while the relay runs; by default as at the start. */
  loadAgain?: () => Promise<LoadedConfig>
  /** Reload when files of the configuration change. */
  watch?: boolean
  env: Readonly<Record<string, string | undefined>>
  log: Log
  /** How long to wait for Postgres at start, in milliseconds. */
  startLimitMs?: number
  /** How long attempts and requests under way may take after `stop`, in milliseconds. */
  drainLimitMs?: number
  /** Ends waiting for the database at start. */
  signal?: AbortSignal
}

export interface Relay {
  host: string
  port: number
  /** Reads the configuration again and goes by it. Never throws: what cannot be used changes nothing, and the log says why. */
  reload: Reloader['reload']
  stop(): Promise<void>
}

/** Long enough for a database that starts beside the relay, short enough for a supervisor to notice a wrong URL. */
const defaultStartLimitMs = 60_000

/** Kubernetes kills after 30 s: this leaves room for closing what is behind the attempts. */
export const defaultDrainLimitMs = 20_000

export async function serve(options: ServeOptions): Promise<Relay> {
  const { load, env, log, startLimitMs = defaultStartLimitMs, drainLimitMs = defaultDrainLimitMs, signal } = options
  const first = load()
  const lifecycle = createLifecycle(log)
  const deadline = new AbortController()
  const holder = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`

  function pool(part: string, max: number, statementTimeoutMs: number, url: string, settings = ''): Pool {
    const made = createPool({ url, part, max, statementTimeoutMs, settings, log })
    lifecycle.onStop(`pool ${part}`, () => made.end())
    return made
  }

  async function start(): Promise<Relay> {
    const url = await databaseUrl()
    const admin = pool('admin', 2, 30_000, url)
    await waitForDatabase({ pool: admin, url, limitMs: startLimitMs, log, ...(signal ? { signal } : {}) })
    const applied = await migrate(admin)
    if (applied.length > 0) log.info({ migrations: applied }, 'migrated')

    const listener = createListener({ url, log })
    lifecycle.onStop('listening', () => listener.stop())
    const running = (): LoadedConfig => configured.current()?.loaded ?? first
    const parts = createRelayParts(log)
    lifecycle.onStop('managed secrets', () => parts.managed.stop())
    lifecycle.onStop('what was there before', () => parts.retired.stop())
    lifecycle.onStop('sinks', () => parts.sinks.stop())
    const pauses = createPauses({
      sinks: () => running().config.sinks,
      pool: admin,
      listener,
      log,
    })
    lifecycle.onStop('pauses', () => pauses.stop())
    const deliverer = createDeliverer({
      pool: pool('deliver', 3, 15_000, url, keptPlans),
      claimPool: pool('claim', 2, 15_000, url, keptPlans),
      listener,
      holder,
      pauses,
      log,
    })
    lifecycle.onStop('deliver', () => deliverer.stop(deadline.signal))

    // A group that takes longer than this is answered 503: the sender waits only seconds.
    const session = createSession(pool('accept', 1, 3_000, url, acceptSettings))
    lifecycle.onStop('accepting session', () => session.release())
    const acceptor = createAcceptor({
      session,
      plan: () => running().plan,
      horizonMs: (sink) => configured.settingsOf(sink)?.retry.horizon ?? 0,
      ordered: (sink) => keepsOrder(configured.settingsOf(sink)),
      desk: deliverer.desk,
      holder,
      leaseMs,
      leaseMarginMs,
      log,
    })
    lifecycle.onStop('accept', () => acceptor.idle())

    const refusals = new Map<RefusalCode, number>()
    let draining = false
    const refusalCounts = () => Object.fromEntries(refusals)
    const countRefusal = (code: RefusalCode): void => void refusals.set(code, (refusals.get(code) ?? 0) + 1)
    const configured = createConfigured(parts, {
      env,
      url,
      listener,
      deliverer,
      acceptor,
      app: {
        readiness: createReadiness({
          pingDatabase: () => admin.query('select 1'),
          keys: () =>
            Object.fromEntries([...(configured.current()?.verifiers ?? [])].map(([name, one]) => [name, one.readiness()])),
          unknownPairs: () => deliverer.unknownPairs(),
          pausedSinks: () => pauses.list().map(({ sink, reason, pausedAt }) => ({ sink, reason, since: pausedAt })),
          refusals: refusalCounts,
          config: () => reloader.state(),
        }),
        draining: () => draining,
        countRefusal,
        unverified: createUnverifiedBytes(),
      },
      log,
    })
    lifecycle.onStop('keys', () => parts.verifiers.stop())
    lifecycle.onStop('reconciling', () => parts.reconciling.stop())
    await configured.use(first)
    await pauses.start()

    const pruner = createPruner({
      pool: admin,
      retentionMs: () => running().config.retention.events,
      log,
    })
    lifecycle.onStop('prune', () => pruner.stop())
    const reloader = createReloader({
      first,
      load: options.loadAgain ?? (async () => load()),
      use: configured.use,
      log,
    })
    lifecycle.onStop('reloading', () => reloader.stop(deadline.signal))
    if (first.config.admin !== undefined) {
      // Loaded where it is asked for: it would add 50 ms to the start of each command.
      const { createAdminServer } = await import('./admin/server.ts')
      const adminServer = createAdminServer({
        ...first.config.admin,
        token: () => running().config.admin?.token,
        metrics: {
          config: reloader.state,
          refusals: refusalCounts,
          sinks: () => Object.keys(running().config.sinks),
          isPaused: (sink) => pauses.isPaused(sink),
        },
        log,
      })
      lifecycle.onStop('admin', () => adminServer.stop())
      await adminServer.start()
    }
    const { server } = first.config
    const { host, port, close } = await listen(configured.handle, {
      host: server.host,
      port: server.port,
      refused: countRefusal,
    })
    lifecycle.onStop('http', async () => {
      draining = true
      await close(deadline.signal)
    })
    if (options.watch === true) {
      const { looked, reading, reload } = reloader
      const watch = watchConfig({ looked, reading, changed: () => reload('its files changed') })
      lifecycle.onStop('watching', () => watch.stop())
    }
    listener.start()
    deliverer.start()
    pruner.start()
    announce(host, port)
    return { host, port, reload: reloader.reload, stop }
  }

  async function databaseUrl(): Promise<string> {
    const { url } = first.config.database
    if (url !== 'embedded') return url
    const dataDir = embeddedDataDir({ configFile: first.file, env })
    const embedded = await startEmbedded({ dataDir, log: (line) => log.info(line) })
    lifecycle.onStop('embedded Postgres', () => embedded.stop())
    log.info({ data: dataDir, adopted: embedded.adopted }, 'embedded Postgres is running')
    return embedded.url
  }

  function announce(host: string, port: number): void {
    const { config, plan, hash, warnings } = first
    logWarnings(log, warnings)
    for (const { name, sinks } of plan.rules) log.info(`rule ${name} → ${sinks.join(', ')}`)
    const at = httpOrigin(host, port)
    for (const [name, { path }] of Object.entries(config.sources)) log.info(`source ${name} listens on ${at}${path}`)
    const database = config.database.url === 'embedded' ? 'embedded' : describeUrl(config.database.url)
    log.info({ url: at, database, holder, config: hash }, 'gemini-relay is ready')
  }

  async function stop(): Promise<void> {
    const timer = setTimeout(() => deadline.abort(), drainLimitMs)
    await lifecycle.stop()
    clearTimeout(timer)
  }

  try {
    return await start()
  } catch (error) {
    deadline.abort()
    await lifecycle.stop()
    throw error
  }
}
