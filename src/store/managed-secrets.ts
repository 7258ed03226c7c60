/**
 * The managed secrets of the sources, as the receiver needs them: in memory, decrypted, and never older than a second or two.
 * Every change is notified; reading each second is the backstop.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import type { Encryption } from '../encryption.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { ManagedKeys } from '../verify/managed.ts'
import { decodeSecret } from '../verify/secrets.ts'
import type { Listener } from './listener.ts'
import type { Pool } from './pool.ts'
import {
  assertKeysKnown,
  believedMs,
  readState,
  secretContext,
  secretsChannel,
  type KeptSecret,
  type KeptState,
} from './signing-secrets.ts'

export interface ManagedSecretsOptions {
  /** Names of those that take managed secrets. */
  sources: readonly string[]
  pool: Pool
  encryption: Encryption
  listener: Listener
  log: Log
}

export interface ManagedSecrets {
  /** Undefined for a source that takes none. */
  of: (source: string) => ManagedKeys | undefined
  /** Milliseconds since the oldest intent of the source was opened; undefined where none is open. */
  openFor: (source: string) => number | undefined
  /**
   * Reads them once, then keeps reading.
   *
   * @throws RelayError `encryption_key` where one was encrypted with another key
   */
  start: () => Promise<void>
  stop: () => Promise<void>
}

/** Under half of `believedMs`, so that one slow reading does not make the rest doubtful. */
const everyMs = believedMs / 2 - 200

/** An honest delivery under way when its secret ended may be signed with it: asked to come again, it comes with the new one. */
const unsettledMs = 60_000

interface Held {
  key: KeyObject
  /** On the monotonic clock. */
  until: number
}

interface SourceState {
  held: Held[]
  /** Those of `held` that are live, until the first of them ends. */
  live: readonly KeyObject[]
  liveUntil: number
  /** A secret ended lately. */
  unsettledUntil: number
  /** When the oldest open intent was opened. */
  openedAt: number | undefined
  /** One that our keys do not open. */
  unreadable: boolean
}

export function createManagedSecrets({ sources, pool, encryption, listener, log }: ManagedSecretsOptions): ManagedSecrets {
  const now = () => performance.now()
  const states = new Map<string, SourceState>()
  /** By row: a secret is decrypted once. */
  let opened = new Map<string, KeyObject>()
  /** Rows that were complained about. */
  const unreadable = new Set<string>()
  let readAt = -Infinity
  let timer: NodeJS.Timeout | undefined
  let reading: Promise<void> | undefined
  let again = false
  let stopped = false

  const unlisten = listener.on(secretsChannel, () => {
    again = true
    void refresh()
  })

  async function read(): Promise<void> {
    // The bound counts from before the statement: what was committed later may not be in it.
    const startedAt = now()
    const state = await readState(pool, sources)
    const known = opened
    opened = new Map()
    for (const secret of state.secrets) {
      const key = known.get(secret.id) ?? open(secret)
      if (key !== undefined) opened.set(secret.id, key)
    }
    for (const source of sources) states.set(source, stateOf(source, state, opened, startedAt))
    readAt = startedAt
  }

  function open(secret: KeptSecret): KeyObject | undefined {
    const { id, source, webhook, encrypted } = secret
    if (!encryption.keyIds.includes(encrypted.keyId)) {
      if (!unreadable.has(id))
        log.error(
          { source, webhook, key: encrypted.keyId, given: encryption.keyIds },
          'a secret was encrypted with a key that this relay was not given',
        )
      unreadable.add(id)
      return undefined
    }
    const context = secretContext(secret)
    return createSecretKey(decodeSecret(encryption.decrypt(encrypted, context), context))
  }

  /** One reading at a time; a change that was told while one ran is read by another. */
  function refresh(): Promise<void> {
    reading ??= readAll().finally(() => {
      reading = undefined
    })
    return reading
  }

  async function readAll(): Promise<void> {
    clearTimeout(timer)
    do {
      again = false
      try {
        await read()
      } catch (error) {
        log.warn({ error: messageOf(error) }, 'managed secrets could not be read: unknown signatures are answered 503')
      }
    } while (again)
    if (stopped) return
    timer = setTimeout(() => void refresh(), everyMs)
    timer.unref()
  }

  return {
    of(source) {
      if (!sources.includes(source)) return undefined
      return {
        live: () => liveOf(states.get(source), now()),
        mayMiss() {
          const state = states.get(source)
          if (state === undefined || now() - readAt > believedMs) return true
          return state.openedAt !== undefined || state.unreadable || now() < state.unsettledUntil
        },
      }
    },
    openFor(source) {
      const openedAt = states.get(source)?.openedAt
      return openedAt === undefined ? undefined : now() - openedAt
    },
    async start() {
      await assertKeysKnown(pool, encryption)
      await read()
      void refresh()
    },
    async stop() {
      stopped = true
      unlisten()
      clearTimeout(timer)
      await reading
    },
  }
}

/** @param startedAt when the reading began, on the monotonic clock */
function stateOf(
  source: string,
  { secrets, open }: KeptState,
  keys: ReadonlyMap<string, KeyObject>,
  startedAt: number,
): SourceState {
  const own = secrets.filter((secret) => secret.source === source)
  const held = own.flatMap(({ id, expiresInMs }): Held[] => {
    const key = keys.get(id)
    return key === undefined ? [] : [{ key, until: startedAt + (expiresInMs ?? Infinity) }]
  })
  const ends = own.flatMap(({ expiresInMs }) => (expiresInMs !== null && expiresInMs <= 0 ? [startedAt + expiresInMs] : []))
  const openForMs = open.get(source)
  return {
    held,
    live: [],
    liveUntil: -Infinity,
    unsettledUntil: Math.max(-Infinity, ...ends) + unsettledMs,
    openedAt: openForMs === undefined ? undefined : startedAt - openForMs,
    unreadable: own.some(({ id }) => !keys.has(id)),
  }
}

/** Newest first, as most deliveries are signed. */
function liveOf(state: SourceState | undefined, now: number): readonly KeyObject[] {
  if (state === undefined) return []
  if (now >= state.liveUntil) {
    const live = state.held.filter(({ until }) => until > now)
    state.live = live.map(({ key }) => key)
    state.liveUntil = Math.min(...live.map(({ until }) => until))
  }
  return state.live
}
