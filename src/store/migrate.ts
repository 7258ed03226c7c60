/** Brings the schema `gemini_relay` up to date: numbered SQL files, safe when many processes start at once. */
import { readFileSync, readdirSync } from 'node:fs'
import type { PoolClient } from 'pg'
import { RelayError } from '../errors.ts'
import { version } from '../version.ts'
import type { Pool } from './pool.ts'

interface Migration {
  number: number
  name: string
  /** The oldest binary that can still run once this is applied. */
  minBinary: string
  sql: string
}

/** Any fixed number: it only has to be the same in every relay. */
const advisoryLock = 4_738_216_051

/** Postgres 14 and newer. */
const oldestServer = 140_000

/** @returns the names of the migrations that this call applied */
export async function migrate(pool: Pool): Promise<string[]> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    // One transaction for all: a process that dies half-way leaves nothing behind, the others wait at the lock.
    await client.query('set local statement_timeout = 0')
    await client.query('select pg_advisory_xact_lock($1)', [advisoryLock])
    await refuseOldServer(client)
    await client.query('create schema if not exists gemini_relay')
    await client.query('set local search_path to gemini_relay')
    await client.query(`create table if not exists migrations (
      number integer primary key, name text not null, min_binary text not null, applied_at timestamptz not null default now())`)
    const { rows } = await client.query<{ number: number; min_binary: string }>('select number, min_binary from migrations')
    refuseOldBinary(rows.map((row) => row.min_binary))
    const applied = new Set(rows.map((row) => row.number))
    const missing = readMigrations().filter((migration) => !applied.has(migration.number))
    for (const { number, name, minBinary, sql } of missing) {
      await client.query('insert into migrations (number, name, min_binary) values ($1, $2, $3)', [number, name, minBinary])
      await client.query(sql)
    }
    await client.query('commit')
    client.release()
    return missing.map((migration) => migration.name)
  } catch (error) {
    client.release(true)
    throw error
  }
}

function readMigrations(): Migration[] {
  const folder = new URL('./migrations/', import.meta.url)
  return readdirSync(folder)
    .filter((file) => file.endsWith('.sql'))
    .toSorted()
    .map((file) => {
      const sql = readFileSync(new URL(file, folder), 'utf8')
      const minBinary = /^-- min_binary: (\S+)$/m.exec(sql)?.[1]
      if (minBinary === undefined) throw new Error(`${file} does not state its min_binary`)
      return { number: Number.parseInt(file, 10), name: file.replace(/\.sql$/, ''), minBinary, sql }
    })
}

async function refuseOldServer(client: PoolClient): Promise<void> {
  const { rows } = await client.query<{ server_version_num: string; server_version: string }>(
    `select current_setting('server_version_num') as server_version_num, current_setting('server_version') as server_version`,
  )
  const [row] = rows
  if (row !== undefined && Number(row.server_version_num) < oldestServer) {
    throw new RelayError('database_unsupported', `the database is Postgres ${row.server_version}; gemini-relay needs 14 or newer`)
  }
}

function refuseOldBinary(minBinaries: readonly string[]): void {
  const needed = minBinaries.toSorted(compareVersions).at(-1)
  if (needed === undefined || compareVersions(version, needed) >= 0) return
  throw new RelayError(
    'schema_too_new',
    `the database was migrated by a newer gemini-relay: this is ${version}, it needs ${needed} or newer`,
    {
      hint: 'install the newer version, or point DATABASE_URL at another database',
    },
  )
}

function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split('.').map((part) => Number.parseInt(part, 10)))
  for (let i = 0; i < 3; i++) {
    const difference = (left?.[i] ?? 0) - (right?.[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
