/** What the generator has signed: nothing else may be stored, and everything that was answered 200 has to be. */
import { createHash } from 'node:crypto'
import pg from 'pg'
import type { Findings } from './findings.ts'
import type { SignedEvent } from './volley.ts'

export interface Ledger {
  /** Before the event is sent: without an answer it may be stored too. */
  sign: (event: SignedEvent) => void
  /** After a 200. */
  acknowledge: (event: SignedEvent) => void
  /** Compares with the relay's table; @returns the number of events in it */
  compare: (databaseUrl: string, findings: Findings) => Promise<number>
}

interface Entry {
  /** Digests of scheme and body, each of which may be the stored one. */
  signed: string[]
  token: string | undefined
  acknowledged: boolean
  stored: boolean
}

/** Bodies are small here; so many rows are some megabytes. */
const pageRows = 5_000

export function createLedger(): Ledger {
  const entries = new Map<string, Entry>()

  function entryOf({ source, id, token }: SignedEvent): Entry {
    const key = keyOf(source, id)
    const entry = entries.get(key) ?? { signed: [], token: token && digest(token), acknowledged: false, stored: false }
    entries.set(key, entry)
    return entry
  }

  function compareRow(row: StoredRow, findings: Findings): void {
    const entry = entries.get(keyOf(row.source, row.webhook_id))
    const isSigned = entry?.signed.includes(digestOf(row.scheme, row.body)) ?? false
    if (entry !== undefined) entry.stored = true
    if (isSigned) return
    const what = entry === undefined ? 'an event is stored that nobody signed' : 'an event is stored otherwise than it was signed'
    findings.report({
      kind: 'forgery',
      what: `${what}: source ${row.source}, webhook-id ${row.webhook_id}, ${row.scheme}`,
      request: row.body,
    })
  }

  function compareEntries(findings: Findings): void {
    const tokens = new Map<string, string>()
    for (const [key, entry] of entries) {
      if (entry.acknowledged && !entry.stored)
        findings.report({ kind: 'lost', what: `${key} was answered 200 and is not stored` })
      if (!entry.stored || entry.token === undefined) continue
      const used = `${key.slice(0, key.indexOf(' '))} ${entry.token}`
      const other = tokens.get(used)
      if (other !== undefined) findings.report({ kind: 'forgery', what: `one token brought in two events: ${other} and ${key}` })
      tokens.set(used, key)
    }
  }

  return {
    sign(event) {
      const entry = entryOf(event)
      const signed = digestOf(event.scheme, event.body)
      if (!entry.signed.includes(signed)) entry.signed.push(signed)
    },
    acknowledge: (event) => (entryOf(event).acknowledged = true),
    async compare(databaseUrl, findings) {
      const client = new pg.Client({ connectionString: databaseUrl })
      await client.connect()
      let count = 0
      try {
        for (let after = '0'; ;) {
          const { rows } = await client.query<StoredRow>(page, [after, pageRows])
          for (const row of rows) compareRow(row, findings)
          count += rows.length
          const last = rows.at(-1)
          if (last === undefined) break
          after = last.id
        }
      } finally {
        await client.end()
      }
      compareEntries(findings)
      return count
    },
  }
}

interface StoredRow {
  id: string
  source: string
  webhook_id: string
  scheme: string
  body: Buffer
}

const page = 'select id, source, webhook_id, scheme, body from gemini_relay.events where id > $1 order by id limit $2'

function keyOf(source: string, id: string): string {
  return `${source} ${id}`
}

function digestOf(scheme: string, body: Buffer): string {
  return createHash('sha256').update(`${scheme} `).update(body).digest('base64')
}

function digest(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
