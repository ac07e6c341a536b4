//! Configurations: immutable, numbered revisions of a placement's variables, secret
//! versions and limits.

use crate::{Conn, Result};
use domain::{
    configuration::{Configuration, Variables, secret::Secrets},
    id::{ConfigurationId, PlacementId, UserId},
    service::Limits,
};
use sqlx::types::Json;

/// The newest configuration of each placement, in no order. Every placement has one.
pub async fn newest_of(
    conn: &mut Conn,
    placements: &[PlacementId],
) -> Result<Vec<(PlacementId, Configuration)>> {
    let placements: Vec<_> = placements.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select distinct on (placement_id)
            placement_id as "placement: PlacementId", id as "id: ConfigurationId", number,
            variables as "variables: Json<Variables>", secrets as "secrets: Json<Secrets>",
            limits as "limits: Json<Limits>"
        from configurations
        where placement_id = any($1)
        order by placement_id, number desc
        "#,
        &placements,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let configuration = Configuration {
                id: row.id,
                number: row.number,
                variables: row.variables.0,
                secrets: row.secrets.0,
                limits: row.limits.0,
            };
            (row.placement, configuration)
        })
        .collect())
}

/// The newest configuration of a placement.
pub async fn newest(conn: &mut Conn, placement: PlacementId) -> Result<Option<Configuration>> {
    Ok(newest_of(conn, &[placement]).await?.pop().map(|(_, configuration)| configuration))
}

/// A configuration of this placement; none of another.
pub async fn of_placement(
    conn: &mut Conn,
    placement: PlacementId,
    id: ConfigurationId,
) -> Result<Option<Configuration>> {
    let row = sqlx::query!(
        r#"
        select number, variables as "variables: Json<Variables>",
            secrets as "secrets: Json<Secrets>", limits as "limits: Json<Limits>"
        from configurations where id = $1 and placement_id = $2
        "#,
        id.0,
        placement.0,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Configuration {
        id,
        number: row.number,
        variables: row.variables.0,
        secrets: row.secrets.0,
        limits: row.limits.0,
    }))
}

/// Adds a revision. Its number is the next one; the placement is locked.
pub async fn add(
    conn: &mut Conn,
    placement: PlacementId,
    configuration: &Configuration,
    by: UserId,
    by_name: &str,
) -> Result<()> {
    sqlx::query!(
        r#"
        insert into configurations
            (id, placement_id, number, variables, secrets, limits, made_by, made_by_name)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        configuration.id.0,
        placement.0,
        configuration.number,
        Json(&configuration.variables) as _,
        Json(&configuration.secrets) as _,
        Json(&configuration.limits) as _,
        by.0,
        by_name,
    )
    .execute(conn)
    .await?;
    Ok(())
}
