-- min_binary: 0.1.0
-- Of each subject of a sink that keeps order one delivery is leased at a time, whatever two claims see of each other: see claim-ordered.ts.

-- Nobody leases anything until this is committed.
lock table delivery_rows in share row exclusive mode;

-- What two processes have under way already goes on, but only the oldest keeps its subject; one that becomes pending again gets it back.
update delivery_rows d set subject = null
from delivery_rows o
where d.state = 'leased' and o.state = 'leased' and o.sink = d.sink and o.subject = d.subject and o.id < d.id;

create unique index delivery_rows_turn on delivery_rows (sink, subject) where subject is not null and state = 'leased';
