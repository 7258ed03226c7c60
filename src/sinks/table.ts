/**
 * A row of a table for each subject, say: columns by CEL, upserted on a key. In the relay's own database the row and the
 * delivery's end are one transaction (exactly once); in another database the upsert is idempotent.
 */
import type { SinkConfigOf } from '../config/schema.ts'
import { RelayError, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { compileValue, ExpressionError } from '../route/expression.ts'
import { int8Array, textArray, timestamptzArray } from '../store/binary-array.ts'
import { createPool, describeUrl, type Pool } from '../store/pool.ts'
import { isBadRow, isUnavailable, retryConflicts, sqlState } from '../store/sqlstate.ts'
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'
import { failed, type Sink } from './sink.ts'
import { shapeTable, type TableShape } from './table-shape.ts'
import { upsertStatement } from './table-statement.ts'
import { columnText } from './table-value.ts'

export interface TableSinkOptions {
  name: string
  config: SinkConfigOf<'table'>
  /** The relay's own database, where `config.url` names no other. */
  relayUrl: string
  log: Log
}

interface Row {
  delivery: LeasedDelivery
  values: (string | null)[]
}

/** Waiting for a locked table costs its own deliveries only, but not for long: the delivery's schedule waits better. */
const lockTimeoutMs = 2_000

export function createTableSink({ name, config, relayUrl, log }: TableSinkOptions): Sink {
  const url = config.url ?? relayUrl
  const fenced = config.url === undefined
  const pool = createPool({
    url,
    part: `sink ${name}`,
    max: config.concurrency,
    statementTimeoutMs: config.timeout,
    lockTimeoutMs: Math.min(lockTimeoutMs, config.timeout),
    log,
  })
  const expressions = Object.entries(config.columns).map(([column, { value }]) => ({
    column,
    isKey: config.key.includes(column),
    read: compileValue(value),
  }))
  let prepared: { shape: TableShape; statement: string } | undefined

  async function prepare(): Promise<{ shape: TableShape; statement: string }> {
    if (prepared !== undefined) return prepared
    const shape = await shapeTable(pool, name, config)
    prepared = { shape, statement: upsertStatement(shape, config.key, fenced) }
    return prepared
  }

  function readRow(delivery: LeasedDelivery, { columns }: TableShape): Row | Failure {
    const values: (string | null)[] = []
    for (const [index, { column, isKey, read }] of expressions.entries()) {
      try {
        const value = columnText(read(delivery.stored.event), columns[index]?.kind ?? 'scalar')
        if (value === null && isKey) return failed('value_rejected', `sink ${name}: key column ${column} is null`)
        values.push(value)
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error
        return failed('expression_error', `sink ${name}: column ${column}: ${error.message}`)
      }
    }
    return { delivery, values }
  }

  async function upsert(rows: readonly Row[], outcomes: Map<LeasedDelivery, Outcome>): Promise<void> {
    try {
      const done = await retryConflicts(() => run(rows))
      for (const { delivery } of rows) outcomes.set(delivery, outcomeOf(done.has(delivery.id)))
    } catch (error) {
      if (!isBadRow(error)) return failAll(rows, outcomes, await afterError(rows, outcomes, error))
      const [first] = rows
      if (rows.length === 1 && first !== undefined) {
        outcomes.set(first.delivery, failed('value_rejected', `sink ${name}: ${messageOf(error)}`))
        return
      }
      // One row the table will not take must not cost the others: narrow down to it.
      const half = Math.ceil(rows.length / 2)
      await upsert(rows.slice(0, half), outcomes)
      await upsert(rows.slice(half), outcomes)
    }
  }

  async function run(rows: readonly Row[]): Promise<Set<string>> {
    const { shape, statement } = await prepare()
    const { rows: done } = await pool.query<[string]>({
      name: `upsert ${name}`.slice(0, 60),
      rowMode: 'array',
      text: statement,
      values: [
        int8Array(rows.map(({ delivery }) => delivery.id)),
        int8Array(rows.map(({ delivery }) => delivery.lease.id)),
        timestamptzArray(rows.map(({ delivery }) => delivery.stored.time)),
        int8Array(rows.map(({ delivery }) => delivery.stored.id)),
        ...shape.columns.map((_, index) => textArray(rows.map(({ values }) => values[index] ?? null))),
      ],
    })
    return new Set(done.map(([id]) => id))
  }

  function outcomeOf(done: boolean): Outcome {
    if (!fenced) return { status: 'delivered' }
    return { status: done ? 'recorded' : 'lost' }
  }

  /** A broken connection may have hidden a commit that held: what is delivered already is not attempted again. */
  async function afterError(rows: readonly Row[], outcomes: Map<LeasedDelivery, Outcome>, error: unknown): Promise<Failure> {
    if (fenced && sqlState(error) === undefined) {
      for (const id of await readDelivered(pool, rows).catch(() => new Set<string>())) {
        const row = rows.find(({ delivery }) => delivery.id === id)
        if (row !== undefined) outcomes.set(row.delivery, { status: 'recorded' })
      }
    }
    return failureOf(error)
  }

  function failureOf(error: unknown): Failure {
    const state = sqlState(error)
    const where = `sink ${name}: table ${config.table} at ${describeUrl(url)}`
    if (error instanceof RelayError) return failed('column_missing', error.message)
    if (state === '55P03') return failed('locked', `${where} is locked by another session`)
    if (state === '57014') return failed('timeout', `${where} did not answer within ${config.timeout} ms`)
    if (state === '42P01' || state === '42703' || state === '42P10') {
      // Somebody changed the table: look at it again before the next attempt.
      prepared = undefined
      return failed('column_missing', `${where}: ${messageOf(error)}`)
    }
    if (state === '42501' || state?.startsWith('28')) return failed('unauthorized', `${where}: ${messageOf(error)}`)
    if (isUnavailable(error) || state?.startsWith('40')) return failed('unavailable', `${where}: ${messageOf(error)}`)
    return failed('rejected', `${where}: ${messageOf(error)} (SQLSTATE ${state ?? 'none'})`)
  }

  return {
    async start() {
      try {
        await prepare()
      } catch (error) {
        if (error instanceof RelayError || fenced || !isUnavailable(error)) throw error
        log.warn(
          { sink: name, database: describeUrl(url), error: messageOf(error) },
          'the database of this sink is away: its table is checked when it is back',
        )
      }
    },
    async deliver(batch) {
      const outcomes = new Map<LeasedDelivery, Outcome>()
      let shape: TableShape
      try {
        ;({ shape } = await prepare())
      } catch (error) {
        return batch.map(() => failureOf(error))
      }
      const rows: Row[] = []
      for (const delivery of batch) {
        const row = readRow(delivery, shape)
        if ('status' in row) outcomes.set(delivery, row)
        else rows.push(row)
      }
      if (rows.length > 0) await upsert(rows, outcomes)
      return batch.map((delivery) => outcomes.get(delivery) ?? failed('internal', 'no outcome'))
    },
    close: () => pool.end(),
  }
}

function failAll(rows: readonly Row[], outcomes: Map<LeasedDelivery, Outcome>, failure: Failure): void {
  for (const { delivery } of rows) if (!outcomes.has(delivery)) outcomes.set(delivery, failure)
}

async function readDelivered(pool: Pool, rows: readonly Row[]): Promise<Set<string>> {
  const { rows: found } = await pool.query<{ id: string }>(
    `select d.id from gemini_relay.deliveries d join unnest($1::int8[], $2::int8[]) as t (id, lease) on d.id = t.id and d.lease = t.lease
     where d.state = 'delivered'`,
    [int8Array(rows.map(({ delivery }) => delivery.id)), int8Array(rows.map(({ delivery }) => delivery.lease.id))],
  )
  return new Set(found.map(({ id }) => id))
}
