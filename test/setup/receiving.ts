/** The receiver as `serve` makes it, with limits that a test can reach: app, server, verifier, and an acceptor on a real database. */
import { createApp } from '../../src/receive/app.ts'
import { createCallback } from '../../src/receive/callback.ts'
import { listen, type ServerLimits } from '../../src/receive/server.ts'
import { createUnverifiedBytes, type UnverifiedLimits } from '../../src/receive/unverified-bytes.ts'
import { createVerifier } from '../../src/verify/verifier.ts'
import { silent, startAcceptor } from './accepted.ts'
import { secret } from './sender.ts'

export interface ReceivingOptions {
  databaseUrl: string
  bodyLimitBytes?: number
  limits?: Partial<ServerLimits>
  unverifiedLimits?: UnverifiedLimits
  jwksUri?: string
}

export interface Receiving {
  port: number
  url: string
  /** By code. */
  refusals: ReadonlyMap<string, number>
  close(): Promise<void>
}

export async function startReceiving(options: ReceivingOptions): Promise<Receiving> {
  const { databaseUrl, bodyLimitBytes = 262_144, limits, unverifiedLimits, jwksUri } = options
  const accepting = await startAcceptor(databaseUrl)
  const dynamic = { audience: 'any', algorithms: ['RS256' as const], unboundJwt: 'once' as const }
  const verifier = createVerifier({
    source: { name: 'gemini', secrets: [secret], ...(jwksUri ? { dynamic: { ...dynamic, jwksUri } } : {}) },
    log: silent,
  })
  const refusals = new Map<string, number>()
  const countRefusal = (code: string): void => void refusals.set(code, (refusals.get(code) ?? 0) + 1)
  const app = createApp({
    webhooks: [{ source: 'gemini', path: '/hook', verifier, acceptor: accepting.acceptor, bodyLimitBytes }],
    readiness: async () => ({
      ready: true,
      checks: { database: { ok: true }, keys: {} },
      detail: {
        config: { hash: '', since: '', reloads: { applied: 0, refused: 0 } },
        unknown_deliveries: [],
        paused_sinks: [],
        refusals: {},
      },
    }),
    draining: () => false,
    countRefusal,
    log: silent,
    unverified: createUnverifiedBytes(unverifiedLimits),
  })
  const server = await listen(createCallback(app), {
    host: '127.0.0.1',
    port: 0,
    ...(limits ? { limits } : {}),
    refused: countRefusal,
  })
  return {
    port: server.port,
    url: `http://127.0.0.1:${server.port}/hook`,
    refusals,
    async close() {
      verifier.stop()
      await server.close(AbortSignal.abort())
      await accepting.close()
    },
  }
}
