-- What the commit of a build says in its first line, once it was fetched: text of a stranger.
alter table builds add column subject text check (length(subject) <= 200);
