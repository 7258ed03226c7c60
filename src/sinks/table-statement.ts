/** The upsert of a batch, one statement and so one transaction. */
import { escapeIdentifier } from 'pg'
import type { TableShape } from './table-shape.ts'

// `"relay …"` has a space, which no column of a sink can have: no name of a user's is in the way.
// In the relay's own database the rows count as delivered in the same transaction, and only those whose lease still holds.
// A delivery of a group gets its row here; the lock on its lease keeps a takeover away until this is committed. Leases as one array:
// joined, each would be compared with each delivery as often as statistics call their table small.
const fenced = {
  parameters: ', $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::int8[]',
  names: ['"relay rule"', '"relay sink"', '"relay created"', '"relay expires"', '"relay takeovers"'],
  done: `
), held as (
  select id from gemini_relay.leases where id = any ((select array_agg(distinct "relay lease") from incoming where "relay created" is not null)::int8[]) for key share
), changed as (
  update gemini_relay.delivery_rows d
    set state = 'delivered', attempts = d.attempts + 1, ended_at = clock_timestamp(), code = null, message = null
    from incoming i where i."relay created" is null and d.id = i."relay delivery" and d.lease = i."relay lease" and d.state = 'leased'
    returning d.id
), made as (
  insert into gemini_relay.delivery_rows (id, event_id, rule, sink, state, lease, attempts, takeovers, created_at, expires_at, ended_at)
    overriding system value
    select i."relay delivery", i.relay_event_seq, i."relay rule", i."relay sink", 'delivered', h.id, 1, i."relay takeovers", i."relay created",
      i."relay expires", clock_timestamp()
    from incoming i join held h on h.id = i."relay lease" where i."relay created" is not null
    on conflict (id) do nothing
    returning id
), done as (
  select i.* from incoming i where i."relay delivery" in (select id from changed union all select id from made)`,
}

const unfenced = { parameters: '', names: [], done: `\n), done as (\n  select * from incoming` }

/**
 * Parameters: $1 delivery ids, $2 leases, $3 event times, $4 event numbers; if fenced, of deliveries of groups $5 rules, $6 sinks,
 * $7 and $8 when they were created and expire, $9 takeovers; then one text array a column.
 * Returns the ids of the deliveries that are done; where several share a key only the newest is written, the others
 * are superseded by it.
 */
export function upsertStatement({ table, columns }: TableShape, key: readonly string[], isFenced: boolean): string {
  const fence = isFenced ? fenced : unfenced
  const names = columns.map(({ name }) => escapeIdentifier(name))
  const keys = key.map(escapeIdentifier)
  const own = ['"relay delivery"', '"relay lease"', 'relay_event_time', 'relay_event_seq', ...fence.names]
  const written = [...names, 'relay_event_time', 'relay_event_seq'].join(', ')
  const keyList = keys.join(', ')
  const firstColumn = 5 + fence.names.length
  const parameters = columns.map((_, index) => `, $${index + firstColumn}::text[]`).join('')
  const casts = columns.map(({ sqlType }, index) => `, ${names[index]}::${sqlType} as ${names[index]}`).join('')
  const updates = [...names.filter((name) => !keys.includes(name)), 'relay_event_time', 'relay_event_seq']
  return `
with incoming as (
  select ${own.join(', ')}${casts}
  from unnest($1::int8[], $2::int8[], $3::timestamptz[], $4::int8[]${fence.parameters}${parameters})
    as t (${[...own, ...names].join(', ')})${fence.done}
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
