/** From a configuration to a ping that arrived: a relay, the declared webhook with its secret, and the proof. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { LoadedConfig } from '../../config/load.ts'
import { messageOf, RelayError } from '../../errors.ts'
import { geminiAccess } from '../../gemini/access.ts'
import { createWebhookService } from '../../gemini/webhook-service.ts'
import { createLog } from '../../log.ts'
import { serve, type Relay } from '../../serve.ts'
import { readEventAfter, readNewestId, type LastEvent } from '../../store/last-event.ts'
import { hasListeningRelay } from '../../store/listener.ts'
import { withDatabase } from '../database.ts'
import { ago, oneLine } from '../table.ts'
import { applyDeclared } from '../webhooks/declare.ts'

export interface QuickStartOptions {
  loaded: LoadedConfig
  uri: string
  env: Readonly<Record<string, string | undefined>>
  tell: (line: string) => void
  /** Ctrl-C. */
  signal: AbortSignal
}

/** Gemini sends a ping within seconds; where the first try fails, the second one comes soon. */
const pingLimitMs = 30_000
const progressMs = 5_000
const lookMs = 200

/** A relay answers /livez from memory. */
const answerLimitMs = 1_000

/** @returns whether the ping arrived */
export async function quickStart({ loaded, uri, env, tell, signal }: QuickStartOptions): Promise<boolean> {
  const relay = await startUnlessRunning(loaded, env, tell)
  try {
    const { id, source } = await apply(loaded, uri, tell)
    const arrived = await ping(loaded, { id, source, tell, signal })
    if (arrived === undefined) {
      tell(adviceFor(loaded, uri, id))
      return false
    }
    tell(
      `it arrived: ${oneLine(arrived.type ?? '(no type)')} ${arrived.webhook_id}, ${ago(arrived.received_at)} ago, and its signature holds`,
    )
    return true
  } finally {
    await relay?.stop()
  }
}

async function startUnlessRunning(
  loaded: LoadedConfig,
  env: QuickStartOptions['env'],
  tell: (line: string) => void,
): Promise<Relay | undefined> {
  const { port } = loaded.config.server
  if (!(await answers(port))) {
    const relay = await serve({ load: () => loaded, env, log: createLog({ level: 'warn' }) })
    tell(`a relay listens on port ${relay.port}, for as long as this takes`)
    return relay
  }
  const isOurs = await withDatabase(loaded, hasListeningRelay).catch((error: unknown) => {
    throw taken(port, error)
  })
  if (!isOurs) throw taken(port)
  tell(`the relay that listens on port ${port} takes it`)
  return undefined
}

async function answers(port: number): Promise<boolean> {
  return await fetch(`http://127.0.0.1:${port}/livez`, { signal: AbortSignal.timeout(answerLimitMs) }).then(
    () => true,
    () => false,
  )
}

function taken(port: number, cause?: unknown): RelayError {
  const reason = cause === undefined ? 'no relay uses the database of this configuration' : messageOf(cause)
  return new RelayError('port_in_use', `port ${port} is taken, and not by a relay with this configuration: ${reason}`, {
    cause,
    hint: 'end what listens there, or name another port: --port, or PORT where the configuration is there already',
  })
}

async function apply(loaded: LoadedConfig, uri: string, tell: (line: string) => void): Promise<{ id: string; source: string }> {
  const { after } = await applyDeclared(loaded, 'kept', tell)
  const made = after.webhooks.find(({ declaration }) => declaration.uri === uri)
  if (made?.id !== undefined) return { id: made.id, source: made.declaration.source }
  throw new RelayError('not_found', `the webhook for ${uri} is not listed at Gemini after it was made`, {
    hint: 'try again: what was made stays',
  })
}

interface Ping {
  id: string
  source: string
  tell: (line: string) => void
  signal: AbortSignal
}

/** What a ping says is documented nowhere: any event that the new secret signed is the proof. */
async function ping(loaded: LoadedConfig, { id, source, tell, signal }: Ping): Promise<LastEvent | undefined> {
  const service = await createWebhookService(geminiAccess(loaded.config.gemini, process.env))
  return await withDatabase(loaded, async (pool) => {
    const after = await readNewestId(pool)
    await service.ping(id)
    tell(`Gemini was asked to ping ${id}; waiting ${pingLimitMs / 1_000} s for it`)
    const startedAt = performance.now()
    for (let told = 0; !signal.aborted && performance.now() - startedAt < pingLimitMs; await sleep(lookMs)) {
      const arrived = await readEventAfter(pool, { source, scheme: 'hmac', after })
      if (arrived !== undefined) return arrived
      const waited = performance.now() - startedAt
      if (waited - told < progressMs) continue
      told = waited
      tell(`… ${Math.round(waited / 1_000)} s`)
    }
    return undefined
  })
}

function adviceFor({ config, file }: LoadedConfig, uri: string, id: string): string {
  const { hostname, pathname, protocol } = new URL(uri)
  const tls = protocol === 'https:' ? [`  TLS: ${hostname} shows a certificate that is valid for it`] : []
  return [
    `no ping arrived. What was made stays: ${file}, the webhook ${id}, and its secret in the database. See that`,
    `  DNS: ${hostname} leads to where the relay is reached`,
    ...tls,
    `  proxy: POST ${pathname} goes to port ${config.server.port} here, body and webhook-* headers unchanged`,
    `Then, while \`gemini-relay serve --config ${file}\` runs: gemini-relay webhooks ping ${id} --config ${file}`,
  ].join('\n')
}
