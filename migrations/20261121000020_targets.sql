-- Targets that are not this machine: a cluster with its sealed credentials. Whoever has opened one
-- sees by `version` that it has to be opened anew.

alter table targets drop constraint targets_kind_check;
alter table targets drop constraint targets_name_key;
alter table targets
    add constraint targets_kind check (kind in ('docker', 'fake', 'kubernetes')),
    -- The kubeconfig, sealed with a key that lies outside the database, about this row. Without it
    -- a cluster is spoken to as the service account that we run as.
    add column credentials bytea check (octet_length(credentials) <= 524288),
    -- Which of the kubeconfig's contexts is used, and which there are.
    add column context text check (length(context) between 1 and 253),
    add column contexts text[] not null default '{}' check (cardinality(contexts) <= 100),
    add column namespaces text check (length(namespaces) between 1 and 128),
    add column probe_image text check (length(probe_image) between 1 and 512),
    add column version integer not null default 1 check (version > 0),
    -- Who set the credentials last.
    add column set_by uuid references users,
    add column set_by_name text,
    add column set_at timestamptz,
    add column archived_at timestamptz,
    add constraint targets_of_a_cluster
        check ((kind = 'kubernetes') = (namespaces is not null)),
    add constraint targets_credentials_of_a_cluster
        check (kind = 'kubernetes' or num_nonnulls(credentials, context, probe_image) = 0),
    -- What is not used any more keeps no credentials.
    add constraint targets_archived_keep_nothing
        check (archived_at is null or credentials is null);

create unique index targets_one_name on targets (name) where archived_at is null;
