-- Releases, rollouts and inquiries. The invariants of a rollout are indexes here, so that no path
-- through the program has to remember them.

-- What an image is, whatever its tags say later.
create table images (
    id text primary key check (id ~ '^sha256:[0-9a-f]{64}$'),
    facts jsonb not null,
    seen_at timestamptz not null default clock_timestamp()
);

create table releases (
    id uuid primary key,
    service_id uuid not null references services,
    name text not null check (name ~ '^[A-Za-z0-9][A-Za-z0-9._+-]{0,62}$'),
    image_id text not null references images,
    -- What the person typed.
    reference text not null,
    -- The service's spec at that moment.
    spec jsonb not null,
    made_by uuid references users,
    made_by_name text not null,
    made_at timestamptz not null default clock_timestamp(),
    -- Not deployed any more. The one thing that may change.
    retired_at timestamptz,
    unique (service_id, name)
);

create index releases_newest on releases (service_id, id desc);

create trigger releases_are_immutable
    before update of id, service_id, name, image_id, reference, spec, made_by, made_by_name, made_at
    on releases for each row execute function refuse_change();
create trigger releases_stay
    before delete on releases for each row execute function refuse_change();

alter table placements
    add foreign key (live_release_id) references releases,
    add foreign key (warm_release_id) references releases,
    add foreign key (live_configuration_id) references configurations,
    add foreign key (warm_configuration_id) references configurations;

-- One attempt to make a release with a configuration live. What it pinned never changes; where it
-- stands is `state`, and the columns that indexes need are read from it, so they can not differ.
create table rollouts (
    id uuid primary key,
    -- Rises in the order they were asked for: a click names the newest it saw.
    number bigint not null generated always as identity unique,
    placement_id uuid not null references placements,
    kind text not null check (kind in ('deploy', 'rollback', 'remove')),
    release_id uuid not null references releases,
    configuration_id uuid not null,
    -- The release that was live when it was asked for.
    from_release_id uuid references releases,
    from_configuration_id uuid references configurations,
    policy jsonb not null,
    target_id uuid not null references targets,
    state jsonb not null,
    -- Asked by a person and not yet answered by a step.
    request jsonb,
    requested_by uuid not null references users,
    requested_by_name text not null,
    reason text,
    asked_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    phase text not null generated always as (state ->> 'phase') stored
        constraint rollouts_phase check (phase in (
            'queued', 'preflight', 'awaiting_approval', 'preparing', 'verifying',
            'awaiting_promotion', 'switching', 'observing', 'draining', 'switching_back',
            'cleaning_up', 'succeeded', 'failed', 'aborted', 'rolled_back', 'superseded')),
    errored boolean not null
        generated always as (coalesce(state -> 'trouble', 'null') <> 'null') stored,
    waiting boolean not null generated always as (state ->> 'phase' = 'queued') stored,
    active boolean not null generated always as (state ->> 'phase' not in (
        'queued', 'succeeded', 'failed', 'aborted', 'rolled_back', 'superseded')) stored,
    foreign key (placement_id, configuration_id) references configurations (placement_id, id),
    constraint rollouts_end_when_they_end check ((ended_at is null) = (active or waiting)),
    -- What has ended can not be asked for anything.
    constraint rollouts_that_ended_have_no_request check (ended_at is null or request is null)
);

-- One rollout is active in a placement, and one waits.
create unique index rollouts_one_active on rollouts (placement_id) where active;
create unique index rollouts_one_waiting on rollouts (placement_id) where waiting;
create index rollouts_newest on rollouts (placement_id, number desc);
create index rollouts_ended on rollouts (placement_id, number desc) where ended_at is not null;
create index rollouts_that_were_live on rollouts (placement_id, ended_at desc)
    where phase = 'succeeded';

-- What it pinned when it was asked for stays, and what has ended never moves again.
create function rollouts_keep_their_word() returns trigger
    language plpgsql as
$$
begin
    if (new.id, new.number, new.placement_id, new.kind, new.release_id, new.configuration_id, new.policy,
        new.target_id, new.requested_by, new.asked_at)
       is distinct from
       (old.id, old.number, old.placement_id, old.kind, old.release_id, old.configuration_id, old.policy,
        old.target_id, old.requested_by, old.asked_at) then
        raise exception 'what a rollout pinned never changes' using errcode = 'restrict_violation';
    end if;
    if old.ended_at is not null and new.state is distinct from old.state then
        raise exception 'a rollout that ended never moves again' using errcode = 'restrict_violation';
    end if;
    return new;
end
$$;

create trigger rollouts_keep_their_word
    before update on rollouts for each row execute function rollouts_keep_their_word();
create trigger rollouts_stay
    before delete on rollouts for each row execute function refuse_change();

-- Questions that only a target can answer: asked by a request, answered by the engine, followed by
-- the page. What nobody answered in time has expired.
create table inquiries (
    id uuid primary key,
    question jsonb not null,
    target_id uuid not null references targets,
    project_id uuid not null references projects,
    service_id uuid not null references services,
    asked_by uuid not null references users,
    asked_at timestamptz not null default clock_timestamp(),
    -- It is not answered any more after this.
    expires_at timestamptz not null,
    taken_by uuid references nodes,
    taken_at timestamptz,
    answer jsonb,
    answered_at timestamptz,
    check ((answer is null) = (answered_at is null))
);

create index inquiries_open on inquiries (asked_at) where answer is null;
create index inquiries_by_age on inquiries (expires_at);
