//! Who may do what with people, and that the rules hold when two act at once.

use crate::world::{DEMO, OTHER, PASSWORD, PRODUCTION, STAGING, World, asked, origin};
use control::{Asked, Place};
use domain::{
    error::Problem,
    history::{Deed, Subject},
    id::{GrantId, InvitationId, UserId},
    role::{Action, Protection, Role, Scope},
    view::HistoryFilter,
};
use sqlx::PgPool;
use uuid::Uuid;

/// Every verb of this part, with what a person needs for it. `None`: any right at all.
async fn verbs(
    world: &World,
    who: &Asked,
    other: UserId,
) -> Vec<(&'static str, Option<Action>, Option<Problem>)> {
    let control = &world.control;
    let people = Some(Action::PeopleManage);
    let reads = Some(Action::HistoryView);
    let (grant, invitation) = (GrantId(Uuid::nil()), InvitationId(Uuid::nil()));
    let role = Role::Viewer;
    let filter = HistoryFilter::default;
    vec![
        ("people", people, control.people(who).await.err()),
        ("add", people, control.add_person(who, "", "").await.err()),
        ("disable", people, control.disable_person(who, other).await.err()),
        ("enable", people, control.enable_person(who, other).await.err()),
        ("reset", people, control.reset_password(who, other, "").await.err()),
        ("give", people, control.give_grant(who, other, role, Some(DEMO), None).await.err()),
        ("take", people, control.take_grant(who, grant).await.err()),
        ("person", people, control.person(who, other).await.err()),
        ("access", people, control.access(who).await.err()),
        ("invitations", people, control.invitations(who).await.err()),
        ("invite", people, control.invite(who, "", 1, &[]).await.err()),
        ("made", people, control.made_invitation(who, "").await.err()),
        ("withdraw", people, control.withdraw_invitation(who, invitation).await.err()),
        ("history", None, control.history(who, filter()).await.err()),
        ("verify", reads, control.verify_history(who).await.err()),
        (
            "export",
            reads,
            control.export_history(who, filter(), control::history::Format::Csv).await.err(),
        ),
    ]
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_verb_with_every_role_is_as_the_table_says(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let other = world.person("Other", &[]).await?.actor.id;

    for role in Role::ALL {
        let who = world.person(&format!("some {role}"), &[(role, None, None)]).await?;
        for (verb, needs, problem) in verbs(&world, &who, other).await {
            let allowed = needs.is_none_or(|action| role.allows(action, Protection::Open));
            let refused = matches!(problem, Some(Problem::Forbidden { .. }));
            assert_eq!(refused, !allowed, "{role} {verb}: {problem:?}");
        }
    }
    let nobody = world.person("without rights", &[]).await?;
    for (verb, _, problem) in verbs(&world, &nobody, other).await {
        assert_eq!(problem, Some(Problem::not_found("page")), "{verb}");
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_viewer_can_not_manage_people_and_the_refusal_is_a_row(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let viewer = world.person("Vic", &[(Role::Viewer, None, None)]).await?;

    let answer = world.control.add_person(&viewer, "Eve", PASSWORD).await;

    let action = Action::PeopleManage;
    let forbidden = Problem::Forbidden { action: action.as_words().to_owned(), needs: Role::Admin };
    assert_eq!(answer, Err(forbidden));
    let row = world.told().await?.pop().expect("a row");
    assert_eq!(row.by.name(), "Vic");
    assert_eq!(row.deed, Deed::Refused { action, what: String::new(), needs: Role::Admin });
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_one_may_not_see_is_not_there_and_that_is_a_row_too(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let who = world.person("Dee", &[(Role::Deployer, Some(DEMO), Some(STAGING))]).await?;
    let place = |project, environment, noun| Place {
        scope: Scope::of(Some(project), environment),
        protection: Protection::Open,
        subject: Subject { service: Some("hello".parse().expect("a name")), ..Subject::default() },
        noun,
    };
    let start = async |place: Place| {
        let tx = world.pool.begin().await.expect("begins");
        let answer = world.control.permit_in(tx, &who, Action::RolloutStart, &place).await;
        answer.map(|(_, permit)| permit.role().to_owned())
    };

    let allowed = start(place(DEMO, Some(STAGING), "service")).await;
    assert_eq!(allowed.as_deref(), Ok("deployer in demo in staging"));
    let unseen = start(place(OTHER, Some(STAGING), "service")).await;
    assert_eq!(unseen, Err(Problem::not_found("service")));
    assert_eq!(
        world.last_deed().await?,
        Deed::Refused { action: Action::RolloutStart, what: "hello".into(), needs: Role::Deployer }
    );
    let unseen = start(place(DEMO, Some(PRODUCTION), "service")).await;
    assert_eq!(unseen, Err(Problem::not_found("service")));
    let seen = start(place(DEMO, None, "service")).await;
    assert!(matches!(seen, Err(Problem::Forbidden { .. })), "{seen:?}");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn nobody_changes_his_own_rights_and_the_attempt_is_a_row(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (control, ana) = (&world.control, &world.admin);
    let own = ana.actor.id;

    let answers = [
        control.give_grant(ana, own, Role::Auditor, None, None).await.err(),
        control.disable_person(ana, own).await.err(),
        control.enable_person(ana, own).await.err(),
        control.reset_password(ana, own, "eight dry candles").await.err(),
    ];

    for answer in answers {
        assert_eq!(answer.as_ref().and_then(Problem::field), Some("person"), "{answer:?}");
    }
    let refused = world.told().await?.into_iter();
    assert_eq!(refused.filter(|row| matches!(row.deed, Deed::Refused { .. })).count(), 4);
    let scoped = world.person("Sam", &[(Role::Admin, Some(DEMO), None)]).await?;
    let more = control.give_grant(&scoped, scoped.actor.id, Role::Admin, None, None).await;
    assert!(matches!(more, Err(Problem::Forbidden { .. })), "{more:?}");
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_last_admin_stays_when_two_take_from_each_other_at_once(
    pool: PgPool,
) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let (control, ana) = (&world.control, &world.admin);
    let alone = control.account(ana).await?.grants[0].id;
    let kept = control.take_grant(ana, alone).await;
    assert!(matches!(kept, Err(Problem::Conflict { .. })), "{kept:?}");

    for round in 0..10 {
        let bo = world.person(&format!("Bo {round}"), &[(Role::Admin, None, None)]).await?;
        let from_bo = control.account(&bo).await?.grants[0].id;
        let (one, two) = if round % 2 == 0 {
            tokio::join!(control.take_grant(ana, from_bo), control.take_grant(&bo, alone))
        } else {
            tokio::join!(
                control.disable_person(ana, bo.actor.id),
                control.disable_person(&bo, ana.actor.id)
            )
        };

        assert!(one.is_ok() || two.is_ok(), "{one:?} {two:?}");
        let lost = [one, two].into_iter().filter_map(Result::err).collect::<Vec<_>>();
        assert!(
            matches!(lost[..], [Problem::Conflict { .. }]),
            "one of them would have been the last: {lost:?}"
        );
        // Ana is admin again, and alone.
        control.recover(0, "Ana", PASSWORD).await?;
        sqlx::query("delete from grants where user_id <> $1")
            .bind(ana.actor.id.0)
            .execute(&world.pool)
            .await?;
        sqlx::query("update grants set id = $1").bind(alone.0).execute(&world.pool).await?;
    }
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn a_disabled_person_is_out_at_once_and_streams_are_told(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let bo = world.person("Bo", &[(Role::Viewer, None, None)]).await?.actor.id;
    let secret = control.sign_in(&origin(), "Bo", PASSWORD).await?.secret;
    let mut listener = sqlx::postgres::PgListener::connect_with(&world.pool).await?;
    listener.listen("pilothouse_access").await?;

    control.disable_person(&world.admin, bo).await?;

    assert!(asked(control, &secret).await?.is_none());
    assert_eq!(listener.recv().await?.payload(), bo.to_string());
    control.enable_person(&world.admin, bo).await?;
    assert!(asked(control, &secret).await?.is_none(), "the session does not come back");
    assert!(control.sign_in(&origin(), "Bo", PASSWORD).await.is_ok());

    control.reset_password(&world.admin, bo, "eight dry candles").await?;
    assert!(control.sign_in(&origin(), "Bo", PASSWORD).await.is_err());
    assert!(control.sign_in(&origin(), "Bo", "eight dry candles").await.is_ok());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn the_list_of_people_says_who_holds_what(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let control = &world.control;
    let bo = world.person("Bo", &[(Role::Releaser, Some(DEMO), Some(STAGING))]).await?.actor.id;
    let role = Role::Releaser;
    let again = control.give_grant(&world.admin, bo, role, Some(DEMO), Some(STAGING)).await;
    assert!(matches!(again, Err(Problem::Conflict { .. })), "{again:?}");
    let taken = control.add_person(&world.admin, "BO", PASSWORD).await;
    assert_eq!(taken.err().as_ref().and_then(Problem::field), Some("name"));

    let page = control.people(&world.admin).await?;

    let names: Vec<_> = page.people.iter().map(|person| person.name.as_str()).collect();
    assert_eq!(names, ["Ana", "Bo"]);
    assert_eq!(page.people[1].grants[0].scope_words, "demo in staging");
    assert_eq!(page.people[1].grants[0].by, "Ana");
    assert_eq!((page.projects.len(), page.environments.len()), (2, 2));
    control.take_grant(&world.admin, page.people[1].grants[0].id).await?;
    assert!(control.people(&world.admin).await?.people[1].grants.is_empty());
    Ok(())
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn who_is_refused_all_the_time_does_not_fill_the_history(pool: PgPool) -> anyhow::Result<()> {
    let world = World::new(pool).await?;
    let vic = world.person("Vic", &[(Role::Viewer, None, None)]).await?;
    let before = world.told().await?.len();

    for _ in 0..100 {
        let refused = world.control.people(&vic).await;
        assert!(matches!(refused, Err(Problem::Forbidden { .. })), "{refused:?}");
    }
    assert_eq!(world.told().await?.len(), before + 60);
    world.control.tell_refusals().await?;
    world.control.tell_refusals().await?;

    let told = world.told().await?;
    assert_eq!(told.len(), before + 61);
    let last = told.last().expect("a row");
    assert_eq!(last.deed, Deed::RefusedMore { times: 40 });
    assert_eq!(last.by.name(), "Vic");
    Ok(())
}
