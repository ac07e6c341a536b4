//! Builds, and where a service's code is. Taking a log away is a plain download,
//! `/builds/{id}/log`; following it is the stream's.
// A plain form posts flat words.
#![allow(clippy::too_many_arguments)]

use super::Answer;
use domain::{
    build::{
        given::Given,
        log::BuildLog,
        view::{BuildPage, BuildsPage, ProjectBuildsPage, SourcePage},
    },
    id::{BatchId, BuildId, InquiryId, ServiceId},
    name::Name,
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};
#[cfg(feature = "ssr")]
use domain::{
    build::{SIZE_BUDGET_BYTES, Source, view::BuildsFilter},
    error::Problem,
    log::find::Needle,
    source::{GitRef, GitUrl, Recipe},
};

/// `/builds`: newest first. `project` and `service` are names; `state` is how they stand; `before` is a build's id.
#[server(name = SeeBuilds, prefix = "/api", endpoint = "builds/list")]
pub async fn builds(
    #[server(default)] project: String,
    #[server(default)] service: String,
    #[server(default)] state: String,
    #[server(default)] before: String,
) -> Answer<BuildsPage> {
    let filter = BuildsFilter {
        project: typed::optional("project", &project)?,
        service: typed::optional("service", &service)?,
        state: typed::optional("state", &state)?,
        before: typed::optional_id("before", &before)?,
    };
    Ok(control().builds(&asked()?, filter).await?)
}

/// The page of one build.
#[server(name = SeeBuild, prefix = "/api", endpoint = "builds/page")]
pub async fn build(id: BuildId) -> Answer<BuildPage> {
    Ok(control().build(&asked()?, id).await?)
}

/// Some lines of a build: the last, those `before` or `after` a number, or those with `words` in
/// them.
#[server(name = SeeBuildLog, prefix = "/api", endpoint = "builds/log")]
pub async fn build_log(
    id: BuildId,
    #[server(default)] before: String,
    #[server(default)] after: String,
    #[server(default)] words: String,
) -> Answer<BuildLog> {
    let number = |name: &str, typed: &str| match typed.trim() {
        "" => Ok(None),
        typed => typed::number::<u64>(name, typed).map(Some),
    };
    let wish = control::LogWish {
        before: number("before", &before)?,
        after: number("after", &after)?,
        needle: Needle::new(&words),
    };
    Ok(control().build_log(&asked()?, id, wish).await?)
}

/// "Build all" of a project: one click of it, the newest with an empty `batch`.
#[server(name = SeeProjectBuilds, prefix = "/api", endpoint = "builds/project")]
pub async fn project_builds(
    project: Name,
    #[server(default)] batch: String,
) -> Answer<ProjectBuildsPage> {
    let batch = typed::optional_id("batch", &batch)?;
    Ok(control().project_builds(&asked()?, &project, batch).await?)
}

/// Where a service's code is, and its last builds.
#[server(name = SeeSource, prefix = "/api", endpoint = "builds/source")]
pub async fn source(project: Name, service: Name) -> Answer<SourcePage> {
    Ok(control().source(&asked()?, &project, &service).await?)
}

/// Says where the code of a service is and how it is built. `arguments` are `NAME=value` lines;
/// `no_cache` is a checkbox. Empty words are the usual.
#[server(prefix = "/api", endpoint = "builds/edit-source")]
pub async fn edit_source(
    service: ServiceId,
    url: String,
    #[server(default)] default_ref: String,
    #[server(default)] folder: String,
    #[server(default)] file: String,
    #[server(default)] stage: String,
    #[server(default)] arguments: String,
    #[server(default)] platform: String,
    #[server(default)] no_cache: Option<String>,
    #[server(default)] size_budget_mib: String,
    #[server(default)] back: String,
) -> Answer<()> {
    let size_budget_bytes = match size_budget_mib.trim() {
        "" => SIZE_BUDGET_BYTES,
        typed => typed::number::<u64>("size_budget_mib", typed)?.saturating_mul(1 << 20),
    };
    let recipe = recipe(&folder, &file, &stage, &arguments, &platform, no_cache.is_some())?;
    let source = Source {
        url: typed::field("url", &url)?,
        default_ref: ref_of("default_ref", &default_ref)?,
        recipe,
        size_budget_bytes,
    };
    control().edit_source(&asked()?, service, source).await?;
    go_to(typed::next(&back));
    Ok(())
}

/// What builds of a service are given, without any value.
#[server(name = SeeGiven, prefix = "/api", endpoint = "builds/given")]
pub async fn given(service: ServiceId) -> Answer<Given> {
    Ok(control().build_given(&asked()?, service).await?)
}

/// Sets a secret of builds. `based_on` is the version that the page showed, 0 for a new one.
#[server(prefix = "/api", endpoint = "builds/set-secret")]
pub async fn set_build_secret(
    service: ServiceId,
    #[server(default)] name: String,
    #[server(default)] secret: String,
    based_on: String,
) -> Answer<i32> {
    let asked = asked()?;
    let name = typed::field("name", &name)?;
    let value = domain::configuration::secret::value(&secret)
        .map_err(|wrong| Problem::invalid("secret", wrong))?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().set_build_secret(&asked, service, &name, &value, based_on).await?)
}

/// Gives a secret to no build any more.
#[server(prefix = "/api", endpoint = "builds/remove-secret")]
pub async fn remove_build_secret(service: ServiceId, name: String, based_on: String) -> Answer<()> {
    let asked = asked()?;
    let name = typed::field("name", &name)?;
    let based_on = typed::number("based_on", &based_on)?;
    Ok(control().remove_build_secret(&asked, service, &name, based_on).await?)
}

/// Says who reads the repository of a service. Without a `user` nobody signs in there.
#[server(prefix = "/api", endpoint = "builds/set-login")]
pub async fn set_source_login(
    service: ServiceId,
    #[server(default)] user: String,
    #[server(default)] token: String,
) -> Answer<()> {
    let user = typed::optional("user", &user)?;
    Ok(control().set_source_login(&asked()?, service, user, &token).await?)
}

/// Asks which branches and tags there are, at `url` or, where that is empty, at the service's. Goes
/// on to `back`, the form that follows the answer, with `?inquiry=`.
#[server(prefix = "/api", endpoint = "builds/look-up-refs")]
pub async fn look_up_refs(
    service: ServiceId,
    #[server(default)] url: String,
    #[server(default)] back: String,
) -> Answer<InquiryId> {
    let looked_at = [("url", url.clone())];
    let url: Option<GitUrl> = typed::optional("url", &url)?;
    let inquiry = control().look_up_refs(&asked()?, service, url).await?;
    go_to(&with_inquiry(&back, inquiry, &looked_at));
    Ok(inquiry)
}

/// Asks what would be built of a folder, and why. Like [`look_up_refs`].
#[server(prefix = "/api", endpoint = "builds/guess-recipe")]
pub async fn guess_recipe(
    service: ServiceId,
    #[server(default)] url: String,
    #[server(default)] git_ref: String,
    #[server(default)] folder: String,
    #[server(default)] back: String,
) -> Answer<InquiryId> {
    let looked_at =
        [("url", url.clone()), ("git_ref", git_ref.clone()), ("folder", folder.clone())];
    let url: Option<GitUrl> = typed::optional("url", &url)?;
    let at = ref_of("git_ref", &git_ref)?;
    let folder = folder_of(&folder)?;
    let inquiry = control().guess_recipe(&asked()?, service, url, at, folder).await?;
    go_to(&with_inquiry(&back, inquiry, &looked_at));
    Ok(inquiry)
}

/// Asks for a build at `git_ref`, or at the service's default. `no_cache` is a checkbox; `deploy_to`
/// are ids of placements with commas or spaces between, for "build and deploy".
#[server(prefix = "/api", endpoint = "builds/start")]
pub async fn start_build(
    service: ServiceId,
    #[server(default)] git_ref: String,
    #[server(default)] no_cache: Option<String>,
    #[server(default)] deploy_to: String,
) -> Answer<BuildId> {
    let deploy_to = deploy_to
        .split([',', ' '])
        .filter(|id| !id.is_empty())
        .map(|id| typed::id("deploy_to", id))
        .collect::<Result<Vec<_>, _>>()?;
    let wish = control::BuildWish {
        at: typed::optional::<GitRef>("git_ref", &git_ref)?,
        no_cache: typed::checked(&no_cache),
        deploy_to,
    };
    let build = control().start_build(&asked()?, service, wish).await?;
    go_to(&format!("/builds/{build}"));
    Ok(build)
}

/// Asks for a build of every service of a project that has a source.
#[server(prefix = "/api", endpoint = "builds/start-all")]
pub async fn build_all(project: Name) -> Answer<BatchId> {
    let batch = control().build_all(&asked()?, &project).await?;
    go_to(&format!("/projects/{project}/builds?batch={batch}"));
    Ok(batch)
}

/// Asks that a build stops.
#[server(prefix = "/api", endpoint = "builds/cancel")]
pub async fn cancel_build(build: BuildId) -> Answer<()> {
    Ok(control().cancel_build(&asked()?, build).await?)
}

/// What was looked at goes with it: the page puts that into its forms again.
#[cfg(feature = "ssr")]
fn with_inquiry(back: &str, inquiry: InquiryId, looked_at: &[(&str, String)]) -> String {
    let back = typed::next(back);
    let mark = if back.contains('?') { '&' } else { '?' };
    let mut address = format!("{back}{mark}inquiry={inquiry}");
    for (name, value) in looked_at.iter().filter(|(_, value)| !value.trim().is_empty()) {
        address.push_str(&format!("&{name}={}", typed::escaped(value.trim())));
    }
    address
}

#[cfg(feature = "ssr")]
fn ref_of(name: &str, given: &str) -> Result<GitRef, Problem> {
    let given = given.trim();
    typed::field(name, if given.is_empty() { "main" } else { given })
}

#[cfg(feature = "ssr")]
fn folder_of(typed: &str) -> Result<domain::source::Folder, Problem> {
    typed::field("folder", typed.trim())
}

#[cfg(feature = "ssr")]
fn recipe(
    folder: &str,
    file: &str,
    stage: &str,
    arguments: &str,
    platform: &str,
    no_cache: bool,
) -> Result<Recipe, Problem> {
    let arguments = typed::lines(arguments)
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(|| {
                Problem::invalid("arguments", format!("“{line}” has no =: NAME=value, one a line."))
            })?;
            Ok((typed::field("arguments", name)?, value.to_owned()))
        })
        .collect::<Result<_, Problem>>()?;
    Ok(Recipe {
        folder: folder_of(folder)?,
        file: typed::optional("file", file)?,
        stage: typed::optional("stage", stage)?,
        arguments,
        no_cache,
        platform: typed::optional("platform", platform)?,
    })
}
