-- min_binary: 0.1.0
-- What failed before its sink was told to keep the order of its subjects: see claim-ordered.ts. Rows that are retried are in it, others are not.

create index delivery_rows_unnamed on delivery_rows (sink, rule) where subject is null and due_at is not null;
