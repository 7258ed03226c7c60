/**
 * A row of a table for each subject, say: columns by CEL, upserted on a key. In the relay's own database the row and the
 * delivery's end are one transaction (exactly once); in another database the upsert is idempotent.
 */
import type { SinkConfigOf } from '../config/schema.ts'
import type { Target } from '../config/targets.ts'
import { RelayError, messageOf } from '../errors.ts'
import type { Log } from '../log.ts'
import { ExpressionError } from '../route/expression.ts'
import { queryUntil } from '../store/abortable.ts'
import { int8Array, textArray, timestamptzArray } from '../store/binary-array.ts'
import { createPool, describeUrl, type Pool } from '../store/pool.ts'
import { isBadRow, isUnavailable, retryConflicts, sqlState } from '../store/sqlstate.ts'
import { createTurns } from '../turns.ts'
import type { Failure, LeasedDelivery, Outcome } from '../types.ts'
import type { ByRule } from './by-rule.ts'
import { compileSaid } from './retarget.ts'
import { failed, isRetryable, type Sink } from './sink.ts'
import { compileColumns, type ColumnOfRule } from './table-columns.ts'
import { shapeTable, type TableShape } from './table-shape.ts'
import { upsertStatement } from './table-statement.ts'
import { columnText } from './table-value.ts'

export interface TableSinkOptions {
  name: string
  config: SinkConfigOf<'table'>
  /** The rules that feed this sink, with what they say about it. */
  targets: readonly Target[]
  /** The relay's own database, where `config.url` names no other. */
  relayUrl: string
  log: Log
}

interface Row {
  delivery: LeasedDelivery
  values: (string | null)[]
}

interface Prepared {
  shape: TableShape
  statement: string
  /** Of the prepared statement: another one for each text, or connections that know the old text refuse the new. */
  name: string
}

type Columns = ByRule<readonly ColumnOfRule[]>
type Outcomes = Map<LeasedDelivery, Outcome>

/** The table is not what it was when it was looked at: no table, column, index or type of that name, or another type. */
const changedStates = new Set(['42P01', '42703', '42P10', '42704', '42804', '42846'])

/** Waiting for a locked table costs its own deliveries only, and not for long: the delivery's schedule waits better. */
const lockTimeoutMs = 2_000

export function createTableSink({ name, config, targets, relayUrl, log }: TableSinkOptions): Sink {
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
  const said = compileSaid(targets, (all) => compileColumns(config, all))
  let prepared: Prepared | undefined
  let preparations = 0

  async function prepare(): Promise<Prepared> {
    if (prepared !== undefined) return prepared
    const shape = await shapeTable(pool, name, config)
    prepared = { shape, statement: upsertStatement(shape, config.key, fenced), name: `upsert ${++preparations}` }
    return prepared
  }

  function readRow(
    delivery: LeasedDelivery,
    expressions: readonly ColumnOfRule[] | undefined,
    { columns }: TableShape,
  ): Row | Failure {
    const values: (string | null)[] = []
    if (expressions === undefined) return failed('internal', `rule ${delivery.rule} does not feed the sink ${name}`)
    for (const [index, { column, isKey, read }] of expressions.entries()) {
      try {
        const value = columnText(read(delivery.stored.event, delivery.resource), columns[index]?.kind ?? 'scalar')
        if (value === null && isKey) return failed('value_rejected', `sink ${name}: key column ${column} is null`)
        values.push(value)
      } catch (error) {
        if (!(error instanceof ExpressionError)) throw error
        return failed('expression_error', `sink ${name}: column ${column}: ${error.message}`)
      }
    }
    return { delivery, values }
  }

  async function write(
    batch: readonly LeasedDelivery[],
    columns: Columns,
    outcomes: Outcomes,
    signal: AbortSignal,
  ): Promise<void> {
    let table: Prepared
    try {
      table = await prepare()
    } catch (error) {
      for (const delivery of batch) outcomes.set(delivery, failureOf(error))
      return
    }
    const rows: Row[] = []
    const turns = createTurns()
    for (const delivery of batch) {
      await turns.next()
      const row = readRow(delivery, columns.get(delivery.rule), table.shape)
      if ('status' in row) outcomes.set(delivery, row)
      else rows.push(row)
    }
    if (rows.length > 0) await upsert(table, rows, outcomes, signal)
  }

  async function upsert(table: Prepared, rows: readonly Row[], outcomes: Outcomes, signal: AbortSignal): Promise<void> {
    try {
      const done = await retryConflicts(() => run(table, rows, signal))
      for (const { delivery } of rows) outcomes.set(delivery, outcomeOf(done.has(delivery.id)))
    } catch (error) {
      const failure = signal.aborted ? givenUp() : failureOf(error)
      if (rows.length > 1 && !isRetryable(failure) && failure.code !== 'column_missing') {
        // One row the table will not take must not cost the others: narrow down to it.
        const half = Math.ceil(rows.length / 2)
        await upsert(table, rows.slice(0, half), outcomes, signal)
        await upsert(table, rows.slice(half), outcomes, signal)
        return
      }
      const delivered = fenced && !signal.aborted && isUnavailable(error) ? await readDelivered(pool, rows) : new Set<string>()
      for (const { delivery } of rows) outcomes.set(delivery, delivered.has(delivery.id) ? { status: 'recorded' } : failure)
    }
  }

  async function run(
    { shape, statement, name: statementName }: Prepared,
    rows: readonly Row[],
    signal: AbortSignal,
  ): Promise<Set<string>> {
    const done = await queryUntil<[string]>(signal, pool, {
      name: statementName,
      rowMode: 'array',
      text: statement,
      values: [
        int8Array(rows.map(({ delivery }) => delivery.id)),
        int8Array(rows.map(({ delivery }) => delivery.lease.id)),
        timestamptzArray(rows.map(({ delivery }) => delivery.stored.time)),
        int8Array(rows.map(({ delivery }) => delivery.stored.id)),
        ...(fenced ? groupValues(rows) : []),
        ...shape.columns.map((_, index) => textArray(rows.map(({ values }) => values[index] ?? null))),
      ],
    })
    return new Set(done.map(([id]) => id))
  }

  function outcomeOf(done: boolean): Outcome {
    if (!fenced) return { status: 'delivered' }
    return { status: done ? 'recorded' : 'lost' }
  }

  function givenUp(): Failure {
    return failed('timeout', `sink ${name}: table ${config.table} at ${describeUrl(url)} did not answer in time`)
  }

  function failureOf(error: unknown): Failure {
    const state = sqlState(error)
    const where = `sink ${name}: table ${config.table} at ${describeUrl(url)}`
    if (error instanceof RelayError) return failed('column_missing', error.message)
    if (state === '55P03') return failed('locked', `${where} is locked by another session`)
    if (state === '57014') return failed('timeout', `${where} did not answer within ${config.timeout} ms`)
    if (state !== undefined && changedStates.has(state)) return failed('column_missing', `${where}: ${messageOf(error)}`)
    if (isBadRow(error)) return failed('value_rejected', `sink ${name}: ${messageOf(error)}`)
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
    async deliver(batch, signal) {
      const outcomes: Outcomes = new Map()
      if (signal.aborted) return batch.map(givenUp)
      const columns = said.now()
      await write(batch, columns, outcomes, signal)
      // Somebody changed the table: it is looked at again, and only what still does not fit counts.
      const changed = batch.filter((delivery) => isColumnMissing(outcomes.get(delivery)))
      if (changed.length > 0) {
        prepared = undefined
        await write(changed, columns, outcomes, signal)
      }
      return batch.map((delivery) => outcomes.get(delivery) ?? failed('internal', 'no outcome'))
    },
    retarget: said.retarget,
    close: () => pool.end(),
  }
}

/** What a delivery of a group needs to get its row. */
function groupValues(rows: readonly Row[]): Buffer[] {
  return [
    textArray(rows.map(({ delivery }) => delivery.rule)),
    textArray(rows.map(({ delivery }) => delivery.sink)),
    timestamptzArray(rows.map(({ delivery }) => delivery.group?.createdAt ?? null)),
    timestamptzArray(rows.map(({ delivery }) => delivery.group?.expiresAt ?? null)),
    int8Array(rows.map(({ delivery }) => delivery.group?.takeovers ?? null)),
  ]
}

function isColumnMissing(outcome: Outcome | undefined): boolean {
  return outcome?.status === 'failed' && outcome.code === 'column_missing'
}

/** A connection that broke may have hidden a commit that held: what is delivered already is not attempted again. */
async function readDelivered(pool: Pool, rows: readonly Row[]): Promise<Set<string>> {
  try {
    const { rows: found } = await pool.query<{ id: string }>(
      `select d.id from gemini_relay.delivery_rows d join unnest($1::int8[], $2::int8[]) as t (id, lease) on d.id = t.id and d.lease = t.lease
       where d.state = 'delivered'`,
      [int8Array(rows.map(({ delivery }) => delivery.id)), int8Array(rows.map(({ delivery }) => delivery.lease.id))],
    )
    return new Set(found.map(({ id }) => id))
  } catch {
    // Still away. The next attempt is fenced as well: it changes nothing that is delivered.
    return new Set()
  }
}
