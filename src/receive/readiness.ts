/** What `/readyz` says. Its 503 depends on the database, the configuration and the keys, never on a sink. */
import { messageOf } from '../errors.ts'
import type { ConfigState } from '../reload.ts'

export interface Readiness {
  ready: boolean
  checks: { database: Check; keys: Record<string, Check> }
  detail: {
    config: ConfigState
    unknown_deliveries: { sink: string; rule: string }[]
    paused_sinks: PausedSink[]
    refusals: Record<string, number>
  }
}

export interface PausedSink {
  sink: string
  reason: string
  since: Date
}

interface Check {
  ok: boolean
  reason?: string
}

export interface ReadinessOptions {
  /** Rejects when the database cannot be reached. */
  pingDatabase: () => Promise<unknown>
  /** By source. */
  keys: () => Record<string, { ready: boolean; reason?: string }>
  /** Pending deliveries that this configuration does not know. */
  unknownPairs: () => Promise<{ sink: string; rule: string }[]>
  pausedSinks: () => PausedSink[]
  refusals: () => Record<string, number>
  config: () => ConfigState
}

/** Health checks come often and from several sides: the database is asked once in this time. */
const cacheMs = 1_000

export function createReadiness({
  pingDatabase,
  keys,
  unknownPairs,
  pausedSinks,
  refusals,
  config,
}: ReadinessOptions): () => Promise<Readiness> {
  let asked: { at: number; answer: Promise<{ database: Check; unknown: { sink: string; rule: string }[] }> } | undefined

  async function askDatabase() {
    try {
      await pingDatabase()
      return { database: { ok: true }, unknown: await unknownPairs() }
    } catch (error) {
      return { database: { ok: false, reason: `not reachable: ${messageOf(error)}` }, unknown: [] }
    }
  }

  return async () => {
    if (asked === undefined || performance.now() - asked.at > cacheMs) asked = { at: performance.now(), answer: askDatabase() }
    const { database, unknown } = await asked.answer
    const sources = Object.entries(keys()).map(([name, { ready, reason }]): [string, Check] => [
      name,
      reason === undefined ? { ok: ready } : { ok: ready, reason },
    ])
    return {
      ready: database.ok && sources.every(([, check]) => check.ok),
      checks: { database, keys: Object.fromEntries(sources) },
      detail: { config: config(), unknown_deliveries: unknown, paused_sinks: pausedSinks(), refusals: refusals() },
    }
  }
}
