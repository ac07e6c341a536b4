-- Invitations: a link that makes an account with the grants it carries. It works once, and expires.

create table invitations (
    id uuid primary key,
    -- The SHA-256 of what the link holds. The link itself is shown once and kept nowhere.
    token bytea not null unique check (octet_length(token) = 32),
    -- What whoever invites calls the person, who may choose another name.
    name text not null check (char_length(name) between 1 and 40),
    invited_by uuid not null references users (id),
    invited_at timestamptz not null default now(),
    expires_at timestamptz not null,
    -- Null while the link may still be used.
    ended text check (ended in ('accepted', 'withdrawn', 'expired')),
    ended_at timestamptz,
    -- Who was made with it, or who withdrew it.
    ended_by uuid references users (id),
    check (expires_at > invited_at),
    check ((ended is null) = (ended_at is null)),
    check (coalesce(ended in ('accepted', 'withdrawn'), false) = (ended_by is not null))
);

-- A form that was sent twice invites once.
create unique index invitations_one_open on invitations (lower(name)) where ended is null;

create table invitation_grants (
    invitation_id uuid not null references invitations (id) on delete cascade,
    role text not null check (role in ('viewer', 'deployer', 'releaser', 'auditor', 'admin')),
    project_id uuid references projects (id),
    environment_id uuid references environments (id)
);

create unique index invitation_grants_once on invitation_grants (
    invitation_id,
    role,
    coalesce(project_id, '00000000-0000-0000-0000-000000000000'),
    coalesce(environment_id, '00000000-0000-0000-0000-000000000000')
);
