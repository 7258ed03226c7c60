/** The composition root: acquires the parts in order and releases them in reverse. */
import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import { createAcceptor } from './accept/acceptor.ts'
import { acceptSettings } from './accept/commit-statement.ts'
import type { LoadedConfig } from './config/load.ts'
import { keepsOrder } from './config/schema.ts'
import { anyEnriches } from './config/targets.ts'
import { createDeliverer } from './deliver/deliverer.ts'
import { leaseMarginMs, leaseMs } from './deliver/leases.ts'
import { createPauses } from './deliver/pauses.ts'
import { createEncryption, encryptionKeys } from './encryption.ts'
import type { RefusalCode } from './errors.ts'
import { findGeminiAccess, geminiAccess } from './gemini/access.ts'
import { createHealer } from './gemini/healer.ts'
import { createJobs } from './gemini/jobs.ts'
import { createGeminiRest, type GeminiRest } from './gemini/rest.ts'
import { createLifecycle } from './lifecycle.ts'
import type { Log } from './log.ts'
import { createApp } from './receive/app.ts'
import { createCallback } from './receive/callback.ts'
import { createReadiness } from './receive/readiness.ts'
import { listen } from './receive/server.ts'
import { reconcile } from './reconcile/reconcile.ts'
import { createReconcileSchedule, settledMs } from './reconcile/schedule.ts'
import { createSinks } from './sinks/create.ts'
import { waitForDatabase } from './store/connect.ts'
import { embeddedDataDir, startEmbedded } from './store/embedded/index.ts'
import { migrate } from './store/migrate.ts'
import { createPool, describeUrl, keptPlans, type Pool } from './store/pool.ts'
import { createPruner } from './store/prune.ts'
import { createListener } from './store/listener.ts'
import { createManagedSecrets } from './store/managed-secrets.ts'
import { createSession } from './store/session.ts'
import { verificationOf } from './verify/source.ts'
import { createVerifier } from './verify/verifier.ts'

export interface ServeOptions {
  loaded: LoadedConfig
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
  stop(): Promise<void>
}

/** Long enough for a database that starts beside the relay, short enough for a supervisor to notice a wrong URL. */
const defaultStartLimitMs = 60_000

/** Kubernetes kills after 30 s: this leaves room for closing what is behind the attempts. */
export const defaultDrainLimitMs = 20_000

export async function serve(options: ServeOptions): Promise<Relay> {
  const { loaded, env, log, startLimitMs = defaultStartLimitMs, drainLimitMs = defaultDrainLimitMs, signal } = options
  const { config, plan } = loaded
  const lifecycle = createLifecycle(log)
  const deadline = new AbortController()
  const holder = `${hostname()}:${process.pid}:${randomUUID().slice(0, 8)}`

  function pool(part: string, max: number, statementTimeoutMs: number, url: string, settings = ''): Pool {
    const made = createPool({ url, part, max, statementTimeoutMs, settings, log })
    lifecycle.onStop(`pool ${part}`, () => made.end())
    return made
  }

  async function start(): Promise<Relay> {
    const sources = Object.entries(config.sources).map(([name, source]) => ({
      name,
      path: source.path,
      verification: verificationOf(name, source),
    }))
    const managedSources = Object.keys(config.sources).filter((name) => config.sources[name]?.static?.managed)
    const encryption = managedSources.length === 0 ? undefined : createEncryption(encryptionKeys(config.encryption, env))
    const access = anyEnriches(config) ? geminiAccess(config.gemini, env) : undefined
    const rest = config.gemini.reconcile === undefined ? undefined : createGeminiRest(geminiAccess(config.gemini, env))
    const url = await databaseUrl()
    const admin = pool('admin', 2, 30_000, url)
    await waitForDatabase({ pool: admin, url, limitMs: startLimitMs, log, ...(signal ? { signal } : {}) })
    const applied = await migrate(admin)
    if (applied.length > 0) log.info({ migrations: applied }, 'migrated')

    const listener = createListener({ url, log })
    lifecycle.onStop('listening', () => listener.stop())
    const managed =
      encryption &&
      createManagedSecrets({ sources: managedSources, pool: pool('secrets', 1, 3_000, url), encryption, listener, log })
    lifecycle.onStop('managed secrets', () => managed?.stop())
    await managed?.start()
    const verifiers = sources.map(({ name, path, verification }) => ({
      name,
      path,
      verifier: createVerifier({ source: verification, managed: managed?.of(name), log }),
    }))

    const healer =
      managed &&
      encryption &&
      createHealer({
        managed,
        sources: managedSources,
        pool: pool('heal', 2, 30_000, url),
        encryption,
        access: findGeminiAccess(config.gemini, env),
        log,
      })
    lifecycle.onStop('healer', () => healer?.stop())

    const sinks = createSinks({ config, relayUrl: url, log })
    for (const [name, sink] of sinks) lifecycle.onStop(`sink ${name}`, () => sink.close())
    for (const sink of sinks.values()) await sink.start()

    const pauses = createPauses({ sinks: () => config.sinks, pool: admin, listener, log })
    lifecycle.onStop('pauses', () => pauses.stop())
    await pauses.start()

    const deliverer = createDeliverer({
      config,
      sinks,
      pool: pool('deliver', 3, 15_000, url, keptPlans),
      claimPool: pool('claim', 2, 15_000, url, keptPlans),
      listener,
      holder,
      pauses,
      jobs: access && createJobs({ access, config: config.gemini.enrich, log }),
      log,
    })
    lifecycle.onStop('deliver', () => deliverer.stop(deadline.signal))
    const pruner = createPruner({ pool: admin, retentionMs: config.retention.events, log })
    lifecycle.onStop('prune', () => pruner.stop())

    // A group that takes longer than this is answered 503: the sender waits only seconds.
    const session = createSession(pool('accept', 1, 3_000, url, acceptSettings))
    lifecycle.onStop('accepting session', () => session.release())
    const acceptor = createAcceptor({
      session,
      plan,
      horizonMs: (sink) => config.sinks[sink]?.retry.horizon ?? 0,
      ordered: (sink) => keepsOrder(config.sinks[sink]),
      desk: deliverer.desk,
      holder,
      leaseMs,
      leaseMarginMs,
      log,
    })
    lifecycle.onStop('accept', () => acceptor.idle())

    for (const { name, verifier } of verifiers) {
      verifier.start()
      lifecycle.onStop(`keys of ${name}`, () => verifier.stop())
    }
    const refusals = new Map<RefusalCode, number>()
    let draining = false
    const countRefusal = (code: RefusalCode): void => void refusals.set(code, (refusals.get(code) ?? 0) + 1)
    const app = createApp({
      webhooks: verifiers.map(({ name, path, verifier }) => ({
        source: name,
        path,
        verifier,
        acceptor,
        bodyLimitBytes: config.server.body_limit,
      })),
      readiness: createReadiness({
        pingDatabase: () => admin.query('select 1'),
        keys: () => Object.fromEntries(verifiers.map(({ name, verifier }) => [name, verifier.readiness()])),
        unknownPairs: () => deliverer.unknownPairs(),
        pausedSinks: () => pauses.list().map(({ sink, reason, pausedAt }) => ({ sink, reason, since: pausedAt })),
        refusals: () => Object.fromEntries(refusals),
      }),
      draining: () => draining,
      countRefusal,
      log,
    })
    const { host, port, close } = await listen(createCallback(app), {
      host: config.server.host,
      port: config.server.port,
      dropped: () => countRefusal('overloaded'),
    })
    lifecycle.onStop('http', async () => {
      draining = true
      await close(deadline.signal)
    })
    listener.start()
    healer?.start()
    deliverer.start()
    pruner.start()
    if (rest !== undefined) reconcileOnSchedule(rest, url)
    announce(host, port)
    return { host, port, stop }
  }

  function reconcileOnSchedule(rest: GeminiRest, url: string): void {
    const { source = Object.keys(config.sources)[0], every, since } = config.gemini.reconcile ?? {}
    if (source === undefined || every === undefined || since === undefined) return
    const ownPool = pool('reconcile', 1, 15_000, url, acceptSettings)
    const schedule = createReconcileSchedule({
      everyMs: every,
      run: (stopping) => reconcile({ rest, pool: ownPool, config, plan, source, sinceMs: since, settledMs, signal: stopping }),
      log,
    })
    lifecycle.onStop('reconcile', () => schedule.stop())
    schedule.start()
  }

  async function databaseUrl(): Promise<string> {
    if (config.database.url !== 'embedded') return config.database.url
    const dataDir = embeddedDataDir({ configFile: loaded.file, env })
    const embedded = await startEmbedded({ dataDir, log: (line) => log.info(line) })
    lifecycle.onStop('embedded Postgres', () => embedded.stop())
    log.info({ data: dataDir, adopted: embedded.adopted }, 'embedded Postgres is running')
    return embedded.url
  }

  function announce(host: string, port: number): void {
    for (const warning of loaded.warnings) log.warn(`${warning.file}:${warning.line}:${warning.column}: ${warning.message}`)
    for (const { name, sinks } of plan.rules) log.info(`rule ${name} → ${sinks.join(', ')}`)
    const at = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    for (const [name, { path }] of Object.entries(config.sources)) log.info(`source ${name} listens on ${at}${path}`)
    log.info(
      { url: at, database: config.database.url === 'embedded' ? 'embedded' : describeUrl(config.database.url), holder },
      'gemini-relay is ready',
    )
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
