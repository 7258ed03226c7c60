-- min_binary: 0.1.0
-- The message of each job, for Slack sinks that thread or update: see docs/sinks.md.

-- Written after Slack's answer and before the delivery's outcome, by whoever holds the delivery; a sink has one delivery of a subject
-- under way at a time.
create table slack_messages (
  sink           text        not null,
  channel        text        not null,     -- as configured
  source         text        not null,
  subject        text        not null,
  posted_channel text        not null,     -- as Slack answered: a message to a user (U…) is in a channel of its own (D…)
  ts             text        not null,     -- Slack's id of the message within its channel
  shown_time     timestamptz not null,     -- of the event that the message shows; an older one does not overwrite it
  shown_event    bigint      not null,
  delivery_id    bigint      not null,     -- the last one that was shown, in the message or in its thread
  lease          bigint      not null,     -- of that one: whoever holds an older one has lost it, and changes nothing
  used_at        timestamptz not null default clock_timestamp(),
  primary key (sink, channel, source, subject)
);
create index slack_messages_used on slack_messages (used_at);
