//! Every verb with every role: the table decides, each refusal is a row, and what one may not see
//! is not there.

use crate::world::{World, facts, name, spec};
use control::Asked;
use domain::{
    configuration::{Variables, import::Missing},
    error::Problem,
    history::Deed,
    id::{InquiryId, PlacementId, ProjectId, ReleaseId, ServiceId},
    policy::Policy,
    role::{Action, Protection, Role, Scope},
    rollout::{Ask, Phase},
    service::{Limits, Size},
};
use sqlx::PgPool;
use uuid::Uuid;

/// Something that everybody tries.
struct Stage {
    world: World,
    service: ServiceId,
    release: ReleaseId,
    /// Each with a rollout that never ends, so that there is something to ask of.
    open: PlacementId,
    protected: PlacementId,
}

const VERBS: [(&str, Action); 21] = [
    ("start_rollout", Action::RolloutStart),
    ("could_i", Action::RolloutStart),
    ("retry", Action::RolloutStart),
    ("lift_hold", Action::RolloutStart),
    ("roll_back", Action::RolloutRollBack),
    ("extend_warmth", Action::RolloutRollBack),
    ("end_warmth", Action::RolloutRollBack),
    ("abort", Action::RolloutAbort),
    ("promote", Action::RolloutPromote),
    ("edit_placement", Action::PlacementScale),
    ("change_configuration", Action::ConfigurationEdit),
    ("write_configuration", Action::ConfigurationEdit),
    ("import_variables", Action::ConfigurationEdit),
    ("switch_flag", Action::ConfigurationEdit),
    ("set_secret", Action::SecretSet),
    ("remove_secret", Action::SecretSet),
    ("edit_service", Action::ServiceEdit),
    ("add_service", Action::ServiceEdit),
    ("look_up_image", Action::ReleaseCreate),
    ("make_release", Action::ReleaseCreate),
    ("edit_policy", Action::EnvironmentEdit),
];

/// Verbs that are not about an environment: protection means nothing to them.
const WITHOUT_ENVIRONMENT: [&str; 4] =
    ["edit_service", "add_service", "look_up_image", "make_release"];

impl Stage {
    async fn new(pool: PgPool) -> Self {
        let world = World::new(pool).await;
        let service = world.service("hello").await;
        let release = world.release(service, "1").await;
        let open = world.placement(service, "staging").await;
        let protected = world.placement(service, "production").await;
        for placement in [open, protected] {
            world.start(placement, release).await;
            world.enter(placement, Phase::Preflight).await;
        }
        Self { world, service, release, open, protected }
    }

    async fn call(&self, verb: &str, asked: &Asked, placement: PlacementId) -> Result<(), Problem> {
        let control = &self.world.control;
        let rollout = self.world.current(placement).await.expect("active").rollout.id;
        let newest = self.world.newest(placement).await;
        match verb {
            "start_rollout" => control
                .start_rollout(asked, placement, self.release, newest, None, false)
                .await
                .map(drop),
            "could_i" => control.could_i(asked, placement, self.release).await.map(drop),
            "retry" => control.ask_rollout(asked, rollout, Ask::Retry, None).await,
            "abort" => control.ask_rollout(asked, rollout, Ask::Abort, None).await,
            "promote" => control.ask_rollout(asked, rollout, Ask::Promote, None).await,
            "lift_hold" => control.lift_hold(asked, placement).await,
            "roll_back" => {
                control.roll_back(asked, placement, None, None, newest, None).await.map(drop)
            }
            "extend_warmth" => control.extend_warmth(asked, placement, 5).await,
            "end_warmth" => control.end_warmth(asked, placement).await,
            "edit_placement" => {
                control.edit_placement(asked, placement, Size::ONE, Vec::new(), "").await
            }
            "change_configuration" => control
                .change_configuration(asked, placement, Variables::default(), Limits::DEFAULT, 0)
                .await
                .map(drop),
            "write_configuration" => control
                .write_configuration(asked, placement, "", Limits::DEFAULT, 0)
                .await
                .map(drop),
            "import_variables" => {
                control.import_variables(asked, placement, "", Missing::Keep, "", 0).await.map(drop)
            }
            "switch_flag" => {
                let flag = "FLAG".parse().expect("a name");
                control.switch_flag(asked, placement, &flag, true, 0, None, None).await.map(drop)
            }
            "set_secret" => {
                let key = "KEY".parse().expect("a name");
                control.set_secret(asked, placement, &key, "x", 99).await.map(drop)
            }
            "remove_secret" => {
                let key = "KEY".parse().expect("a name");
                match control.remove_secret(asked, placement, &key, 99).await {
                    // Past the door: there is no such secret.
                    Err(Problem::NotFound { what }) if what == "secret" => Ok(()),
                    other => other,
                }
            }
            "edit_service" => control.edit_service(asked, self.service, spec()).await,
            "add_service" => control
                .add_service(
                    asked,
                    &name("demo"),
                    &name("hello"),
                    spec(),
                    Limits::DEFAULT,
                    Size::ONE,
                )
                .await
                .map(drop),
            "look_up_image" => {
                let reference = facts("1").reference;
                control.look_up_image(asked, self.service, reference, false).await.map(drop)
            }
            "make_release" => {
                let none = InquiryId(Uuid::now_v7());
                match control.make_release(asked, self.service, none, None).await {
                    // Past the door: the inquiry that is not there is the verb's own business.
                    Err(Problem::NotFound { what }) if what == "inquiry" => Ok(()),
                    other => other.map(drop),
                }
            }
            "edit_policy" => {
                let name = if placement == self.open { "staging" } else { "production" };
                let environment = self.world.environment(name).await;
                let policy = Policy::of_new(name == "production");
                control.edit_policy(asked, environment, policy, "").await
            }
            other => panic!("{other} is not called"),
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn every_verb_asks_the_table_and_each_refusal_is_a_row(pool: PgPool) {
    let stage = Stage::new(pool).await;
    for role in Role::ALL {
        let asked = stage.world.person(role.as_str(), role, Scope::Everything).await;
        for (verb, action) in VERBS {
            for (placement, protection) in
                [(stage.open, Protection::Open), (stage.protected, Protection::Protected)]
            {
                let protection =
                    if WITHOUT_ENVIRONMENT.contains(&verb) { Protection::Open } else { protection };
                let before = stage.world.rows().await.len();

                let came = stage.call(verb, &asked, placement).await;

                let what = format!("{verb} as {role}, {protection:?}: {came:?}");
                if role.allows(action, protection) {
                    let refused =
                        matches!(came, Err(Problem::Forbidden { .. } | Problem::NotFound { .. }));
                    assert!(!refused, "{what}");
                } else {
                    assert!(matches!(came, Err(Problem::Forbidden { .. })), "{what}");
                    let rows = stage.world.rows().await;
                    assert_eq!(rows.len(), before + 1, "{what}");
                    assert!(
                        matches!(rows[before].deed, Deed::Refused { action: a, .. } if a == action),
                        "{what}"
                    );
                }
            }
        }
    }
}

#[sqlx::test(migrator = "store::MIGRATOR")]
async fn what_one_may_not_see_is_answered_like_what_is_not_there(pool: PgPool) {
    let stage = Stage::new(pool).await;
    let elsewhere = stage.world.service_in("elsewhere", "other").await;
    let project = sqlx::query_scalar("select project_id from services where id = $1")
        .bind(elsewhere.0)
        .fetch_one(&stage.world.pool)
        .await;
    let project = ProjectId(project.expect("a project"));
    let somebody = stage.world.person("Some", Role::Admin, Scope::Project { project }).await;
    let stranger = stage.world.stranger("None").await;
    let control = &stage.world.control;

    for asked in [&somebody, &stranger] {
        for (verb, _) in VERBS.into_iter().filter(|(verb, _)| *verb != "add_service") {
            if verb == "edit_policy" && asked.actor.id == somebody.actor.id {
                continue; // Environments are seen by whoever is in one of them.
            }
            let came = stage.call(verb, asked, stage.open).await;
            assert!(matches!(came, Err(Problem::NotFound { .. })), "{verb}: {came:?}");
        }
        let rollout = stage.world.current(stage.open).await.expect("active").rollout.id;
        let pages = [
            control.service(asked, &name("demo"), &name("hello")).await.map(drop),
            control.release(asked, stage.release).await.map(drop),
            control.rollout(asked, rollout).await.map(drop),
        ];
        let nothing = [
            control.service(asked, &name("demo"), &name("nothing")).await.map(drop),
            control.release(asked, ReleaseId(Uuid::now_v7())).await.map(drop),
            control.rollout(asked, domain::id::RolloutId(Uuid::now_v7())).await.map(drop),
        ];
        assert_eq!(pages, nothing);
        assert!(pages.iter().all(Result::is_err));
    }
    let board = control.board(&somebody).await.expect("the board");
    let seen: Vec<_> = board.projects.iter().map(|project| project.name.as_str()).collect();
    assert_eq!(seen, ["elsewhere"]);
    let board = control.board(&stranger).await.expect("the board");
    assert!(board.projects.is_empty() && board.environments.is_empty() && !board.may_add_service);
    assert!(board.happening.is_empty());
}
