-- Projects, environments and services, and the placement where they meet: the unit that is rolled
-- out. Things are archived, not deleted. Words are checked here by the same rule as in the program
-- (`domain::name`), so a row that no parser could have made can not exist.

create function is_name(word text) returns boolean
    language sql immutable strict parallel safe
    return word ~ '^[a-z][a-z0-9]*(-[a-z0-9]+)*$' and length(word) <= 40;

-- What is fixed once written says so itself: a release is never edited, whoever asks.
create function refuse_change() returns trigger
    language plpgsql as
$$
begin
    raise exception '% is immutable', tg_table_name using errcode = 'restrict_violation';
end
$$;

create table projects (
    id uuid primary key,
    name text not null unique check (is_name(name)),
    added_at timestamptz not null default clock_timestamp(),
    archived_at timestamptz
);

-- How a machine is reached. The program knows the target of this machine by its kind alone.
create table targets (
    id uuid primary key,
    name text not null unique,
    kind text not null check (kind in ('docker', 'fake')),
    -- What it said when it was asked last, and whether it answered at all.
    answers boolean,
    says text not null default '',
    checked_at timestamptz,
    -- How far the router's journal of acts by hand was taken into the history.
    journal_read_to bigint not null default 0,
    added_at timestamptz not null default clock_timestamp()
);

create table environments (
    id uuid primary key,
    name text not null unique check (is_name(name)),
    position integer not null unique,
    protected boolean not null,
    target_id uuid not null references targets,
    policy jsonb not null,
    added_at timestamptz not null default clock_timestamp(),
    archived_at timestamptz
);

create table services (
    id uuid primary key,
    project_id uuid not null references projects,
    name text not null check (is_name(name)),
    -- For the next release. Each release carries the spec it was made with.
    spec jsonb not null,
    added_at timestamptz not null default clock_timestamp(),
    archived_at timestamptz,
    unique (project_id, name)
);

-- A running control plane. The row is the lease of all it holds: who does not renew it loses all.
create table nodes (
    id uuid primary key,
    address text,
    started_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp()
);

create table placements (
    id uuid primary key,
    service_id uuid not null references services,
    environment_id uuid not null references environments,
    size smallint not null default 1 check (size between 1 and 50),
    -- Who may act on it, and the number that voids what an older holder still has in its hands.
    holder uuid references nodes,
    epoch bigint not null default 0 check (epoch >= 0),
    -- The route that the target confirmed last: what a router that lost its file is given back.
    route_epoch bigint,
    route_revision bigint,
    route_slot text check (route_slot in ('blue', 'green')),
    -- The pair that is live, as the engine read it from the target.
    live_slot text check (live_slot in ('blue', 'green')),
    live_release_id uuid,
    live_configuration_id uuid,
    live_maker uuid,
    live_since timestamptz,
    -- The slot that could take the traffic back in one switch.
    warm_slot text check (warm_slot in ('blue', 'green')),
    warm_release_id uuid,
    warm_configuration_id uuid,
    warm_maker uuid,
    warm_until timestamptz,
    -- A person ended the warmth, with a row of his own.
    warm_end_asked boolean not null default false,
    -- Since a rollback, what deploys by itself waits until a person lifts this.
    held boolean not null default false,
    -- What differs from what should be, as a sentence.
    drift text,
    added_at timestamptz not null default clock_timestamp(),
    archived_at timestamptz,
    unique (service_id, environment_id),
    constraint placements_route_is_whole
        check ((route_epoch is null) = (route_revision is null)
               and (route_slot is null or route_epoch is not null)),
    constraint placements_live_is_whole
        check (num_nulls(live_slot, live_release_id, live_configuration_id, live_maker, live_since) in (0, 5)),
    constraint placements_warm_is_whole
        check (num_nulls(warm_slot, warm_release_id, warm_configuration_id, warm_maker, warm_until) in (0, 5)),
    constraint placements_live_is_not_warm check (live_slot <> warm_slot)
);

create index placements_of_holder on placements (holder);
create index placements_of_environment on placements (environment_id);

-- Neither the epoch nor the confirmed route goes back. An older holder's write that slipped through
-- every other check ends here.
create function placements_go_forward() returns trigger
    language plpgsql as
$$
begin
    if new.epoch < old.epoch then
        raise exception 'the epoch of a placement never goes back: % to %', old.epoch, new.epoch
            using errcode = 'restrict_violation';
    end if;
    if old.route_epoch is not null and (new.route_epoch is null
        or (new.route_epoch, new.route_revision) < (old.route_epoch, old.route_revision)) then
        raise exception 'the confirmed route of a placement never goes back'
            using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

create trigger placements_go_forward
    before update of epoch, route_epoch, route_revision on placements
    for each row execute function placements_go_forward();

-- Where requests come in. Normalized, and unique on a router: there is one router a target.
create table host_names (
    target_id uuid not null references targets,
    name text not null check (name = lower(name) and length(name) between 1 and 253),
    placement_id uuid not null references placements,
    -- Reaches the idle slot.
    preview boolean not null,
    -- The first is the one that is shown.
    position smallint not null,
    primary key (target_id, name),
    unique (placement_id, preview, position)
);

-- Immutable, numbered revisions of a placement's variables and limits.
create table configurations (
    id uuid primary key,
    placement_id uuid not null references placements,
    number integer not null check (number > 0),
    variables jsonb not null,
    limits jsonb not null,
    made_by uuid references users,
    made_by_name text not null,
    made_at timestamptz not null default clock_timestamp(),
    unique (placement_id, number),
    -- Lets a rollout name a configuration of its own placement and of no other.
    unique (placement_id, id)
);

create trigger configurations_are_immutable
    before update or delete on configurations
    for each row execute function refuse_change();
