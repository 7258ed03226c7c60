/** The upsert of a batch, one statement and so one transaction. */
import { escapeIdentifier } from 'pg'
import type { TableShape } from './table-shape.ts'

// `"relay delivery"` and `"relay lease"` have a space, which no column of a sink can have: no name of a user's is in the way.
// In the relay's own database the rows count as delivered in the same transaction, and only those whose lease still holds.
const fencedDeliveries = `update gemini_relay.deliveries d
    set state = 'delivered', attempts = d.attempts + 1, ended_at = clock_timestamp(), code = null, message = null
    from incoming i where d.id = i."relay delivery" and d.lease = i."relay lease" and d.state = 'leased'
    returning i.*`

const allDeliveries = `select * from incoming`

/**
 * Parameters: $1 delivery ids, $2 leases, $3 event times, $4 event numbers, then one text array a column.
 * Returns the ids of the deliveries that are done; where several share a key only the newest is written, the others
 * are superseded by it.
 */
export function upsertStatement({ table, columns }: TableShape, key: readonly string[], fenced: boolean): string {
  const names = columns.map(({ name }) => escapeIdentifier(name))
  const keys = key.map(escapeIdentifier)
  const written = [...names, 'relay_event_time', 'relay_event_seq'].join(', ')
  const keyList = keys.join(', ')
  const parameters = columns.map((_, index) => `, $${index + 5}::text[]`).join('')
  const casts = columns.map(({ sqlType }, index) => `, ${names[index]}::${sqlType} as ${names[index]}`).join('')
  const updates = [...names.filter((name) => !keys.includes(name)), 'relay_event_time', 'relay_event_seq']
  return `
with incoming as (
  select "relay delivery", "relay lease", relay_event_time, relay_event_seq${casts}
  from unnest($1::int8[], $2::int8[], $3::timestamptz[], $4::int8[]${parameters})
    as t (${['"relay delivery"', '"relay lease"', 'relay_event_time', 'relay_event_seq', ...names].join(', ')})
), done as (
  ${fenced ? fencedDeliveries : allDeliveries}
), newest as (
  select distinct on (${keyList}) * from done
  order by ${keyList}, relay_event_time desc, relay_event_seq desc
), upserted as (
  insert into ${table} as t (${written}) select ${written} from newest
  on conflict (${keyList}) do update set ${updates.map((name) => `${name} = excluded.${name}`).join(', ')}
  where t.relay_event_time is null or (excluded.relay_event_time, excluded.relay_event_seq) >= (t.relay_event_time, coalesce(t.relay_event_seq, 0))
)
select "relay delivery" from done`
}
