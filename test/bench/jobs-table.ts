/** The table that a table sink of the benchmarks fills, in the relay's own database, and what is asked of it. */
import pg from 'pg'

export interface JobsTable {
  /** Rows so far, those of statements under way included: from the sequence, at the same cost whatever the table holds. */
  arrived(): Promise<number>
  /** Rows, counted. */
  rows(): Promise<number>
  /** When the rows since `arrived` were committed, by webhook-id, in milliseconds since the epoch. */
  committedSince(arrived: number): Promise<Map<string, number>>
  /**
   * How much later than a commit's time its client knows of it, in milliseconds: the time is taken before the WAL is
   * flushed. Of one small commit that is made now.
   *
   * @param epoch milliseconds since the epoch
   */
  commitLag(epoch: () => number): Promise<number>
  /** Nobody reads or writes the table until it is unlocked. */
  lock(): Promise<void>
  unlock(): Promise<void>
  close(): Promise<void>
}

/** In YAML; the name is `jobs`. @param more further options of the sink */
export const jobsSink = (more = ''): string =>
  `jobs: { type: table, table: jobs, key: [webhook_id], columns: { webhook_id: event.webhook_id, type: event.type, subject: event.subject, ended: { type: timestamptz, value: event.timestamp } }, ${more} }`

export async function createJobsTable(databaseUrl: string): Promise<JobsTable> {
  const client = new pg.Client({ connectionString: databaseUrl })
  const locking = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await locking.connect()
  await client.query(`
    create table jobs (
      webhook_id text primary key, type text, subject text, ended timestamptz,
      relay_event_time timestamptz not null, relay_event_seq bigint not null,
      arrived bigserial
    );
    create table commits (id bigint generated always as identity primary key)`)

  async function one<Row extends pg.QueryResultRow>(text: string): Promise<Row> {
    const { rows } = await client.query<Row>(text)
    const [row] = rows
    if (row === undefined) throw new Error(`no row from ${text}`)
    return row
  }

  return {
    async arrived() {
      const { arrived } = await one<{ arrived: string }>(
        'select case when is_called then last_value else 0 end as arrived from jobs_arrived_seq',
      )
      return Number(arrived)
    },
    async rows() {
      return Number((await one<{ count: string }>('select count(*) from jobs')).count)
    },
    async committedSince(arrived) {
      const { rows } = await client.query<{ webhook_id: string; committed: number }>(
        `select webhook_id, (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000)::float8 as committed
         from jobs where arrived > $1`,
        [arrived],
      )
      return new Map(rows.map(({ webhook_id, committed }) => [webhook_id, committed]))
    },
    async commitLag(epoch) {
      const { id } = await one<{ id: string }>('insert into commits default values returning id')
      const known = epoch()
      const { committed } = await one<{ committed: number }>(
        `select (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000)::float8 as committed from commits where id = ${id}`,
      )
      return known - committed
    },
    async lock() {
      await locking.query('begin; lock table jobs in access exclusive mode')
    },
    async unlock() {
      await locking.query('rollback')
    },
    async close() {
      await client.end()
      await locking.end()
    },
  }
}
