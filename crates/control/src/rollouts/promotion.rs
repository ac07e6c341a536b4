//! Bringing the same release to the next environment: what would change there, before the click.
//!
//! Promoting is an ordinary rollout in the other placement, with that placement's own configuration.
//! So what is compared is what runs there now, and what is told of the environment before is only
//! which variables there are.

use crate::{Asked, Control, OrProblem, changes, places, services};
use domain::{
    configuration::{
        Configuration, Variables,
        differences::{Told, side_by_side},
        secret::Secrets,
    },
    error::Problem,
    id::{PlacementId, ReleaseId},
    name::Name,
    release::Pair,
    role::Action,
    view::{InBoth, PromotionPage, VariableHere},
};
use store::{
    board::{Drawn, Which},
    builds::commits,
    configurations,
    releases::{self, PlanParts},
};

/// The placement that the release comes from: the nearest before, where something is live.
fn source(drawn: &[Drawn], to: usize) -> Option<&Drawn> {
    drawn.get(..to)?.iter().rev().find(|drawn| drawn.cell.live.is_some())
}

/// What both environments tell their instances, by name.
fn compared(from: Option<&Configuration>, to: &Configuration) -> Vec<VariableHere> {
    let nothing = Configuration {
        variables: Variables::default(),
        secrets: Secrets::default(),
        ..to.clone()
    };
    side_by_side(&[from.unwrap_or(&nothing), to])
        .into_iter()
        .map(|line| {
            let is = match line.cells.as_slice() {
                [Told::Missing, _] => InBoth::Added,
                [_, Told::Missing] => InBoth::Missing,
                [Told::Secret { .. }, Told::Secret { .. }] => InBoth::Secret,
                _ if line.differs => InBoth::Differs,
                _ => InBoth::Same,
            };
            VariableHere { name: line.name.to_string(), description: line.description, is }
        })
        .collect()
}

/// Without what is told by name alone: values are for who edits them.
fn bare(parts: &PlanParts) -> PlanParts {
    let mut bare = parts.clone();
    bare.configuration.variables = Variables::default();
    bare.configuration.secrets = Secrets::default();
    bare
}

impl Control {
    /// What would change in `environment` if `release`, or what is live in the environment before, went
    /// there.
    pub async fn promotion(
        &self,
        asked: &Asked,
        project: &Name,
        name: &Name,
        environment: &Name,
        release: Option<ReleaseId>,
    ) -> Result<PromotionPage, Problem> {
        let origin = &asked.origin;
        let missing = || Problem::not_found("service");
        let mut conn = self.connection(origin).await?;
        let number = store::history::head(&mut conn).await.or_problem(origin)?.number;
        let id = store::services::by_name(&mut conn, project, name)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let service =
            store::services::load(&mut conn, id).await.or_problem(origin)?.ok_or_else(missing)?;
        let place = places::of_service(&service, "service");
        self.permit(asked, Action::View, &place).await?;

        let drawn = self.visible_cells(&mut conn, asked, Which::Service(id)).await?;
        let to = drawn
            .iter()
            .position(|drawn| drawn.cell.environment_name == *environment)
            .ok_or_else(|| Problem::not_found("environment"))?;
        let from = source(&drawn, to).map(|drawn| drawn.cell.clone());
        let chosen =
            release.or_else(|| from.as_ref().and_then(|cell| Some(cell.live.as_ref()?.release.id)));
        let known = match chosen {
            Some(chosen) => releases::load(&mut conn, chosen).await.or_problem(origin)?,
            None => None,
        };
        let known = known.filter(|known| known.release.service == id);
        if release.is_some() && known.is_none() {
            return Err(Problem::not_found("release"));
        }

        let cell = drawn[to].cell.clone();
        let placements: Vec<PlacementId> =
            from.iter().map(|from| from.placement).chain([cell.placement]).collect();
        let newest = configurations::newest_of(&mut conn, &placements).await.or_problem(origin)?;
        let newest = |of: PlacementId| newest.iter().find(|(id, _)| *id == of).map(|(_, c)| c);
        let here = store::placements::load(&mut conn, cell.placement)
            .await
            .or_problem(origin)?
            .ok_or_else(missing)?;
        let configured =
            newest(cell.placement).ok_or_else(|| Problem::not_found("configuration"))?;
        let variables = compared(from.as_ref().and_then(|from| newest(from.placement)), configured);

        let live = here.live.map(|live| live.pair);
        let next = known
            .as_ref()
            .map(|known| Pair { release: known.release.id, configuration: configured.id });
        let pairs: Vec<Pair> = live.into_iter().chain(next).collect();
        let parts = releases::plan_parts_of(&mut conn, &pairs).await.or_problem(origin)?;
        let part = |pair: Option<Pair>| parts.iter().find(|parts| Some(parts.pair()) == pair);
        let changes = part(next)
            .map(|next| changes::of_parts(part(live).map(bare).as_ref(), &bare(next)))
            .unwrap_or_default();
        let commits = commits::between(&mut conn, live.map(|live| live.release), chosen)
            .await
            .or_problem(origin)?;
        let live_known = match live {
            Some(live) => releases::load(&mut conn, live.release).await.or_problem(origin)?,
            None => None,
        };
        let size_bytes = known.as_ref().map(|known| known.facts.size_bytes);
        let release = known.map(|known| {
            let listed = releases::Listed {
                id: known.release.id,
                name: known.release.name,
                reference: known.release.reference,
                image: known.release.image,
                by: known.by,
                made_at: known.release.made_at,
            };
            services::release_row(listed, &drawn)
        });
        let addresses = self.addresses(&here);
        Ok(PromotionPage {
            number,
            project: service.project_name,
            service: service.name,
            from: from.map(|from| from.environment_name),
            release,
            size_bytes,
            live_size_bytes: live_known.as_ref().map(|known| known.facts.size_bytes),
            live_image: live_known.map(|known| known.release.image.to_string()),
            commits,
            changes,
            variables,
            policy: here.policy,
            address: addresses.live,
            preview_address: addresses.preview,
            cell,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        configuration::secret::Version,
        id::{ConfigurationId, SecretId},
        service::Limits,
    };

    #[test]
    fn variables_are_compared_by_name_and_their_values_are_not_told() {
        let of = |text: &str, secret: &str| Configuration {
            id: ConfigurationId(uuid::Uuid::nil()),
            number: 1,
            variables: Variables::parse(text, &Variables::default()).expect("good"),
            secrets: Secrets(
                [(
                    secret.parse().expect("a name"),
                    Version { secret: SecretId(uuid::Uuid::nil()), version: 1 },
                )]
                .into(),
            ),
            limits: Limits::DEFAULT,
        };

        let all = compared(Some(&of("A=1\nB=2\nC=3", "TOKEN")), &of("A=1\nB=other\nD=4", "TOKEN"));

        let told = |name: &str| all.iter().find(|one| one.name == name).map(|one| one.is);
        assert_eq!(told("A"), Some(InBoth::Same));
        assert_eq!(told("B"), Some(InBoth::Differs));
        assert_eq!(told("C"), Some(InBoth::Missing));
        assert_eq!(told("D"), Some(InBoth::Added));
        assert_eq!(told("TOKEN"), Some(InBoth::Secret));
        assert!(!format!("{all:?}").contains("other"));
    }
}
