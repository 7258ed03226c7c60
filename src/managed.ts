/** The secrets that the relay keeps itself, and who mends what a change of them has left open: for the sources that take such secrets. */
import type { Config } from './config/schema.ts'
import { createEncryption, encryptionKeys } from './encryption.ts'
import { findGeminiAccess } from './gemini/access.ts'
import { createHealer } from './gemini/healer.ts'
import type { Log } from './log.ts'
import type { Listener } from './store/listener.ts'
import { createManagedSecrets, type ManagedSecrets } from './store/managed-secrets.ts'
import { createPool } from './store/pool.ts'

export interface Managed extends Pick<ManagedSecrets, 'of'> {
  stop: () => Promise<void>
}

export interface ManagedOptions {
  /** Names of the sources. */
  sources: readonly string[]
  config: Config
  env: Readonly<Record<string, string | undefined>>
  /** Of the database. */
  url: string
  listener: Listener
  log: Log
}

export function managedSourcesOf({ sources }: Config): string[] {
  return Object.keys(sources).filter((name) => sources[name]?.static?.managed)
}

/**
 * Reads the secrets once before it returns.
 *
 * @throws RelayError `encryption_key`
 */
export async function startManaged({ sources, config, env, url, listener, log }: ManagedOptions): Promise<Managed> {
  const encryption = createEncryption(encryptionKeys(config.encryption, env))
  const pool = createPool({ url, part: 'secrets', max: 1, statementTimeoutMs: 3_000, log })
  const healPool = createPool({ url, part: 'heal', max: 2, statementTimeoutMs: 30_000, log })
  const secrets = createManagedSecrets({ sources, pool, encryption, listener, log })
  const access = findGeminiAccess(config.gemini, env)
  const healer = createHealer({ managed: secrets, sources, pool: healPool, encryption, access, log })

  async function stop(): Promise<void> {
    await healer.stop()
    await secrets.stop()
    await healPool.end()
    await pool.end()
  }

  try {
    await secrets.start()
    healer.start()
  } catch (error) {
    await stop()
    throw error
  }
  return { of: secrets.of, stop }
}
