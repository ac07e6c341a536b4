-- How often somebody was refused since `since`, and how many of those wait to be told. Who is signed in
-- and asks again and again for what he may not do, shall not fill the history with it.

create table refusals (
    user_id uuid primary key references users (id),
    since timestamptz not null default now(),
    times int not null default 1,
    untold int not null default 0
);
