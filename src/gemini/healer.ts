/** Heals, in a running relay, what a process that changed webhooks has left open when it died. */
import type { Encryption } from '../encryption.ts'
import { messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import type { ManagedSecrets } from '../store/managed-secrets.ts'
import type { Pool } from '../store/pool.ts'
import type { GeminiAccess } from './access.ts'
import { healIfFree } from './webhook-changes.ts'
import { createWebhookService } from './webhook-service.ts'

export interface HealerOptions {
  managed: ManagedSecrets
  sources: readonly string[]
  pool: Pool
  encryption: Encryption
  /** Undefined where there is no key for the API: then somebody has to be told. */
  access: GeminiAccess | undefined
  log: Log
}

export interface Healer {
  start: () => void
  stop: () => Promise<void>
}

/** A command that is alive takes seconds; looking costs nothing, as what is looked at is in memory. */
const everyMs = 10_000
const leftOpenMs = 30_000

export function createHealer({ managed, sources, pool, encryption, access, log }: HealerOptions): Healer {
  let timer: NodeJS.Timeout | undefined
  let healing: Promise<void> = Promise.resolve()
  let told = false

  async function heal(): Promise<void> {
    if (!sources.some((source) => (managed.openFor(source) ?? 0) > leftOpenMs)) {
      told = false
      return
    }
    if (access === undefined) {
      if (!told) log.warn('a change of a webhook has not ended: run `gemini-relay webhooks heal` where GEMINI_API_KEY is set')
      told = true
      return
    }
    try {
      const done = await healIfFree({ service: await createWebhookService(access), pool, encryption })
      for (const line of done) log.warn(`healed: ${line}`)
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'a change of a webhook has not ended, and could not be healed: next try in 10 s')
    }
  }

  function later(): void {
    timer = setTimeout(() => {
      healing = heal().finally(later)
    }, everyMs)
    timer.unref()
  }

  return {
    start: later,
    async stop() {
      clearTimeout(timer)
      await healing
      clearTimeout(timer)
    },
  }
}
