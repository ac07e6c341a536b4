-- Builds: where a service's code is, each attempt to make an image of it, and what the attempts wrote.

-- For the next build. Each build carries what this was when it was asked for.
create table sources (
    service_id uuid primary key references services,
    source jsonb not null,
    changed_at timestamptz not null default clock_timestamp()
);

create table builds (
    id uuid primary key,
    service_id uuid not null references services,
    -- Counted in its service, from 1.
    number int not null check (number > 0),
    -- Those that were asked for with one click.
    batch_id uuid,
    -- The branch, tag or commit that was asked for, and the rest of the source as it was then.
    asked text not null,
    source jsonb not null,
    -- Pinned as well: a service that names a repository later does not push what was asked for before.
    pushes boolean not null default false,
    phase text not null default 'queued' check (phase in (
        'queued', 'fetching', 'building', 'pushing', 'succeeded', 'failed', 'cancelled', 'interrupted')),
    active boolean not null generated always as (phase in ('fetching', 'building', 'pushing')) stored,
    since timestamptz not null default clock_timestamp(),
    -- Who has it, and how often it was taken: a node that lost it can not move it any more.
    holder uuid references nodes,
    epoch bigint not null default 0,
    requested_by uuid not null references users,
    requested_by_name text not null,
    asked_at timestamptz not null default clock_timestamp(),
    cancel_asked_by text,
    fetching_at timestamptz,
    building_at timestamptz,
    pushing_at timestamptz,
    ended_at timestamptz,
    commit text check (commit ~ '^[0-9a-f]{40}([0-9a-f]{24})?$'),
    tag text,
    -- What the image is that was built, as its engine says.
    facts jsonb,
    size_bytes bigint,
    steps jsonb not null default '[]' check (octet_length(steps::text) <= 1048576),
    release_id uuid references releases,
    ending jsonb,
    -- Of the log: how many lines were written, and how many of them were let go.
    lines_written bigint not null default 0,
    lines_left_out bigint not null default 0,
    log_gone boolean not null default false,
    unique (service_id, number),
    constraint builds_end_when_they_end check (
        (ended_at is null) = (phase in ('queued', 'fetching', 'building', 'pushing'))),
    constraint builds_that_succeeded_have_a_release check (
        (phase = 'succeeded') = (release_id is not null)),
    constraint builds_say_why check (
        (phase in ('failed', 'cancelled', 'interrupted')) = (ending is not null)),
    constraint builds_are_held check (not active or holder is not null)
);

create index builds_newest on builds (service_id, number desc);
create index builds_queue on builds (id) where phase = 'queued';
create index builds_active on builds (id) where active;
create index builds_of_batch on builds (batch_id) where batch_id is not null;
create index builds_ended on builds (ended_at) where ended_at is not null and not log_gone;

-- What it pinned when it was asked for stays, and what has ended never moves again. Its log may go.
create function builds_keep_their_word() returns trigger
    language plpgsql as
$$
begin
    if (new.id, new.service_id, new.number, new.batch_id, new.asked, new.source, new.pushes,
        new.requested_by, new.requested_by_name, new.asked_at)
       is distinct from
       (old.id, old.service_id, old.number, old.batch_id, old.asked, old.source, old.pushes,
        old.requested_by, old.requested_by_name, old.asked_at) then
        raise exception 'what a build pinned never changes' using errcode = 'restrict_violation';
    end if;
    if old.ended_at is not null
       and (new.phase, new.ended_at, new.commit, new.tag, new.facts, new.size_bytes, new.release_id,
            new.ending, new.steps, new.lines_written, new.lines_left_out)
       is distinct from
       (old.phase, old.ended_at, old.commit, old.tag, old.facts, old.size_bytes, old.release_id,
        old.ending, old.steps, old.lines_written, old.lines_left_out) then
        raise exception 'a build that ended never moves again' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

create trigger builds_keep_their_word
    before update on builds for each row execute function builds_keep_their_word();
create trigger builds_stay
    before delete on builds for each row execute function refuse_change();

-- "Build and deploy": where the release goes when it is there, and what came of it.
create table build_deploys (
    build_id uuid not null references builds,
    placement_id uuid not null references placements,
    -- The newest rollout there when it was asked for: with a newer one, a person decides.
    newest_rollout_id uuid references rollouts,
    rollout_id uuid references rollouts,
    refused text,
    primary key (build_id, placement_id),
    check (rollout_id is null or refused is null)
);

create index build_deploys_open on build_deploys (build_id)
    where rollout_id is null and refused is null;

-- Lines in the order they were written, some in a chunk: gzip of JSON lines.
create table build_log_chunks (
    build_id uuid not null references builds,
    first_line bigint not null check (first_line > 0),
    lines int not null check (lines > 0),
    -- Before it was compressed.
    bytes int not null,
    chunk bytea not null check (octet_length(chunk) <= 4194304),
    primary key (build_id, first_line)
);

-- It is compressed already.
alter table build_log_chunks alter column chunk set storage external;

-- Where a release comes from, if it was built here.
alter table releases add column build_id uuid references builds;

create trigger releases_keep_their_build
    before update of build_id on releases for each row execute function refuse_change();
