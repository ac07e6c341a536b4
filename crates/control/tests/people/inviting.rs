//! Invitations: a link that works once, expires, can be withdrawn, and can do no more than who made it.

use crate::world::{DEMO, PASSWORD, PRODUCTION, STAGING, World, asked, origin};
use control::Control;
use domain::{
    error::Problem,
    history::Deed,
    invitation::{InvitationPage, Made, Standing, UNKNOWN},
    role::{Granted, Role, Scope},
};
use sqlx::PgPool;
use std::time::Duration;

const RELEASER: Granted =
    Granted { role: Role::Releaser, scope: Scope::Both { project: DEMO, environment: STAGING } };
const VIEWER: Granted = Granted { role: Role::Viewer, scope: Scope::Everything };

fn token(made: &Made) -> &str {
    made.link.split_once("/invitation?token=").expect("a link").1
}

/// Tries the link with this name. The sentence of the refusal, if it is one.
async fn accept(control: &Control, made: &Made, name: &str) -> Result<String, Problem> {
    let accepted =
        control.accept_invitation(&origin(), token(made), name, PASSWORD, PASSWORD).await;
    accepted.map(|signed_in| signed_in.secret)
}

fn conflict(refused: Result<String, Problem>) -> String {
    match refused {
        Err(Problem::Conflict { sentence, .. }) => sentence,
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_invited_person_gets_an_account_with_what_the_link_carries_once(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let made = control.invite(&world.admin, "Bo", 3, &[RELEASER, VIEWER]).await?;

    let page = control.invitation(&origin(), token(&made)).await?;
    let InvitationPage::Open { name, by, carries, .. } = page else { panic!("{page:?}") };
    assert_eq!((name.as_str(), by.as_str()), ("Bo", "Ana"));
    assert_eq!(carries[0].scope_words, "demo in staging");

    let secret = accept(control, &made, "Bob").await?;
    let bob = asked(control, &secret).await?.expect("signed in");
    assert_eq!(bob.actor.name, "Bob");
    let mut grants = bob.actor.grants();
    grants.sort_by_key(|granted| granted.role);
    assert_eq!(grants, [VIEWER, RELEASER]);
    let rows = world.told().await?;
    let row = rows.iter().find(|row| matches!(row.deed, Deed::InvitationAccepted { .. }));
    let row = row.expect("a row");
    assert_eq!(row.sentence().to_text(), "Bob accepted the invitation for Bo by Ana");
    let carried: Vec<_> = row.changes.iter().map(|change| change.what.as_str()).collect();
    assert_eq!(carried, ["releaser in demo in staging", "viewer in everything"]);
    let people = control.people(&world.admin).await?.people;
    assert!(people[1].grants.iter().all(|grant| grant.by == "Ana"), "{people:?}");

    let again = conflict(accept(control, &made, "Mallory").await);
    assert!(again.contains("works once"), "{again}");
    let page = control.invitation(&origin(), token(&made)).await?;
    assert_eq!(page, InvitationPage::Over { why: again });
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn of_many_who_use_a_link_at_once_one_gets_in(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let made = control.invite(&world.admin, "Bo", 1, &[VIEWER]).await?;

    // Passwords are hashed one after the other: all of them are to come to the link together.
    let mut tx = world.pool.begin().await?;
    sqlx::query("select from invitations for update").execute(&mut *tx).await?;
    let (one, two, three, gate) = tokio::join!(
        accept(control, &made, "Bo"),
        accept(control, &made, "Bea"),
        accept(control, &made, "Ben"),
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            tx.commit().await
        }
    );
    gate?;

    let lost: Vec<_> = [one, two, three].into_iter().filter_map(Result::err).collect();
    assert_eq!(lost.len(), 2);
    assert!(lost.iter().all(|lost| matches!(lost, Problem::Conflict { .. })), "{lost:?}");
    assert_eq!(control.people(&world.admin).await?.people.len(), 2);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_withdrawn_and_an_expired_link_say_so_and_a_wrong_one_tells_nothing(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (control, ana) = (&world.control, &world.admin);
    let withdrawn = control.invite(ana, "Wim", 1, &[VIEWER]).await?;
    let id = control.invitations(ana).await?.rows[0].id;
    control.withdraw_invitation(ana, id).await?;
    assert_eq!(
        world.last_deed().await?,
        Deed::InvitationWithdrawn { invitation: id, name: "Wim".to_owned() }
    );
    let before = world.told().await?.len();
    control.withdraw_invitation(ana, id).await?;
    assert_eq!(world.told().await?.len(), before, "a second click is no second act");
    let expired = control.invite(ana, "Eva", 1, &[VIEWER]).await?;
    sqlx::query(
        "update invitations
         set invited_at = now() - interval '2 days', expires_at = now() - interval '1 second'
         where name = 'Eva'",
    )
    .execute(&world.pool)
    .await?;

    assert!(conflict(accept(control, &withdrawn, "Wim").await).contains("withdrawn"));
    assert!(conflict(accept(control, &expired, "Eva").await).contains("expired"));
    for wrong in ["", "x", &"0".repeat(64)] {
        let answer = control.invitation(&origin(), wrong).await;
        assert_eq!(answer, Ok(InvitationPage::Over { why: UNKNOWN.to_owned() }));
        let accepted = control.accept_invitation(&origin(), wrong, "Eve", PASSWORD, PASSWORD).await;
        assert_eq!(accepted.err().as_ref().and_then(Problem::field), Some("token"));
    }
    let standings = async || -> anyhow::Result<Vec<Standing>> {
        Ok(control.invitations(ana).await?.rows.iter().map(|row| row.standing).collect())
    };
    assert_eq!(standings().await?, [Standing::Withdrawn, Standing::Expired]);
    control.sweep().await?;
    assert_eq!(standings().await?, [Standing::Withdrawn, Standing::Expired]);
    // The name is free again, also before the sweep had noted the end.
    control.invite(ana, "Eva", 1, &[VIEWER]).await?;
    assert_eq!(control.people(ana).await?.people.len(), 1);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_link_can_do_no_more_than_who_made_it(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let bo = world.person("Bo", &[(Role::Admin, None, None)]).await?;
    let admin = Granted { role: Role::Admin, scope: Scope::Everything };
    let made = control.invite(&bo, "Back door", 14, &[admin]).await?;

    control.disable_person(&world.admin, bo.actor.id).await?;
    assert!(conflict(accept(control, &made, "Back door").await).contains("void"));

    control.enable_person(&world.admin, bo.actor.id).await?;
    let grant = control.person(&world.admin, bo.actor.id).await?.person.grants[0].id;
    control.take_grant(&world.admin, grant).await?;
    assert!(conflict(accept(control, &made, "Back door").await).contains("void"));
    assert_eq!(control.invitations(&world.admin).await?.rows[0].standing, Standing::Void);

    // An admin goes while the link is used: whoever comes first, the link makes nobody admin whom
    // a disabled person invited afterwards.
    for round in 0..6 {
        let name = format!("Cleo {round}");
        let cleo = world.person(&name, &[(Role::Admin, None, None)]).await?;
        let guest = format!("Guest {round}");
        let made = control.invite(&cleo, &guest, 1, &[VIEWER]).await?;
        let (gone, came) = tokio::join!(
            control.disable_person(&world.admin, cleo.actor.id),
            accept(control, &made, &guest)
        );
        gone?;
        let rows = world.told().await?;
        let at = |found: fn(&Deed) -> bool| rows.iter().rposition(|row| found(&row.deed));
        let disabled = at(|deed| matches!(deed, Deed::PersonDisabled { .. }));
        let accepted = at(|deed| matches!(deed, Deed::InvitationAccepted { .. }));
        assert!(came.is_err() || accepted < disabled, "{came:?}");
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn an_invitation_that_can_not_be_is_refused_by_its_field_and_one_name_has_one_link(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (control, ana) = (&world.control, &world.admin);
    let field = async |name: &str, days, carries: &[Granted]| {
        let refused = control.invite(ana, name, days, carries).await.expect_err(name);
        refused.field().map(str::to_owned)
    };

    assert_eq!(field("", 1, &[VIEWER]).await.as_deref(), Some("name"));
    assert_eq!(field("ana", 1, &[VIEWER]).await.as_deref(), Some("name"));
    assert_eq!(field("Bo", 0, &[VIEWER]).await.as_deref(), Some("days"));
    assert_eq!(field("Bo", 15, &[VIEWER]).await.as_deref(), Some("days"));
    assert_eq!(field("Bo", 1, &[]).await.as_deref(), Some("role"));
    assert_eq!(field("Bo", 1, &[VIEWER, VIEWER]).await.as_deref(), Some("role"));
    assert_eq!(
        field("Bo", 1, &[VIEWER, RELEASER, VIEWER, RELEASER]).await.as_deref(),
        Some("role")
    );
    assert_eq!(control.invitations(ana).await?.rows.len(), 0, "nothing was kept of all that");

    let (one, two) = tokio::join!(
        control.invite(ana, "Bo", 1, &[VIEWER]),
        control.invite(ana, "bo", 1, &[VIEWER])
    );
    assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    let made = one.or(two)?;
    let short = control.accept_invitation(&origin(), token(&made), "Bo", "short", "short").await;
    assert_eq!(short.err().as_ref().and_then(Problem::field), Some("password"));
    let taken = accept(control, &made, "Ana").await;
    assert_eq!(taken.err().as_ref().and_then(Problem::field), Some("name"));
    accept(control, &made, "Bo").await?;
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_secret_of_a_link_is_in_no_table(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let made = world.control.invite(&world.admin, "Bo", 1, &[VIEWER]).await?;
    let stored: Vec<String> =
        sqlx::query_scalar("select i::text from invitations i").fetch_all(&world.pool).await?;

    assert!(stored.iter().all(|row| !row.contains(token(&made))), "{stored:?}");
    let told = serde_json::to_string(&world.told().await?)?;
    assert!(!told.contains(token(&made)));
    assert!(told.contains("person_invited"));
    // Shown again only to who made it, who brings the secret itself.
    let control = &world.control;
    assert!(control.made_invitation(&world.admin, token(&made)).await?.is_some());
    let bo = world.person("Cleo", &[(Role::Admin, None, None)]).await?;
    assert!(control.made_invitation(&bo, token(&made)).await?.is_none());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_is_saved_is_what_was_shown(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (control, ana) = (&world.control, &world.admin);
    let bo = world.person("Bo", &[(Role::Viewer, None, None)]).await?.actor.id;
    let seen = async |change| -> anyhow::Result<String> {
        let page = control.person(ana, bo).await?;
        let held: Vec<_> = page.person.grants.iter().map(|grant| grant.id).collect();
        let environments: Vec<_> =
            page.places.environments.iter().map(|one| (one.id, one.protected)).collect();
        Ok(domain::access::seen(&held, &environments, change))
    };
    let looked = seen(domain::access::Change::Give(RELEASER)).await?;

    let other = Granted { scope: Scope::Environment { environment: PRODUCTION }, ..RELEASER };
    let swapped = control.give_seen_grant(ana, bo, other, &looked).await;
    assert!(matches!(swapped, Err(Problem::Conflict { .. })), "{swapped:?}");
    control.give_grant(ana, bo, Role::Auditor, None, None).await?;
    let late = control.give_seen_grant(ana, bo, RELEASER, &looked).await;
    assert!(matches!(late, Err(Problem::Conflict { .. })), "{late:?}");
    let looked = seen(domain::access::Change::Give(RELEASER)).await?;
    control.give_seen_grant(ana, bo, RELEASER, &looked).await?;

    let auditor = control.person(ana, bo).await?.person.grants[1].id;
    let stale = control.take_seen_grant(ana, auditor, &looked).await;
    assert!(matches!(stale, Err(Problem::Conflict { .. })), "{stale:?}");
    let looked = seen(domain::access::Change::Take(auditor)).await?;
    control.take_seen_grant(ana, auditor, &looked).await?;
    assert_eq!(control.person(ana, bo).await?.person.grants.len(), 2);
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_page_of_a_person_knows_the_last_admin(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (control, ana) = (&world.control, &world.admin);

    let page = control.person(ana, ana.actor.id).await?;
    assert!(page.mine && page.last_admin && page.sessions == 1);
    let bo = world.person("Bo", &[(Role::Admin, None, None)]).await?;
    assert!(!control.person(ana, ana.actor.id).await?.last_admin);
    control.disable_person(ana, bo.actor.id).await?;
    assert!(control.person(ana, ana.actor.id).await?.last_admin);
    let gone = control.person(ana, bo.actor.id).await?;
    assert!(!gone.last_admin && gone.sessions == 0 && gone.person.disabled);
    Ok(())
}
