-- Registries, where a service's images go in them, which images are where, and pushes on their way.

create table registries (
    id uuid primary key,
    name text not null check (is_name(name)),
    -- HOST or HOST:PORT, in lower case.
    address text not null check (address = lower(address) and length(address) between 1 and 260),
    -- Both or neither: without them nobody signs in there. The password is sealed with a key that
    -- lies outside the database, about this row.
    username text check (length(username) between 1 and 128),
    password bytea check (octet_length(password) <= 32768),
    -- Who set the credentials last.
    set_by uuid not null references users,
    set_by_name text not null,
    set_at timestamptz not null default clock_timestamp(),
    added_at timestamptz not null default clock_timestamp(),
    archived_at timestamptz,
    check ((username is null) = (password is null)),
    -- What is not used any more keeps no password.
    check (archived_at is null or password is null)
);

-- By its address an image's registry is found, so there is one of each.
create unique index registries_one_name on registries (name) where archived_at is null;
create unique index registries_one_address on registries (address) where archived_at is null;

-- Where the images of a service go, and under which tags.
create table push_rules (
    service_id uuid primary key references services,
    registry_id uuid not null references registries,
    repository text not null check (length(repository) between 3 and 200),
    tags text[] not null check (cardinality(tags) between 1 and 10),
    after_build boolean not null
);

create index push_rules_registry on push_rules (registry_id);

-- By which digest an image can be fetched from where. Of each repository the newest one.
create table image_digests (
    image_id text not null check (image_id ~ '^sha256:[0-9a-f]{64}$'),
    repository text not null,
    digest text not null check (digest ~ '^sha256:[0-9a-f]{64}$'),
    how text not null check (how in ('pushed', 'pulled')),
    at timestamptz not null default clock_timestamp(),
    primary key (image_id, repository)
);

-- An image on its way to a registry: asked by a person or by a build, sent by whichever node is
-- first. A node that dies leaves it to the next one: sending again what is there costs little.
create table pushes (
    id uuid primary key,
    release_id uuid not null references releases,
    registry_id uuid not null references registries,
    repository text not null,
    tags text[] not null check (cardinality(tags) between 1 and 10),
    state text not null check (state in ('waiting', 'pushing', 'pushed', 'failed')),
    bytes bigint not null default 0,
    of_bytes bigint not null default 0,
    says text not null default '',
    digest text check (digest ~ '^sha256:[0-9a-f]{64}$'),
    why text,
    asked_by uuid not null references users,
    asked_by_name text not null,
    asked_at timestamptz not null default clock_timestamp(),
    taken_by uuid references nodes,
    taken_at timestamptz,
    attempts integer not null default 0,
    ended_at timestamptz,
    check ((ended_at is null) = (state in ('waiting', 'pushing'))),
    check ((digest is not null) = (state = 'pushed')),
    check ((why is not null) = (state = 'failed'))
);

-- Of two who push one release at once, one does.
create unique index pushes_one_open on pushes (release_id) where ended_at is null;
create index pushes_open on pushes (asked_at) where ended_at is null;
create index pushes_of_release on pushes (release_id, asked_at desc);

-- A registry is tried for no project and no service.
alter table inquiries alter column project_id drop not null;
alter table inquiries alter column service_id drop not null;
alter table inquiries add constraint inquiries_place
    check ((project_id is null) = (service_id is null)) not valid;
