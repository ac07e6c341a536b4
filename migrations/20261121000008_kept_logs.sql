-- The last lines of instances that are gone from their target, or were about to go: for people who
-- ask why. What still runs is read from the target. Rows go by themselves after some days.
create table kept_logs (
    -- The target's own id of the instance.
    instance text primary key check (length(instance) between 1 and 128),
    placement_id uuid not null references placements,
    name text not null,
    slot text not null check (slot in ('blue', 'green')),
    -- The rollout whose instance it was. A database from a backup may not know it.
    rollout_id uuid not null,
    -- Why it did not run any more when it was read, where it did not.
    ended text,
    -- JSON. Compressed by the database.
    lines bytea not null check (octet_length(lines) <= 2097152),
    -- When the last of them was written, in nanoseconds of Unix time.
    last_ns bigint not null,
    kept_at timestamptz not null default clock_timestamp()
);

create index kept_logs_of_placement on kept_logs (placement_id, last_ns desc);
create index kept_logs_by_age on kept_logs (kept_at);
