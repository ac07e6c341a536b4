//! The key of the vault: a lost one is told once, in the history too, and does not stop anything.

use super::world::World;
use control::{Control, Settings};
use domain::history::Deed;
use sqlx::PgPool;
use std::sync::Arc;
use vault::Vault;

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_lost_key_is_told_once_and_is_a_row(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let with =
        |vault: Vault| Control::new(world.pool.clone(), Settings::default(), Arc::new(vault));
    let first = with(Vault::in_memory());
    assert_eq!(first.check_key().await?, None, "there is no secret yet");
    assert_eq!(first.check_key().await?, None, "the same key");

    let another = with(Vault::in_memory());
    let told = another.check_key().await?;
    let again = another.check_key().await?;

    assert!(told.is_some_and(|told| told.contains("set anew")));
    assert_eq!(again, None, "the canary is sealed with the new key");
    let rows = world.told().await?;
    let lost = rows.iter().filter(|row| matches!(row.deed, Deed::KeyLost { .. })).count();
    assert_eq!(lost, 1);
    Ok(())
}
