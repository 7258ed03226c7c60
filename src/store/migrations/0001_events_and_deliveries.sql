-- min_binary: 0.1.0
-- Events are kept byte for byte: no jsonb, which refuses what JSON.parse accepts (\u0000, 1e400000, lone surrogates).

create table events (
  id             bigint generated always as identity primary key,
  source         text        not null,
  webhook_id     text        not null,
  scheme         text        not null,
  type           text,                     -- null: could not be stored, see accept/commit.ts
  subject        text,
  event_time     timestamptz,
  received_at    timestamptz not null,
  body           bytea       not null,
  claims_metadata bytea,                   -- user_metadata of a JWT's claims, JSON
  unique (source, webhook_id)
);

-- Deliveries are owed by the group: those of one rule and sink that were accepted together are one row until something happens
-- to them; a claim may take a part of it, which is then a group of its own. Inserting them one by one, and updating each, cost more than the event itself.
create table delivery_groups (
  id         bigint      generated always as identity primary key,
  rule       text        not null,
  sink       text        not null,
  lease      bigint,                       -- null: pending
  due_at     timestamptz,                  -- null: leased
  takeovers  smallint    not null default 0,
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  ids        bigint[]    not null,         -- of the deliveries, ascending
  events     bigint[]    not null,         -- their events, in the same order
  check ((lease is null) = (due_at is not null)),
  check (cardinality(ids) = cardinality(events))
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
create index delivery_groups_due on delivery_groups (sink, rule, due_at, id) where due_at is not null;
create index delivery_groups_expiry on delivery_groups (expires_at) where due_at is not null;
create index delivery_groups_lease on delivery_groups (lease) where lease is not null;
-- The oldest event that is owed: none from there on is pruned.
create index delivery_groups_oldest on delivery_groups ((events[1]));

-- One row a delivery from the first thing that happens to it: an outcome, or a replay that asked for it. The usual one is
-- inserted as delivered and never touched again. No foreign key to events: checking it cost a fifth of
-- accepting, and only pruning deletes events.
create table delivery_rows (
  id           bigint generated always as identity primary key,
  event_id     bigint      not null,
  rule         text        not null,
  sink         text        not null,
  replay       integer     not null default 0,
  state        text        not null check (state in ('pending', 'leased', 'delivered', 'dead')),
  due_at       timestamptz,                -- null unless pending
  lease        bigint,
  attempts     integer     not null default 0,
  takeovers    smallint    not null default 0,
  created_at   timestamptz not null default clock_timestamp(),
  expires_at   timestamptz not null,
  ended_at     timestamptz,
  code         text,
  message      text,
  subject      text,                       -- of a sink that keeps the order of its subjects: see claim-ordered.ts
  check ((state = 'pending') = (due_at is not null)),
  check (state <> 'leased' or lease is not null)
) with (fillfactor = 95);
create index delivery_rows_event on delivery_rows (event_id);
create unique index delivery_rows_replay on delivery_rows (event_id, rule, sink, replay) where replay > 0;
create index delivery_rows_due on delivery_rows (sink, rule, due_at, id) where due_at is not null;
create index delivery_rows_subject on delivery_rows (sink, subject, id) where subject is not null and state in ('pending', 'leased');
create index delivery_rows_expiry on delivery_rows (expires_at) where due_at is not null;

-- code is null on the usual way, so this index costs only what failed.
create index delivery_rows_failed on delivery_rows (sink, id) where code is not null;

-- Every delivery, whichever way it is kept: for people who look.
create view deliveries as
  select id, event_id, rule, sink, replay, state, due_at, lease, attempts, takeovers, created_at, expires_at, ended_at, code, message
  from delivery_rows
  union all
  select d.id, d.event_id, g.rule, g.sink, 0, case when g.lease is null then 'pending' else 'leased' end, g.due_at, g.lease,
    0, g.takeovers, g.created_at, g.expires_at, null, null, null
  from delivery_groups g cross join unnest(g.ids, g.events) as d (id, event_id)
  where (select true from delivery_rows r where r.id = d.id) is null;

-- One row a lease, however many deliveries it covers: renewing is one row, finding the expired reads a small table.
create sequence lease_numbers;
create table leases (
  id         bigint      primary key,
  holder     text        not null,
  deadline   timestamptz not null,
  deliveries bigint[]    not null         -- of delivery_rows; groups name their lease
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create table attempts (
  id          bigint generated always as identity primary key,
  delivery_id bigint      not null references delivery_rows (id) on delete cascade,
  number      integer     not null,
  ended_at    timestamptz not null default clock_timestamp(),
  code        text        not null,
  message     text        not null
);
create index attempts_delivery on attempts (delivery_id);

create table token_uses (
  source      text  not null,
  digest      bytea not null,
  webhook_id  text  not null,
  body_digest bytea not null,
  expires_at  timestamptz,                 -- null: the token verifies for ever, so its use is kept for ever
  primary key (source, digest)
);
create index token_uses_expiry on token_uses (expires_at) where expires_at is not null;
