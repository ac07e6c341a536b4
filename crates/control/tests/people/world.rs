//! A database with two projects and two environments, a first admin, and people with any roles.

use control::{Asked, Control, Settings};
use domain::{
    history::{Deed, Entry, Origin},
    id::{EnvironmentId, ProjectId},
    role::Role,
};
use sqlx::PgPool;
use std::sync::Arc;
use uuid::Uuid;
use vault::Vault;

/// Good enough for everybody here.
pub const PASSWORD: &str = "seven wet lanterns";

pub const DEMO: ProjectId = ProjectId(Uuid::from_u128(1));
pub const OTHER: ProjectId = ProjectId(Uuid::from_u128(2));
pub const STAGING: EnvironmentId = EnvironmentId(Uuid::from_u128(3));
pub const PRODUCTION: EnvironmentId = EnvironmentId(Uuid::from_u128(4));

pub struct World {
    pub pool: PgPool,
    pub control: Control,
    pub admin: Asked,
}

pub fn origin() -> Origin {
    from("127.0.0.1")
}

pub fn from(address: &str) -> Origin {
    Origin { request: "test".into(), address: address.into(), agent: "tests".into() }
}

/// Control over a database where nobody is yet.
pub fn control(pool: &PgPool) -> Control {
    Control::new(pool.clone(), Settings::default(), Arc::new(Vault::in_memory()))
}

impl World {
    pub async fn new(pool: PgPool) -> anyhow::Result<Self> {
        sqlx::raw_sql(
            "insert into targets (id, name, kind) values ('00000000-0000-0000-0000-000000000009', 'here', 'fake');
            insert into projects (id, name) values
                ('00000000-0000-0000-0000-000000000001', 'demo'),
                ('00000000-0000-0000-0000-000000000002', 'other');
            insert into environments (id, name, position, protected, target_id, policy) values
                ('00000000-0000-0000-0000-000000000003', 'staging', 1, false, '00000000-0000-0000-0000-000000000009', '{}'),
                ('00000000-0000-0000-0000-000000000004', 'production', 2, true, '00000000-0000-0000-0000-000000000009', '{}');",
        )
        .execute(&pool)
        .await?;
        let control = control(&pool);
        let token = control.first_admin_link().await?.expect("nobody is admin");
        let signed_in =
            control.make_first_admin(&origin(), &token, "Ana", PASSWORD, PASSWORD).await?;
        let admin = asked(&control, &signed_in.secret).await?.expect("signed in");
        Ok(Self { pool, control, admin })
    }

    /// Adds somebody with these roles, and signs him in.
    pub async fn person(
        &self,
        name: &str,
        roles: &[(Role, Option<ProjectId>, Option<EnvironmentId>)],
    ) -> anyhow::Result<Asked> {
        let person = self.control.add_person(&self.admin, name, PASSWORD).await?;
        for (role, project, environment) in roles {
            self.control.give_grant(&self.admin, person, *role, *project, *environment).await?;
        }
        self.sign_in(name).await
    }

    pub async fn sign_in(&self, name: &str) -> anyhow::Result<Asked> {
        let signed_in = self.control.sign_in(&origin(), name, PASSWORD).await?;
        Ok(asked(&self.control, &signed_in.secret).await?.expect("signed in"))
    }

    /// All that the history says, oldest first.
    pub async fn told(&self) -> anyhow::Result<Vec<Entry>> {
        let mut conn = self.pool.acquire().await?;
        let rows = store::history::after(&mut conn, 0, 10_000).await?;
        Ok(rows.iter().map(store::history::Stored::entry).collect::<Result<_, _>>()?)
    }

    /// The last thing the history says.
    pub async fn last_deed(&self) -> anyhow::Result<Deed> {
        Ok(self.told().await?.pop().expect("a row").deed)
    }
}

/// Who is behind a cookie, as the server asks for each request.
pub async fn asked(control: &Control, secret: &str) -> anyhow::Result<Option<Asked>> {
    let found = control.authenticate(&origin(), secret).await?;
    Ok(found.map(|found| Asked { actor: found.actor, origin: origin(), idempotency_key: None }))
}
