-- Secrets of a placement. A value is sealed by the program with a key that lies outside the database,
-- and is never changed: setting it anew adds a version. Configurations name versions, so that going
-- back brings back the value that was live.

create table secrets (
    id uuid primary key,
    placement_id uuid not null references placements,
    -- The name of the variable that instances read.
    name text not null check (name ~ '^[A-Za-z_][A-Za-z0-9_]*$' and length(name) <= 128),
    unique (placement_id, name)
);

create table secret_versions (
    secret_id uuid not null references secrets,
    version integer not null check (version > 0),
    -- Bound to this secret and this version: moved into another row it does not open.
    sealed bytea not null check (octet_length(sealed) between 1 and 16384),
    set_by uuid references users,
    set_by_name text not null,
    set_at timestamptz not null default clock_timestamp(),
    primary key (secret_id, version)
);

create trigger secret_versions_are_immutable
    before update or delete on secret_versions
    for each row execute function refuse_change();

-- Name to secret and version. A configuration of before has none.
alter table configurations add column secrets jsonb not null default '{}';
