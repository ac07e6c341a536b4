-- What builds are given and leave nowhere: secrets of a service by name, and who reads its repository.
-- Values are sealed by the program with a key that lies outside the database.

create table build_secrets (
    id uuid primary key,
    service_id uuid not null references services,
    -- The id by which a step mounts it.
    name text not null check (name ~ '^[A-Za-z0-9_][A-Za-z0-9_.-]*$' and length(name) <= 64),
    -- Since then no build is given it. Set anew it goes on counting.
    removed_at timestamptz,
    unique (service_id, name)
);

create table build_secret_versions (
    secret_id uuid not null references build_secrets,
    version integer not null check (version > 0),
    -- Bound to this secret and this version: moved into another row it does not open.
    sealed bytea not null check (octet_length(sealed) between 1 and 16384),
    set_by uuid not null references users,
    set_by_name text not null,
    set_at timestamptz not null default clock_timestamp(),
    primary key (secret_id, version)
);

create trigger build_secret_versions_are_immutable
    before update or delete on build_secret_versions
    for each row execute function refuse_change();

-- Who reads the repository of a service, at one host and port: for another one it is not opened.
create table source_logins (
    service_id uuid primary key references services,
    -- HOST:PORT, in lower case.
    host text not null check (host = lower(host) and length(host) between 3 and 260),
    username text not null check (length(username) between 1 and 128),
    password bytea not null check (octet_length(password) between 1 and 32768),
    set_by uuid not null references users,
    set_by_name text not null,
    set_at timestamptz not null default clock_timestamp()
);
