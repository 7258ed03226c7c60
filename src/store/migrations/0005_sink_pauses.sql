-- min_binary: 0.1.0
-- Sinks to which nothing is sent until somebody says so: see docs/operations.md.

create table sink_pauses (
  sink      text        primary key,
  reason    text        not null,
  address   text,                          -- a hash of the address that answered 410; null: paused by hand
  paused_at timestamptz not null default clock_timestamp()
);
