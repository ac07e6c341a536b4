-- Grants point at projects and environments, which are archived and never deleted.

alter table grants
    add constraint grants_project foreign key (project_id) references projects (id),
    add constraint grants_environment foreign key (environment_id) references environments (id);
