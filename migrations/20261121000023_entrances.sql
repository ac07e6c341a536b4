-- How a cluster's services are reached from outside, and its contexts with where they lead.

alter table targets
    -- The contexts of the kubeconfig: name, server, user and namespace of each, nothing secret. What
    -- `contexts` had is in here, and nobody reads that any more.
    add column ways jsonb not null default '[]'
        check (jsonb_typeof(ways) = 'array' and jsonb_array_length(ways) <= 100),
    -- "{service}.{project}.{environment}.example.com". Without it nothing comes in from outside.
    add column hosts text check (length(hosts) between 1 and 253),
    add column entrance_class text check (length(entrance_class) between 1 and 253),
    add column certificate text check (length(certificate) between 1 and 253),
    add constraint targets_entrance_of_a_cluster check (kind = 'kubernetes' or hosts is null),
    add constraint targets_entrance_is_whole
        check (hosts is not null or num_nonnulls(entrance_class, certificate) = 0);

update targets set ways = coalesce(
    (select jsonb_agg(jsonb_build_object('name', one, 'server', '', 'user', '', 'namespace', null))
     from unnest(contexts) as one),
    '[]');

-- On a cluster they led nowhere: they were names of this machine's router.
delete from host_names where target_id in (select id from targets where kind = 'kubernetes');
