-- min_binary: 0.1.0
-- What was made up for webhooks that never came: see docs/reconcile.md.

-- One row an end of a batch that the reconciler made an event of. Accept looks here, and nobody but the reconciler adds to it: it does
-- so under a lock on the table that keeps accept's look-up away, and only for ends of which there is no event.
create table job_ends (
  source   text   not null,
  subject  text   not null,                -- batches/…, however the event spells it
  type     text   not null,                -- batch.succeeded also for what is called batch.completed
  event_id bigint not null,                -- the reconciled event
  primary key (source, subject, type)
);
create index job_ends_event on job_ends (event_id);

-- By which the reconciler finds what came as a webhook.
create index events_batch_ends on events (subject)
  where type in ('batch.succeeded', 'batch.completed', 'batch.failed', 'batch.cancelled', 'batch.expired');
