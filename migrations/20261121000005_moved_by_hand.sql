-- Who moved a placement's traffic past us since our last switch, in words. While it is there, pages
-- offer to put the traffic back.
alter table placements add column moved_by text check (char_length(moved_by) between 1 and 1000);
