/**
 * What runs by the configuration: made from the first one, and changed to each next one while requests and attempts go on. Everything that
 * can fail is done beforehand; then rules, receivers and lanes change at once, between two commits of accept.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Acceptor } from './accept/acceptor.ts'
import { changedBounds } from './config/bound.ts'
import { ConfigError, formatPath } from './config/issues.ts'
import type { LoadedConfig } from './config/load.ts'
import type { SinkConfig } from './config/schema.ts'
import { anyEnriches, targetsOf } from './config/targets.ts'
import type { Deliverer } from './deliver/deliverer.ts'
import { geminiAccess } from './gemini/access.ts'
import { createJobs, type Jobs } from './gemini/jobs.ts'
import { messageOf } from './errors.ts'
import type { Log } from './log.ts'
import { managedSourcesOf, startManaged, type Managed } from './managed.ts'
import { createParts, createRetired, type Draft, type Parts, type Retired } from './parts.ts'
import { createApp, type AppOptions } from './receive/app.ts'
import { createCallback } from './receive/callback.ts'
import { createReconciling, type Reconciling } from './reconciling.ts'
import { createSink } from './sinks/create.ts'
import type { Sink } from './sinks/sink.ts'
import type { Listener } from './store/listener.ts'
import { verificationOf } from './verify/source.ts'
import { createVerifier, type Verifier } from './verify/verifier.ts'

export interface ConfiguredOptions {
  env: Readonly<Record<string, string | undefined>>
  /** Of the relay's database. */
  url: string
  listener: Listener
  deliverer: Deliverer
  acceptor: Acceptor
  /** Of the receivers, whatever the configuration. */
  app: Omit<AppOptions, 'webhooks' | 'log'>
  log: Log
}

export interface RelayParts {
  managed: Parts<Managed>
  verifiers: Parts<Verifier>
  sinks: Parts<Sink>
  jobs: Parts<Jobs>
  reconciling: Parts<Reconciling>
  retired: Retired
}

export function createRelayParts(log: Log): RelayParts {
  return {
    managed: createParts((managed) => managed.stop()),
    verifiers: createParts((verifier) => verifier.stop()),
    sinks: createParts((sink) => sink.close()),
    jobs: createParts((jobs) => jobs.stop()),
    reconciling: createParts((schedule) => schedule.stop()),
    retired: createRetired((error) => log.warn({ error: messageOf(error) }, 'could not be stopped cleanly')),
  }
}

export interface Configured {
  /** Undefined before the first one. */
  current: () => Running | undefined
  /** Of any sink that runs or ran: requests that are on their way may still owe it something. */
  settingsOf: (sink: string) => SinkConfig | undefined
  /** Answers a request, by the receivers of the configuration that runs. */
  handle: (request: IncomingMessage, response: ServerResponse) => void
  /**
   * Goes by this configuration from now on, or throws and changes nothing.
   *
   * @throws RelayError
   */
  use: (loaded: LoadedConfig) => Promise<void>
}

export interface Running {
  loaded: LoadedConfig
  verifiers: ReadonlyMap<string, Verifier>
}

interface Made extends Running {
  sinks: ReadonlyMap<string, Sink>
  jobs: Jobs | undefined
  reconciling: Reconciling | undefined
  /** Puts to use what rules say of sinks that stay. */
  retarget: readonly (() => void)[]
}

/** The longest that a request may take from its first byte to its answer, and some more: see receive/server.ts. */
const requestsEndMs = 30_000

/** A new key set is waited for so long, so that requests to its source find its keys; like the relay, it may start without. */
const keysMs = 5_000

export function createConfigured(parts: RelayParts, options: ConfiguredOptions): Configured {
  const { env, url, listener, deliverer, acceptor, log } = options
  const settings = new Map<string, SinkConfig>()
  let current: Running | undefined
  let handle: Configured['handle'] | undefined

  async function use(loaded: LoadedConfig): Promise<void> {
    if (current !== undefined) assertChangeable(current.loaded, loaded)
    const drafts = {
      managed: parts.managed.draft(),
      verifiers: parts.verifiers.draft(),
      sinks: parts.sinks.draft(),
      jobs: parts.jobs.draft(),
      reconciling: parts.reconciling.draft(),
    }
    let unused: Promise<unknown> = Promise.resolve()
    try {
      const made = await make(loaded, drafts)
      const receive = createCallback(createApp({ ...options.app, webhooks: webhooksOf(made), log }))
      await acceptor.between(() => {
        for (const retarget of made.retarget) retarget()
        for (const [name, sink] of Object.entries(loaded.config.sinks)) settings.set(name, sink)
        unused = deliverer.use({ config: loaded.config, sinks: made.sinks, jobs: made.jobs })
        handle = receive
        current = made
      })
      made.reconciling?.start()
    } catch (error) {
      for (const draft of Object.values(drafts).toReversed()) await draft.abandon()
      throw error
    }
    retire(drafts, unused)
  }

  async function make(loaded: LoadedConfig, drafts: Drafts): Promise<Made> {
    const { config } = loaded
    const managedSources = managedSourcesOf(config)
    const managedSettings = [managedSources, config.encryption, config.gemini.api_key, config.gemini.base_url]
    const managed =
      managedSources.length === 0
        ? undefined
        : await drafts.managed.take('managed', managedSettings, () =>
            startManaged({ sources: managedSources, config, env, url, listener, log }),
          )
    const verifiers = new Map<string, Verifier>()
    for (const [name, source] of Object.entries(config.sources)) {
      const ofSource = managed?.of(name)
      const wanted = [source.static, source.dynamic, ofSource === undefined ? [] : managedSettings]
      const start = () => startVerifier(createVerifier({ source: verificationOf(name, source), managed: ofSource, log }))
      verifiers.set(name, await drafts.verifiers.take(name, wanted, start))
    }
    const sinks = new Map<string, Sink>()
    const retarget: (() => void)[] = []
    for (const [name, sinkConfig] of Object.entries(config.sinks)) {
      const targets = targetsOf(config.rules, name)
      const start = () => startSink(createSink(name, sinkConfig, { targets, relayUrl: url, log }))
      const sink = await drafts.sinks.take(name, sinkConfig, start)
      sinks.set(name, sink)
      if (!drafts.sinks.isNew(sink)) retarget.push(sink.retarget(targets))
    }
    const jobs = await makeJobs(loaded, drafts.jobs)
    const reconciling = await makeReconciling(loaded, drafts.reconciling)
    const dynamic = [...verifiers].filter(([name]) => config.sources[name]?.dynamic).map(([, verifier]) => verifier)
    if (current !== undefined) await keysHad(dynamic.filter(drafts.verifiers.isNew))
    return { loaded, verifiers, sinks, jobs, reconciling, retarget }
  }

  async function makeJobs({ config }: LoadedConfig, draft: Draft<Jobs>): Promise<Jobs | undefined> {
    if (!anyEnriches(config)) return undefined
    const access = geminiAccess(config.gemini, env)
    return draft.take('jobs', [access, config.gemini.enrich], () => createJobs({ access, config: config.gemini.enrich, log }))
  }

  async function makeReconciling({ config }: LoadedConfig, draft: Draft<Reconciling>): Promise<Reconciling | undefined> {
    const { reconcile } = config.gemini
    const source = reconcile?.source ?? Object.keys(config.sources)[0]
    if (reconcile === undefined || source === undefined) return undefined
    const access = geminiAccess(config.gemini, env)
    return draft.take('reconciling', [access, reconcile, source], () =>
      createReconciling({ access, ...reconcile, source, url, current: () => current?.loaded, log }),
    )
  }

  function webhooksOf({ loaded: { config }, verifiers }: Made): AppOptions['webhooks'] {
    return [...verifiers].flatMap(([source, verifier]) => {
      const path = config.sources[source]?.path
      return path === undefined ? [] : [{ source, path, verifier, acceptor, bodyLimitBytes: config.server.body_limit }]
    })
  }

  /** @param unused when no attempt of before is under way any more */
  function retire(drafts: Drafts, unused: Promise<unknown>): void {
    const { retired } = parts
    for (const sink of drafts.sinks.use()) retired.add(unused, () => sink.close())
    const verifiers = drafts.verifiers.use()
    if (verifiers.length > 0) {
      const requestsEnded = sleep(requestsEndMs, undefined, { ref: false, signal: retired.signal }).catch(() => {})
      for (const verifier of verifiers) retired.add(requestsEnded, () => verifier.stop())
    }
    // Requests that are on their way are verified with what it has in memory.
    for (const managed of drafts.managed.use()) retired.add(Promise.resolve(), () => managed.stop())
    // Whoever waited for a job was given back.
    for (const jobs of drafts.jobs.use()) jobs.stop()
    for (const schedule of drafts.reconciling.use()) retired.add(Promise.resolve(), () => schedule.stop())
  }

  return {
    current: () => current,
    settingsOf: (sink) => settings.get(sink),
    handle(request, response) {
      handle?.(request, response)
    },
    use,
  }
}

interface Drafts {
  managed: Draft<Managed>
  verifiers: Draft<Verifier>
  sinks: Draft<Sink>
  jobs: Draft<Jobs>
  reconciling: Draft<Reconciling>
}

function startVerifier(verifier: Verifier): Verifier {
  verifier.start()
  return verifier
}

async function startSink(sink: Sink): Promise<Sink> {
  try {
    await sink.start()
    return sink
  } catch (error) {
    await sink.close()
    throw error
  }
}

async function keysHad(verifiers: readonly Verifier[]): Promise<void> {
  const until = performance.now() + keysMs
  while (verifiers.some((verifier) => !verifier.readiness().ready) && performance.now() < until) await sleep(50)
}

/** @throws ConfigError */
function assertChangeable(before: LoadedConfig, next: LoadedConfig): void {
  const changed = changedBounds(before.config, next.config)
  if (changed.length === 0) return
  const issues = changed.map((path) => ({
    ...next.place(path),
    path: formatPath(path),
    message: `\`${formatPath(path)}\` cannot change while the relay runs: restart it, or change it back`,
  }))
  throw new ConfigError(next.file, issues, next.looked)
}
