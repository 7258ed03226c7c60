/** One event owed to one address. */
import { randomUUID } from 'node:crypto'
import type { Settings } from './settings.ts'

export type Target = { kind: 'static'; webhook: string } | { kind: 'dynamic'; uri: string }

/** What happened, before it is addressed to anybody. */
export interface Happening {
  type: string
  /** Milliseconds since the epoch, on the emulator's clock; the envelope's `timestamp`. */
  at: number
  data: Record<string, unknown>
  userMetadata?: Record<string, unknown> | undefined
}

export interface Delivery {
  /** `webhook-id`, the same at every attempt. Guessed: each address gets one of its own. */
  id: string
  type: string
  target: Target
  body: string
  /** Of its JWT, where it is signed with one. */
  claims: Record<string, unknown>
  /** When it was first due, milliseconds since the epoch on the emulator's clock. */
  since: number
  attempts: number
  state: 'pending' | 'delivered' | 'given_up'
  /** What the last attempt came to: a status, or why there was no answer. */
  last: string | undefined
}

export function createDelivery(happening: Happening, target: Target, settings: Settings): Delivery {
  const { type, at, data, userMetadata } = happening
  const isJwt = target.kind === 'dynamic' && settings.dynamicScheme === 'jwt'
  const place = userMetadata === undefined ? 'nowhere' : settings.metadataIn === 'claims' && !isJwt ? 'data' : settings.metadataIn
  const envelope = {
    type,
    version: 'v1',
    timestamp: new Date(at).toISOString(),
    data: { ...data, ...(place === 'data' ? { user_metadata: userMetadata } : {}) },
    ...(place === 'envelope' ? { user_metadata: userMetadata } : {}),
  }
  return {
    id: `msg_${randomUUID().replaceAll('-', '')}`,
    type,
    target,
    body: JSON.stringify(envelope),
    claims: {
      ...(settings.claims === 'event' ? envelope : {}),
      ...(place === 'claims' ? { user_metadata: userMetadata } : {}),
    },
    since: at,
    attempts: 0,
    state: 'pending',
    last: undefined,
  }
}
