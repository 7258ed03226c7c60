-- min_binary: 0.1.0
-- What is kept of webhooks at Gemini: which of them are ours, their signing secrets (encrypted: see encryption.ts), and what
-- was about to be done when a process died.

create table webhook_endpoints (
  id         text        primary key,      -- Gemini's
  source     text        not null,
  name       text,                         -- of the declaration that made it; null: made by `webhooks create`
  created_at timestamptz not null default clock_timestamp()
);

create table signing_secrets (
  id         bigint generated always as identity primary key,
  source     text        not null,
  webhook    text        not null,         -- Gemini's id
  key_id     text        not null,         -- of the encryption key
  secret     bytea       not null,         -- nonce, ciphertext, tag
  created_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz                   -- null: the newest of its webhook
);
create index signing_secrets_webhook on signing_secrets (webhook);

-- Written before a call whose answer holds a secret, removed together with storing it. One that is still there belongs to a call
-- under way, or to a process that died: until it is healed, signatures that no known secret made are answered 503.
create table webhook_intents (
  id         bigint generated always as identity primary key,
  source     text        not null,
  webhook    text,                         -- to rotate; null: to create
  declared   text,                         -- to create: the declaration it is of, if any
  uri        text,                         -- to create
  known      text[],                       -- to create: ids of the webhooks there were before
  revocation text,                         -- to rotate
  opened_at  timestamptz not null default clock_timestamp()
);
