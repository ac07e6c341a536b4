-- What people want of a placement from day to day: stopped, restarted one by one, taken away and
-- placed again. Desired values, carried out by the placement's holder.

alter table placements
    -- A person stopped it: nothing is routed and nothing runs until it is started or deployed to.
    add column stopped_at timestamptz,
    add column stopped_by text check (char_length(stopped_by) between 1 and 100),
    -- A restart that is under way, or that could not go on: `domain::restart::Restart`.
    add column restart jsonb,
    -- What differs is the instances themselves, so putting back makes them anew.
    add column changed boolean not null default false,
    add constraint placements_stopped_is_whole check ((stopped_at is null) = (stopped_by is null));

-- A service that was taken from an environment can be placed there again; the archived placement
-- keeps its rollouts and configurations.
alter table placements drop constraint placements_service_id_environment_id_key;
create unique index placements_once on placements (service_id, environment_id)
    where archived_at is null;
create index placements_archived on placements (service_id, environment_id, archived_at desc)
    where archived_at is not null;
