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
create index events_received_at on events using brin (received_at);

-- due_at is null while a delivery is leased or ended, so that the usual life (inserted leased, then delivered) touches no
-- index: such updates are HOT. What holds a lease is found through `leases`.
create table deliveries (
  id           bigint generated always as identity primary key,
  event_id     bigint      not null references events (id) on delete cascade,
  rule         text        not null,
  sink         text        not null,
  replay       integer     not null default 0,
  state        text        not null check (state in ('pending', 'leased', 'delivered', 'dead')),
  due_at       timestamptz,
  lease        bigint,
  attempts     integer     not null default 0,
  takeovers    smallint    not null default 0,
  created_at   timestamptz not null default clock_timestamp(),
  expires_at   timestamptz not null,
  ended_at     timestamptz,
  code         text,
  message      text,
  unique (event_id, rule, sink, replay),
  check ((state = 'pending') = (due_at is not null)),
  check (state <> 'leased' or lease is not null)
) with (fillfactor = 85);
create index deliveries_due on deliveries (sink, rule, due_at, id) where due_at is not null;
create index deliveries_expiry on deliveries (expires_at) where due_at is not null;

-- code is null on the usual way, so this index costs only what failed.
create index deliveries_failed on deliveries (sink, id) where code is not null;

-- One row a lease, however many deliveries it covers: renewing is one row, finding the expired reads a small table.
create sequence lease_numbers;
create table leases (
  id         bigint      primary key,
  holder     text        not null,
  deadline   timestamptz not null,
  deliveries bigint[]    not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create table attempts (
  id          bigint generated always as identity primary key,
  delivery_id bigint      not null references deliveries (id) on delete cascade,
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
