//! Releases: an image and the spec of its service, fixed; and the pair of a release with a
//! configuration, which is what runs.

use crate::{Conn, Result, words::word};
use domain::{
    configuration::{Configuration, Variables, secret::Secrets},
    id::{BuildId, ConfigurationId, ReleaseId, ServiceId, UserId},
    name::{ContentId, ImageReference, ReleaseName},
    release::{ImageFacts, Pair, Release},
    service::{Limits, ServiceSpec},
};
use sqlx::types::Json;
use time::OffsetDateTime;

/// All of a pair that a plan is made from.
#[derive(Clone, Debug)]
pub struct PlanParts {
    pub release: Release,
    pub configuration: Configuration,
    /// Whom the image names as its user; empty where it names nobody.
    pub user: String,
    /// Not deployed any more. A rollback may still go back to it.
    pub retired: bool,
}

impl PlanParts {
    /// The pair whose parts these are.
    #[must_use]
    pub const fn pair(&self) -> Pair {
        Pair { release: self.release.id, configuration: self.configuration.id }
    }
}

/// The parts of a pair. `None` when there is no such pair.
pub async fn plan_parts(conn: &mut Conn, pair: Pair) -> Result<Option<PlanParts>> {
    Ok(plan_parts_of(conn, &[pair]).await?.pop())
}

/// The parts of some pairs, in their order, without those that are not there.
pub async fn plan_parts_of(conn: &mut Conn, pairs: &[Pair]) -> Result<Vec<PlanParts>> {
    let releases: Vec<_> = pairs.iter().map(|pair| pair.release.0).collect();
    let configurations: Vec<_> = pairs.iter().map(|pair| pair.configuration.0).collect();
    let rows = sqlx::query!(
        r#"
        select
            r.id as "id: ReleaseId", r.service_id as "service: ServiceId", r.name, r.image_id,
            r.reference, r.spec as "spec: Json<ServiceSpec>", r.made_at,
            r.retired_at is not null as "retired!", i.facts as "facts: Json<ImageFacts>",
            c.id as "configuration: ConfigurationId", c.number,
            c.variables as "variables: Json<Variables>", c.secrets as "secrets: Json<Secrets>",
            c.limits as "limits: Json<Limits>"
        from unnest($1::uuid[], $2::uuid[]) with ordinality as w (release_id, configuration_id, place)
        join releases r on r.id = w.release_id
        join images i on i.id = r.image_id
        join configurations c on c.id = w.configuration_id
        order by w.place
        "#,
        &releases,
        &configurations,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(PlanParts {
                release: Release {
                    id: row.id,
                    service: row.service,
                    name: word(&row.name)?,
                    image: word(&row.image_id)?,
                    reference: word(&row.reference)?,
                    spec: row.spec.0,
                    made_at: row.made_at,
                },
                configuration: Configuration {
                    id: row.configuration,
                    number: row.number,
                    variables: row.variables.0,
                    secrets: row.secrets.0,
                    limits: row.limits.0,
                },
                user: row.facts.0.user,
                retired: row.retired,
            })
        })
        .collect()
}

/// A release with what its page says of it.
#[derive(Clone, Debug)]
pub struct Known {
    pub release: Release,
    pub by: String,
    pub retired: bool,
    pub facts: ImageFacts,
}

/// One release.
pub async fn load(conn: &mut Conn, id: ReleaseId) -> Result<Option<Known>> {
    let row = sqlx::query!(
        r#"
        select
            r.service_id as "service: ServiceId", r.name, r.image_id, r.reference,
            r.spec as "spec: Json<ServiceSpec>", r.made_at, r.made_by_name,
            r.retired_at is not null as "retired!", i.facts as "facts: Json<ImageFacts>"
        from releases r
        join images i on i.id = r.image_id
        where r.id = $1
        "#,
        id.0,
    )
    .fetch_optional(conn)
    .await?;
    row.map(|row| {
        Ok(Known {
            release: Release {
                id,
                service: row.service,
                name: word(&row.name)?,
                image: word(&row.image_id)?,
                reference: word(&row.reference)?,
                spec: row.spec.0,
                made_at: row.made_at,
            },
            by: row.made_by_name,
            retired: row.retired,
            facts: row.facts.0,
        })
    })
    .transpose()
}

/// Makes a release. The name must be free in the service, which [`crate::services::lock`] keeps so
/// between [`names`] and here.
pub async fn add(
    conn: &mut Conn,
    release: &Release,
    facts: &ImageFacts,
    by: UserId,
    by_name: &str,
) -> Result<()> {
    insert(conn, release, facts, by, by_name, None).await
}

/// The same for a release of what `build` made.
pub async fn add_built(
    conn: &mut Conn,
    release: &Release,
    facts: &ImageFacts,
    by: UserId,
    by_name: &str,
    build: BuildId,
) -> Result<()> {
    insert(conn, release, facts, by, by_name, Some(build)).await
}

async fn insert(
    conn: &mut Conn,
    release: &Release,
    facts: &ImageFacts,
    by: UserId,
    by_name: &str,
    build: Option<BuildId>,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into images (id, facts) values ($1, $2)
        on conflict (id) do update set facts = excluded.facts, seen_at = clock_timestamp()
        "#,
        facts.id.as_str(),
        Json(facts) as _,
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        insert into releases (
            id, service_id, name, image_id, reference, spec, made_by, made_by_name, made_at, build_id
        ) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        "#,
        release.id.0,
        release.service.0,
        release.name.as_str(),
        release.image.as_str(),
        release.reference.as_str(),
        Json(&release.spec) as _,
        by.0,
        by_name,
        release.made_at,
        build.map(|build| build.0),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The names that are taken in a service.
pub async fn names(conn: &mut Conn, service: ServiceId) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar!("select name from releases where service_id = $1", service.0)
        .fetch_all(conn)
        .await?)
}

/// A release of a service's list.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: ReleaseId,
    pub name: ReleaseName,
    pub reference: ImageReference,
    pub image: ContentId,
    pub by: String,
    pub made_at: OffsetDateTime,
}

/// The newest releases of a service, newest first.
pub async fn newest(conn: &mut Conn, service: ServiceId, at_most: i64) -> Result<Vec<Listed>> {
    let rows = sqlx::query!(
        r#"
        select id as "id: ReleaseId", name, reference, image_id, made_by_name, made_at
        from releases where service_id = $1 order by id desc limit $2
        "#,
        service.0,
        at_most,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Listed {
                id: row.id,
                name: word(&row.name)?,
                reference: word(&row.reference)?,
                image: word(&row.image_id)?,
                by: row.made_by_name,
                made_at: row.made_at,
            })
        })
        .collect()
}
