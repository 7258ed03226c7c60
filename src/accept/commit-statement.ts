/** The text of the one statement behind every 2xx, in its forms. Its parameters are in commit.ts. */

const columns = 'source, webhook_id, scheme, type, subject, event_time, received_at, body, claims_metadata'

/** What deliveries of one group have in common: the same parameters for one event and for many. */
const kindRows = `unnest($10::text[], $11::text[], $12::bool[], $13::int8[]) with ordinality as k (rule, sink, leased, horizon_ms, kind)`

/**
 * Of a statement whose events may tell the end of a batch: whether the reconciler has made no event of this end. `for key share` is there for the
 * lock that it takes on the table: the reconciler's own keeps that away, so that a statement which waited for the reconciler sees what it made, while
 * what only reads, such as pg_dump, is in nobody's way. A subquery, not a join: it is asked once for each new event, by the key.
 */
const owes = (source: string, subject: string, type: string) =>
  `, (select true from gemini_relay.job_ends j where j.source = ${source} and j.subject = ${subject} and j.type = ${type} for key share) is null as owes`

/**
 * The parts that differ by how many events there are. `numbered` is what this statement inserted, by position in the group: as
 * the CTEs see one snapshot, deliveries exist for new events only. One event alone comes as plain values, and joins nothing: it is the one
 * whose sender waits for nothing but the statement.
 */
const forms = {
  one: {
    numbered: (ends: boolean) => `
with numbered as (
  insert into gemini_relay.events (${columns}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
  on conflict (source, webhook_id) do nothing returning id, 1::bigint as n${ends ? owes('$1', '$5', '$4') : ''}
)`,
    owing: () => '',
    ids: `array[nextval('gemini_relay.delivery_rows_id_seq')]`,
    events: 'array[o.id]',
    owed: (filter: string) => `numbered o cross join ${kindRows}${filter}`,
    holder: '$14',
    leaseMs: '$15',
  },
  // For joins of unnests hash joins are right, and the planner's guess of ten rows an unnest picks nested ones: see `acceptSettings`.
  many: {
    numbered: (ends: boolean) => `
with new_events as (
  insert into gemini_relay.events (${columns})
  select * from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::bytea[], $9::bytea[])
  on conflict (source, webhook_id) do nothing
  returning id, source, webhook_id${ends ? ', subject, type' : ''}
), numbered as (
  select e.id, g.n${ends ? owes('e.source', 'e.subject', 'e.type') : ''}
  from new_events e join unnest($1::text[], $2::text[]) with ordinality as g (source, webhook_id, n) using (source, webhook_id)
)`,
    owing: (filter: string) => `
, owing as (
  select kind, array_agg(id order by id) as ids, array_agg(event_id order by id) as events from (
    select o.id as event_id, d.kind, nextval('gemini_relay.delivery_rows_id_seq') as id
    from numbered o join unnest($14::int8[], $15::int8[]) as d (n, kind) using (n)${filter} order by o.id
  ) d group by kind
)`,
    ids: 'o.ids',
    events: 'o.events',
    owed: () => `owing o join ${kindRows} using (kind)`,
    holder: '$16',
    leaseMs: '$17',
  },
}

type Form = (typeof forms)[keyof typeof forms]

/** On `numbered o`. */
const onlyOwing = (ends: boolean) => (ends ? ' where o.owes' : '')

interface Groups {
  form: Form
  ends: boolean
  lease: string
  dueAt: string
}

const newGroups = ({ form: { owing, ids, events, owed }, ends, lease, dueAt }: Groups) => `${owing(onlyOwing(ends))}
, new_groups as (
  insert into gemini_relay.delivery_groups (rule, sink, lease, due_at, expires_at, ids, events)
  select k.rule, k.sink, ${lease}, ${dueAt}, clock_timestamp() + k.horizon_ms * interval '1 millisecond', ${ids}, ${events}
  from ${owed(onlyOwing(ends))}
  returning lease, rule, sink, created_at, expires_at, ids, events
)`

const pendingGroups = (form: Form, ends: boolean) => newGroups({ form, ends, lease: 'null', dueAt: 'clock_timestamp()' })

const leasedGroups = (form: Form, ends: boolean) => `
, lease as (
  select nextval('gemini_relay.lease_numbers') as id where true = any ($12::bool[])
)${newGroups({
  form,
  ends,
  lease: 'case when k.leased then (select id from lease) end',
  dueAt: 'case when not k.leased then clock_timestamp() end',
})}
, new_lease as (
  insert into gemini_relay.leases (id, holder, deadline, deliveries)
  select lease, ${form.holder}, clock_timestamp() + ${form.leaseMs} * interval '1 millisecond', '{}' from new_groups where lease is not null group by lease
)`

const newRows = (ends: boolean) => `
, new_rows as (
  insert into gemini_relay.delivery_rows (event_id, rule, sink, subject, state, due_at, expires_at, ended_at, code, message)
  select o.id, d.rule, d.sink, d.subject, case when d.code is null then 'pending' else 'dead' end,
    case when d.code is null then clock_timestamp() end, clock_timestamp() + d.horizon_ms * interval '1 millisecond',
    case when d.code is not null then clock_timestamp() end, d.code, d.message
  from numbered o join unnest($18::int8[], $19::text[], $20::text[], $21::text[], $22::int8[], $23::text[], $24::text[]) with ordinality
    as d (n, rule, sink, subject, horizon_ms, code, message, position) using (n)${onlyOwing(ends)} order by o.id, d.position
)`

const selectEvents = `
select n, id, null, null, null, null, null, null, null from numbered`

const selectGroups = `
union all
select null, null, lease, rule, sink, created_at, expires_at, ids, events from new_groups where lease is not null`

const selectSuppressed = `
union all
select n, null, null, null, null, null, null, null, null from numbered where not owes`

/** What a group of requests asks of the statement. A part that is not in it costs nothing, and one event alone waits for each. */
export interface Needs {
  count: keyof typeof forms
  owed: keyof ReturnType<typeof statementsOf>
  /** Whether some event tells an end that the reconciler may have made an event of. */
  ends: 'plain' | 'ends'
}

function statementsOf(form: Form, ends: boolean) {
  const numbered = form.numbered(ends)
  const suppressed = ends ? selectSuppressed : ''
  return {
    nothing: `${form.numbered(false)}${selectEvents}`,
    pending: `${numbered}${pendingGroups(form, ends)}${selectEvents}${suppressed}`,
    leased: `${numbered}${leasedGroups(form, ends)}${selectEvents}${selectGroups}${suppressed}`,
    rows: `${numbered}${leasedGroups(form, ends)}${newRows(ends)}${selectEvents}${selectGroups}${suppressed}`,
  }
}

export const statements = {
  plain: { one: statementsOf(forms.one, false), many: statementsOf(forms.many, false) },
  ends: { one: statementsOf(forms.one, true), many: statementsOf(forms.many, true) },
}

/** What it answers: the new events first, then the delivery groups that went in leased, and the new events that owe nothing because of the reconciler. */
export type ResultRow =
  | [n: string, eventId: string, null, null, null, null, null, null, null]
  | [
      null,
      null,
      lease: string,
      rule: string,
      sink: string,
      createdAt: Date,
      expiresAt: Date,
      ids: readonly string[],
      events: readonly string[],
    ]
  | [suppressed: string, null, null, null, null, null, null, null, null]

/** Settings of the sessions that run {@link statements}. `job_ends` is read by its key, however small it looked when the plan was made. */
export const acceptSettings = '-c enable_nestloop=off -c enable_seqscan=off'
