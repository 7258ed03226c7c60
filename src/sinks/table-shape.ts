/** Makes or checks the table of a table sink, and learns the types of its columns. */
import { escapeIdentifier } from 'pg'
import type { SinkConfigOf } from '../config/schema.ts'
import { RelayError, messageOf } from '../errors.ts'
import type { Pool } from '../store/pool.ts'
import { sqlState } from '../store/sqlstate.ts'

export interface TableShape {
  /** Quoted, with its schema. */
  table: string
  columns: TableColumn[]
}

export interface TableColumn {
  name: string
  /** As SQL writes it, for a cast: `timestamp with time zone`, `text[]`. Without a length: a cast to one cuts silently. */
  sqlType: string
  kind: 'array' | 'json' | 'json_array' | 'scalar'
}

/** Every sync table has them: which event wrote the row, so that an older one never overwrites it. */
const orderColumns = { relay_event_time: 'timestamptz', relay_event_seq: 'bigint' } as const

/** @throws RelayError `sink_misconfigured`, naming everything that is missing at once */
export async function shapeTable(pool: Pool, name: string, config: SinkConfigOf<'table'>): Promise<TableShape> {
  const table = quotedTable(config.table)
  if (config.create) await createTable(pool, name, config)
  const found = await readColumns(pool, table)
  if (found === undefined) {
    throw new RelayError('sink_misconfigured', `sink ${name}: there is no table ${config.table}`, {
      hint: `set \`create: true\`, or run: ${createStatement(table, config)}`,
    })
  }
  const problems = [...missingColumns(found, config), ...misfitOrder(found), ...unfillableColumns(found, config)]
  if (!(await hasUniqueIndex(pool, table, config.key))) {
    problems.push(
      `a unique index on (${config.key.join(', ')}) is missing: create unique index on ${table} (${config.key.map(escapeIdentifier).join(', ')})`,
    )
  }
  if (problems.length > 0)
    throw new RelayError(
      'sink_misconfigured',
      `sink ${name}: table ${config.table} does not fit:\n  - ${problems.join('\n  - ')}`,
    )
  return {
    table,
    columns: Object.keys(config.columns).map((column) => {
      const { type = 'text', category = '', base = '' } = found.get(column) ?? {}
      return { name: column, sqlType: type, kind: kindOf(category, base) }
    }),
  }
}

/** Whether there is such a table at all. */
export async function isThere(pool: Pool, { table }: SinkConfigOf<'table'>): Promise<boolean> {
  return (await readColumns(pool, quotedTable(table))) !== undefined
}

function kindOf(category: string, base: string): TableColumn['kind'] {
  const isJson = /^_?jsonb?$/.test(base)
  if (category === 'A') return isJson ? 'json_array' : 'array'
  return isJson ? 'json' : 'scalar'
}

function quotedTable(table: string): string {
  const [first = '', second] = table.split('.')
  return second === undefined ? `public.${escapeIdentifier(first)}` : `${escapeIdentifier(first)}.${escapeIdentifier(second)}`
}

function createStatement(table: string, { columns, key }: SinkConfigOf<'table'>): string {
  const declared = Object.entries(columns).map(([name, { type = 'text' }]) => `${escapeIdentifier(name)} ${type}`)
  const order = Object.entries(orderColumns).map(([name, type]) => `${name} ${type} not null`)
  return `create table if not exists ${table} (${[...declared, ...order, `primary key (${key.map(escapeIdentifier).join(', ')})`].join(', ')})`
}

async function createTable(pool: Pool, name: string, config: SinkConfigOf<'table'>): Promise<void> {
  try {
    await pool.query(createStatement(quotedTable(config.table), config))
  } catch (error) {
    // Two processes at once: `if not exists` does not cover the race; the other one made it.
    const state = sqlState(error)
    if (state === '23505' || state === '42P07' || state === '42710') return
    // No such schema or type, not allowed to: waiting does not mend it.
    if (state?.startsWith('42') || state === '3F000') {
      const message = `sink ${name}: table ${config.table} cannot be made: ${messageOf(error)}`
      throw new RelayError('sink_misconfigured', message, { cause: error })
    }
    throw error
  }
}

interface FoundColumn {
  name: string
  type: string
  category: string
  base: string
  required: boolean
}

async function readColumns(pool: Pool, table: string): Promise<Map<string, FoundColumn> | undefined> {
  const { rows } = await pool.query<FoundColumn>(
    `select a.attname as name, format_type(a.atttypid, -1) as type, t.typcategory as category, t.typname as base,
       a.attnotnull and not a.atthasdef and a.attidentity = '' and a.attgenerated = '' as required
     from pg_attribute a join pg_type t on t.oid = a.atttypid
     where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [table],
  )
  return rows.length === 0 ? undefined : new Map(rows.map((row) => [row.name, row]))
}

function missingColumns(found: ReadonlyMap<string, FoundColumn>, { columns }: SinkConfigOf<'table'>): string[] {
  const wanted: [string, string][] = [
    ...Object.entries(columns).map(([name, { type = 'text' }]): [string, string] => [name, type]),
    ...Object.entries(orderColumns),
  ]
  return wanted
    .filter(([name]) => !found.has(name))
    .map(([name, type]) => `column ${name} is missing: add it, for example as ${type}`)
}

function misfitOrder(found: ReadonlyMap<string, FoundColumn>): string[] {
  return Object.entries({ relay_event_time: 'timestamp with time zone', relay_event_seq: 'bigint' })
    .map(([name, type]) => ({ name, type, is: found.get(name)?.type ?? type }))
    .filter(({ type, is }) => is !== type)
    .map(({ name, type, is }) => `column ${name} is ${is}: it has to be ${type}`)
}

function unfillableColumns(found: ReadonlyMap<string, FoundColumn>, { columns }: SinkConfigOf<'table'>): string[] {
  return [...found.values()]
    .filter(({ name, required }) => required && !(name in columns) && !(name in orderColumns))
    .map(({ name }) => `column ${name} is not null and has no default, but \`columns\` does not fill it`)
}

/** `on conflict` takes a plain unique index over exactly the key's columns, in any order. */
async function hasUniqueIndex(pool: Pool, table: string, key: readonly string[]): Promise<boolean> {
  const { rows } = await pool.query<{ columns: string[] }>(
    `select array(select a.attname::text from pg_attribute a
       where a.attrelid = i.indrelid and a.attnum = any (i.indkey::int2[]) and array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts) as columns
     from pg_index i
     where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indimmediate and i.indpred is null and i.indexprs is null`,
    [table],
  )
  const wanted = key.toSorted().join('\0')
  return rows.some(({ columns }) => columns.toSorted().join('\0') === wanted)
}
