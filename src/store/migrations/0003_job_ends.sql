-- min_binary: 0.1.0
-- What was made up for webhooks that never came: see docs/reconcile.md.

-- Ends of batches that the reconciler made events of, each in every spelling that a webhook may use, so that accept has nothing to translate.
-- Nobody but the reconciler adds to it: under a lock on the table that keeps accept's look-up away, and only for ends of which there is no event.
create table job_ends (
  source   text   not null,
  subject  text   not null,
  type     text   not null,
  event_id bigint not null,                -- the reconciled event
  primary key (source, subject, type)
);
create index job_ends_event on job_ends (event_id);

-- For the reconciler, which walks the ends that were told lately. By number, because that grows: entries of an index on the subject
-- would go all over it, at twice the cost.
create index events_batch_ends on events (id)
  where type in ('batch.succeeded', 'batch.completed', 'batch.failed', 'batch.cancelled', 'batch.expired');
