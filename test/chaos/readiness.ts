/** Asks both relays again and again which configuration they run. */
import { z } from 'zod'
import type { ConfigHistory } from './config-history.ts'
import { relayNames } from './faults.ts'
import type { ChaosRelay } from './relay.ts'
import type { Rig } from './rig.ts'

const everyMs = 300

/** A relay whose Postgres is away answers late. */
const answerLimitMs = 3_000

const answerSchema = z.object({
  detail: z.object({
    config: z.object({
      hash: z.string(),
      reloads: z.object({ applied: z.number(), refused: z.number() }),
      refused: z.object({ reason: z.string() }).optional(),
    }),
  }),
})

export function watchReadiness({ relays, history }: Pick<Rig, 'relays' | 'history'>): { stop: () => void } {
  const timers = relayNames.map((name) => {
    let asking = false
    return setInterval(() => {
      if (asking) return
      asking = true
      // One that is away, or has something else to do, is asked again.
      void ask(relays[name], history)
        .catch(() => {})
        .finally(() => (asking = false))
    }, everyMs)
  })
  return { stop: () => timers.forEach(clearInterval) }
}

/** Past the proxy: the faults on its way say nothing of the relay. */
async function ask(relay: ChaosRelay, history: ConfigHistory): Promise<void> {
  const [port, pid] = [relay.port(), relay.pid()]
  if (port === undefined || pid === undefined) return
  const askedAt = Date.now()
  const answer = await fetch(`http://127.0.0.1:${port}/readyz`, { signal: AbortSignal.timeout(answerLimitMs) })
  const { config } = answerSchema.parse(await answer.json()).detail
  const { hash, reloads } = config
  history.saw({ askedAt, at: Date.now(), relay: relay.name, pid, hash, refused: config.refused !== undefined, reloads })
}
