/** Binds JWTs to the webhook-id they came with, inside the accept transaction, so that a rollback burns nothing. */
import type { ClientBase } from 'pg'
import { byteaArray, textArray, timestamptzArray } from '../store/binary-array.ts'
import type { AcceptRow } from './row.ts'

// The update changes nothing; it makes the row that was there come back, and locks it until this transaction ends.
const bind = `
insert into gemini_relay.token_uses as t (source, digest, webhook_id, body_digest, expires_at)
select * from unnest($1::text[], $2::bytea[], $3::text[], $4::bytea[], $5::timestamptz[])
on conflict (source, digest) do update set digest = t.digest
returning t.source, t.digest, t.webhook_id`

const known = `
select source, webhook_id from gemini_relay.events where source = any ($1::text[]) and webhook_id = any ($2::text[])`

/**
 * @returns indexes of the rows whose token already belongs to another webhook-id. A webhook-id that is already stored is
 * a duplicate whatever its token, and never among them.
 */
export async function bindTokens(client: ClientBase, rows: readonly AcceptRow[]): Promise<Set<number>> {
  const bound = await bindFirstUses(client, rows)
  const foreign = [...rows.entries()].filter(([, { request }]) => {
    if (request.token === undefined || request.token.reuse === 'accept') return false
    return bound.get(tokenKey(request.source, request.token.digest)) !== request.webhookId
  })
  if (foreign.length === 0) return new Set()
  const { rows: stored } = await client.query<{ source: string; webhook_id: string }>(known, [
    foreign.map(([, { request }]) => request.source),
    foreign.map(([, { request }]) => request.webhookId),
  ])
  const duplicates = new Set(stored.map((row) => `${row.source} ${row.webhook_id}`))
  return new Set(
    foreign.filter(([, { request }]) => !duplicates.has(`${request.source} ${request.webhookId}`)).map(([index]) => index),
  )
}

/** @returns the webhook-id that each token of the group now belongs to */
async function bindFirstUses(client: ClientBase, rows: readonly AcceptRow[]): Promise<Map<string, string>> {
  const firstUses = new Map<string, AcceptRow>()
  for (const row of rows) {
    const { source, token } = row.request
    if (token !== undefined && !firstUses.has(tokenKey(source, token.digest))) firstUses.set(tokenKey(source, token.digest), row)
  }
  const uses = [...firstUses].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, { request }]) => request)
  const { rows: bound } = await client.query<{ source: string; digest: Buffer; webhook_id: string }>(bind, [
    textArray(uses.map((use) => use.source)),
    byteaArray(uses.map((use) => use.token?.digest ?? null)),
    textArray(uses.map((use) => use.webhookId)),
    byteaArray(uses.map((use) => use.token?.bodyDigest ?? null)),
    timestamptzArray(uses.map((use) => use.token?.expiresAt ?? null)),
  ])
  return new Map(bound.map((row) => [tokenKey(row.source, row.digest), row.webhook_id]))
}

function tokenKey(source: string, digest: Buffer): string {
  return `${source} ${digest.toString('base64')}`
}
