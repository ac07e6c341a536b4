-- A value that the program sealed itself: whether it still opens says at each start whether the key
-- in the data directory is the one that this database's secrets were sealed with.
create table vault_canary (
    one boolean primary key default true check (one),
    sealed bytea not null,
    sealed_at timestamptz not null default clock_timestamp()
);
