-- What ran and what was asked of it, by time: an hour of seconds, seven days of minutes. Not history:
-- it may be thinned and goes by itself, a whole partition at once.
--
-- Times are Unix time in seconds. They are numbers, because they are cut into steps wherever they are
-- read, and because the router counts in them.

-- A second of a slot. What could not be measured is null: the router was away, or the engine was.
create table slot_seconds (
    placement_id uuid not null,
    at bigint not null,
    slot text not null check (slot in ('blue', 'green')),
    requests integer,
    failures integer,
    longest_gap_ms integer,
    -- How many answers took how long: (step of the upper bound, count) pairs of small numbers.
    latencies bytea check (octet_length(latencies) <= 4096),
    -- Of all instances of the slot together.
    cpu_percent real,
    memory_bytes bigint,
    instances smallint,
    -- How many instances were started again in this second.
    restarts smallint,
    primary key (placement_id, at, slot),
    constraint slot_seconds_are_counted_whole
        check (num_nulls(requests, failures, longest_gap_ms, latencies) in (0, 4)),
    constraint slot_seconds_are_metered_whole
        check (num_nulls(cpu_percent, memory_bytes, instances, restarts) in (0, 4))
) partition by range (at);

-- A minute of a slot, made of its seconds: sums, averages and the most of a second.
create table slot_minutes (
    placement_id uuid not null,
    at bigint not null check (at % 60 = 0),
    slot text not null check (slot in ('blue', 'green')),
    -- In how many seconds traffic was counted, and in how many usage was read.
    counted smallint not null check (counted between 0 and 60),
    metered smallint not null check (metered between 0 and 60),
    requests bigint not null,
    failures bigint not null,
    longest_gap_ms integer not null,
    latencies bytea not null check (octet_length(latencies) <= 4096),
    cpu_percent real not null,
    cpu_percent_most real not null,
    memory_bytes bigint not null,
    memory_bytes_most bigint not null,
    instances smallint not null,
    restarts smallint not null,
    primary key (placement_id, at, slot)
) partition by range (at);

-- The same of an instance, by the name that people see.
create table instance_seconds (
    placement_id uuid not null,
    at bigint not null,
    slot text not null check (slot in ('blue', 'green')),
    instance text not null check (length(instance) between 1 and 128),
    cpu_percent real not null,
    memory_bytes bigint not null,
    restarts smallint not null,
    primary key (placement_id, at, instance)
) partition by range (at);

create table instance_minutes (
    placement_id uuid not null,
    at bigint not null check (at % 60 = 0),
    slot text not null check (slot in ('blue', 'green')),
    instance text not null check (length(instance) between 1 and 128),
    metered smallint not null check (metered between 1 and 60),
    cpu_percent real not null,
    cpu_percent_most real not null,
    memory_bytes bigint not null,
    memory_bytes_most bigint not null,
    restarts smallint not null,
    primary key (placement_id, at, instance)
) partition by range (at);

-- Makes the partition of `width` seconds in which `moment` lies. Made on its own and attached, so
-- nobody who reads or writes waits for it.
create function samples_add_partition(parent text, width bigint, moment bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    low constant bigint := moment / width * width;
    partition constant text := parent || '_' || low;
begin
    if to_regclass('public.' || quote_ident(partition)) is not null then
        return;
    end if;
    execute format('create table public.%I (like public.%I including all)', partition, parent);
    execute format(
        'alter table public.%I add constraint %I check (at >= %s and at < %s)',
        partition, partition || '_range', low, low + width
    );
    execute format(
        'alter table public.%I attach partition public.%I for values from (%s) to (%s)',
        parent, partition, low, low + width
    );
    execute format('alter table public.%I drop constraint %I', partition, partition || '_range');
end
$$;

revoke all on function samples_add_partition(text, bigint, bigint) from public;

-- Makes the partitions that are needed soon and drops those that are too old, by this database's
-- clock. Also drops what lies far ahead: a clock that was wrong for a while left it there, and it
-- would stay for as long as the clock was wrong by. So there are never more than a few of each.
--
-- The application may not make or drop tables, and calls this once a minute. It takes no argument and
-- does only what time would do, so everybody may.
create function samples_keep_house() returns void
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
-- Who reads holds a partition for a moment. Whoever comes next minute tries again.
set lock_timeout = '2s'
as $$
declare
    now constant bigint := extract(epoch from clock_timestamp())::bigint;
    kept record;
    old record;
begin
    -- Two control planes: one does it.
    if not pg_try_advisory_xact_lock(7300, 16) then
        return;
    end if;
    for kept in
        select * from (values
            ('slot_seconds', 900::bigint, 3600::bigint),
            ('instance_seconds', 900, 3600),
            ('slot_minutes', 86400, 604800),
            ('instance_minutes', 86400, 604800)
        ) as k (parent, width, age)
    loop
        for step in -1 .. 2 loop
            perform public.samples_add_partition(kept.parent, kept.width, now + step * kept.width);
        end loop;
        for old in
            select c.relname
            from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            where i.inhparent = ('public.' || kept.parent)::regclass
                and (
                    substring(c.relname from '\d+$')::bigint + kept.width <= now - kept.age
                    or substring(c.relname from '\d+$')::bigint > now + 4 * kept.width
                )
        loop
            execute format('drop table public.%I', old.relname);
        end loop;
    end loop;
end
$$;

select samples_keep_house();

select grant_to_application();
