-- People, their grants and sessions, and the history.
--
-- Two roles: the owner runs this file, the application signs in as `pilothouse_app`, which may read
-- the history and execute `history_append`, and nothing more there. Where the owner may not create
-- roles, an administrator creates it, and the grants follow at the next start.

do $$
begin
    if not exists (select from pg_roles where rolname = 'pilothouse_app') then
        create role pilothouse_app login;
    end if;
exception
    when insufficient_privilege then
        raise notice 'The role pilothouse_app is missing, and this one may not create roles.';
    -- Another database of the same server was migrated at the same moment.
    when duplicate_object or unique_violation then
        null;
end
$$;

create table users (
    id uuid primary key,
    name text not null check (char_length(name) between 1 and 40),
    -- A PHC string: it says with which parameters it was made.
    password text not null,
    added_at timestamptz not null default now(),
    last_seen_at timestamptz,
    disabled_at timestamptz
);

-- People sign in without regard to case, so "Ana" and "ana" can not be two.
create unique index users_name on users (lower(name));

-- A role in a scope: two nulls are everything. The keys to projects and environments come with a
-- later migration, because those tables do.
create table grants (
    id uuid primary key,
    user_id uuid not null references users (id),
    role text not null check (role in ('viewer', 'deployer', 'releaser', 'auditor', 'admin')),
    project_id uuid,
    environment_id uuid,
    -- Null: by the one-time link or by a command on the machine.
    given_by uuid references users (id),
    given_at timestamptz not null default now()
);

create unique index grants_once on grants (
    user_id,
    role,
    coalesce(project_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(environment_id, '00000000-0000-0000-0000-000000000000')
);

-- There is always somebody who can manage people. The lock puts two who take from each other in
-- order; the second sees what the first did, because each statement here reads anew.
create function people_keep_an_admin() returns trigger
language plpgsql
set search_path = pg_catalog, public, pg_temp
as $$
begin
    perform pg_advisory_xact_lock(7300, 1);
    if not exists (
        select from public.grants g
        join public.users u on u.id = g.user_id
        where g.role = 'admin'
            and g.project_id is null
            and g.environment_id is null
            and u.disabled_at is null
    ) then
        raise exception 'this would remove the last admin'
            using errcode = 'check_violation', constraint = 'people_last_admin';
    end if;
    return null;
end
$$;

create trigger grants_keep_an_admin
    after delete or update on grants
    for each row when (
        old.role = 'admin' and old.project_id is null and old.environment_id is null
    )
    execute function people_keep_an_admin();

create trigger users_keep_an_admin
    after update on users
    for each row when (old.disabled_at is null and new.disabled_at is not null)
    execute function people_keep_an_admin();

-- A sign-in that has not ended. `secret` is the SHA-256 of what the cookie holds.
create table sessions (
    id uuid primary key,
    secret bytea not null unique check (octet_length(secret) = 32),
    -- What the cookie held until `renewed_at`: requests that were under way with it still count for
    -- some seconds.
    previous bytea unique check (octet_length(previous) = 32),
    renewed_at timestamptz,
    -- Rights have changed: the next request gets a new secret.
    renew boolean not null default false,
    user_id uuid not null references users (id),
    address text not null,
    agent text not null,
    started_at timestamptz not null default now(),
    seen_at timestamptz not null default now()
);

create index sessions_user on sessions (user_id);

-- The one-time link of the first start. At most one row.
create table first_admin (
    one boolean primary key default true check (one),
    token bytea not null check (octet_length(token) = 32),
    made_at timestamptz not null default now()
);

-- Failures to sign in, for the limits. Kept for minutes.
create table sign_in_failures (
    id bigint generated always as identity primary key,
    name text not null,
    address text not null,
    at timestamptz not null default now()
);

create index sign_in_failures_name on sign_in_failures (name, at);
create index sign_in_failures_address on sign_in_failures (address, at);

-- How many failures of a peer were told in the history since `since`, and how many wait to be told.
create table sign_in_peers (
    address text primary key,
    since timestamptz not null,
    told int not null default 0,
    untold int not null default 0,
    last_name text not null
);

-- What came of a request that carried a key, so that sending a form twice does it once.
create table idempotency (
    user_id uuid not null references users (id),
    verb text not null,
    key text not null check (char_length(key) between 1 and 200),
    -- Null only inside the transaction that does it.
    result text,
    at timestamptz not null default now(),
    primary key (user_id, verb, key)
);

create index idempotency_at on idempotency (at);

-- The history. Partitioned by number, so that retention can take off whole segments. No foreign
-- keys: a row outlives what it tells of. All columns but `body` repeat what the body says, for
-- filters; a proof compares them.
create table history (
    number bigint not null,
    version smallint not null,
    visibility text not null check (visibility in ('view', 'history_view')),
    kind text not null,
    actor uuid,
    actor_name text not null,
    project text,
    environment text,
    service text,
    placement uuid,
    rollout uuid,
    at timestamptz not null,
    body bytea not null,
    hash bytea not null check (octet_length(hash) = 32),
    primary key (number)
) partition by range (number);

create index history_rollout on history (rollout, number) where rollout is not null;
create index history_placement on history (placement, number) where placement is not null;
create index history_service on history (service, number) where service is not null;
create index history_actor on history (actor_name, number);
create index history_kind on history (kind, number);

-- The last number with its hash. Locked last in each transaction that appends, so rows commit in
-- the order of their numbers.
create table history_head (
    one boolean primary key default true check (one),
    number bigint not null,
    hash bytea not null check (octet_length(hash) = 32),
    at timestamptz not null
);

insert into history_head (number, hash, at)
values (0, decode(repeat('00', 32), 'hex'), '-infinity');

create function history_refuse() returns trigger
language plpgsql
as $$
begin
    raise exception 'the history is append-only' using errcode = 'insufficient_privilege';
end
$$;

create trigger history_no_change
    before update or delete on history
    for each row execute function history_refuse();

create trigger history_no_truncate
    before truncate on history
    for each statement execute function history_refuse();

-- Makes the partition of a million rows in which `first` lies. Made on its own and attached, so
-- nobody who reads or appends waits for it.
create function history_add_partition(first bigint) returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    low constant bigint := (first - 1) / 1000000 * 1000000 + 1;
    high constant bigint := low + 1000000;
    partition constant text := 'history_' || lpad((low / 1000000)::text, 6, '0');
begin
    if to_regclass('public.' || partition) is not null then
        return;
    end if;
    execute format('create table public.%I (like public.history including all)', partition);
    -- With this, attaching need not look for rows that do not belong.
    execute format(
        'alter table public.%I add constraint %I check (number >= %s and number < %s)',
        partition, partition || '_range', low, high
    );
    execute format(
        'alter table public.history attach partition public.%I for values from (%s) to (%s)',
        partition, low, high
    );
    -- Triggers on rows are inherited, those on truncate are not.
    execute format(
        'create trigger history_no_truncate before truncate on public.%I
            for each statement execute function public.history_refuse()',
        partition
    );
end
$$;

select history_add_partition(1);

-- Appends rows and says the last number and its time. The only way in.
--
-- Each body comes without its beginning: the time is put in front here, where the head is locked,
-- so times rise with numbers. The columns are read from the body, so they can not say other things.
create function history_append(
    version smallint,
    visibilities text[],
    bodies text[],
    out number bigint,
    out at timestamptz
)
language plpgsql
security definer
set search_path = pg_catalog, pg_temp
as $$
declare
    previous bytea;
    exact bytea;
    entry jsonb;
begin
    if cardinality(bodies) is distinct from cardinality(visibilities) or cardinality(bodies) = 0 then
        raise exception 'as many visibilities as bodies, and at least one';
    end if;

    select h.number, h.hash, h.at into strict number, previous, at
    from public.history_head h
    for update;

    for i in 1 .. cardinality(bodies) loop
        number := number + 1;
        at := greatest(at, clock_timestamp());
        exact := convert_to(
            '{"at":"' || to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '",'
                || bodies[i],
            'UTF8'
        );
        entry := convert_from(exact, 'UTF8')::jsonb;
        -- The same sum as `domain::history::chain`: the tag is "pilothouse history" and a zero.
        previous := sha256(
            '\x70696c6f74686f75736520686973746f727900'::bytea
                || int2send(version) || int8send(number) || previous || exact
        );

        insert into public.history (
            number, version, visibility, kind, actor, actor_name,
            project, environment, service, placement, rollout, at, body, hash
        ) values (
            number,
            version,
            visibilities[i],
            entry -> 'deed' ->> 'did',
            (entry -> 'by' ->> 'id')::uuid,
            coalesce(entry -> 'by' ->> 'name', entry -> 'by' ->> 'is'),
            entry ->> 'project',
            entry ->> 'environment',
            entry ->> 'service',
            (entry ->> 'placement')::uuid,
            (entry ->> 'rollout')::uuid,
            at,
            exact,
            previous
        );

        -- Long before it is needed, and outside of any hurry.
        if number % 1000000 = 900000 then
            perform public.history_add_partition(number + 1000000);
        end if;
    end loop;

    update public.history_head h set number = $4, hash = previous, at = $5;
    perform pg_notify('pilothouse_history', number::text);
end
$$;

revoke all on function history_append(smallint, text[], text[]) from public;
revoke all on function history_add_partition(bigint) from public;

-- Rows of a filter, through what a viewer's grants let him see: one window for each grant, in three
-- columns, where null is "any". A whole window shows all it covers; any window shows what is told
-- of things that may be seen through it. The planner writes this into the asking statement.
create function history_through(
    projects text[],
    environments text[],
    whole boolean[],
    person text,
    project text,
    environment text,
    service text,
    rollout uuid,
    kinds text[],
    since timestamptz
) returns setof history
language sql
stable
as $$
    select h.*
    from history h
    where ($4 is null or h.actor_name = $4)
        and ($5 is null or h.project = $5)
        and ($6 is null or h.environment = $6)
        and ($7 is null or h.service = $7)
        and ($8 is null or h.rollout = $8)
        and ($9 is null or h.kind = any ($9))
        and ($10 is null or h.at >= $10)
        and exists (
            select
            from unnest($1, $2, $3) as w (project, environment, whole)
            where (
                w.whole
                and (w.project is null or w.project = h.project)
                and (w.environment is null or w.environment = h.environment)
            ) or (
                h.visibility = 'view'
                and (w.project is null or h.project is null or w.project = h.project)
                and (
                    w.environment is null
                    or h.environment is null
                    or w.environment = h.environment
                )
            )
        )
$$;

-- Gives the application what it needs of every table there is. Runs after each migration, so a role
-- that an administrator creates later gets its grants at the next start.
create function grant_to_application() returns void
language plpgsql
set search_path = pg_catalog, pg_temp
as $$
declare
    name text;
begin
    if not exists (select from pg_roles where rolname = 'pilothouse_app')
        or current_user = 'pilothouse_app'
    then
        return;
    end if;
    grant usage on schema public to pilothouse_app;
    for name in
        select c.relname
        from pg_class c
        where c.relnamespace = 'public'::regnamespace
            and c.relkind in ('r', 'p')
            and not c.relispartition
            and c.relname not in ('history', 'history_head', '_sqlx_migrations')
    loop
        execute format(
            'grant select, insert, update, delete on public.%I to pilothouse_app', name
        );
    end loop;
    grant usage, select on all sequences in schema public to pilothouse_app;
    grant select on public.history, public.history_head to pilothouse_app;
    grant execute on function public.history_append(smallint, text[], text[]) to pilothouse_app;
end
$$;

revoke all on function grant_to_application() from public;

select grant_to_application();
