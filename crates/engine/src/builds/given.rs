//! What a build is given and leaves nowhere: secrets, the login of its repository, credentials for its
//! base images. Opened here for one call, and each use is a row before it happens.

use crate::{context::Context, registries};
use domain::{
    build::given::{host_of, login_about},
    history::{Deed, Subject},
    id::ServiceId,
    name::RegistryAddress,
    source::GitUrl,
};
use std::path::Path;
use store::{
    builds::{claims::Claimed, given},
    history::NewEntry,
};
use targets::{
    Error,
    build::{Builder, Hidden, Login},
    registry::Credentials,
};

/// Who reads a repository, if somebody is stored for its host. For another host nobody is.
pub(crate) async fn login(
    context: &Context,
    service: ServiceId,
    url: &GitUrl,
    what: String,
) -> anyhow::Result<Option<Login>> {
    let Some(host) = host_of(url) else { return Ok(None) };
    let mut conn = context.pool.acquire().await?;
    let known = given::login(&mut conn, service).await?;
    let place = store::services::load(&mut conn, service).await?;
    drop(conn);
    let Some(known) = known.filter(|known| known.host == host) else { return Ok(None) };
    let token = context.vault.unseal(&login_about(service, &host), &known.sealed).map_err(
        |_| Error::Refused {
            target: format!("The git server {host}"),
            reason: format!(
                "The token for {host} can not be read with the key of this installation any more. \
                 Set it anew on the page of the source."
            ),
        },
    )?;
    let subject = place.map_or_else(Subject::default, |place| Subject {
        project: Some(place.project_name),
        service: Some(place.name),
        ..Subject::default()
    });
    tell(context, subject, Deed::SourceLoginUsed { host, what }).await?;
    Ok(Some(Login { user: known.user.to_string(), token: Hidden::new(token.expose()) }))
}

/// What the steps of a build may mount, and show to registries.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub secrets: Vec<(String, Hidden)>,
    pub registries: Vec<(RegistryAddress, Credentials)>,
}

/// All secrets of the service, and the credentials of those registries that the recipe names.
pub(super) async fn given(
    context: &Context,
    claimed: &Claimed,
    builder: &dyn Builder,
    tree: &Path,
) -> anyhow::Result<Given> {
    let mut conn = context.pool.acquire().await?;
    let sealed = given::secrets(&mut conn, claimed.service).await?;
    let known = store::registries::all(&mut conn).await?;
    drop(conn);

    let mut given = Given::default();
    let mut what = Vec::new();
    for one in sealed {
        let opened = context.vault.unseal(&one.version.about(), &one.value);
        let plain = opened.map_err(|_| Error::Refused {
            target: "The vault".to_owned(),
            reason: format!(
                "The secret {} can not be read with the key of this installation any more. Set it \
                 anew on the page of the source, or remove it.",
                one.name
            ),
        })?;
        what.push(format!("the secret {} version {}", one.name, one.version.version));
        given.secrets.push((one.name.to_string(), Hidden::new(plain.expose())));
    }
    let with_login = known.into_iter().filter(|known| known.login.is_some());
    let with_login: Vec<_> = with_login.map(|known| known.address).collect();
    if !with_login.is_empty() {
        for address in builder.bases(tree, &claimed.source.recipe, &with_login).await? {
            if let Some(credentials) = registries::credentials(context, &address).await? {
                what.push(format!("the login of {address}"));
                given.registries.push((address, credentials));
            }
        }
    }
    if !what.is_empty() {
        let (build, number) = (claimed.held.build, claimed.number);
        tell(context, claimed.subject(), Deed::BuildGiven { build, number, what }).await?;
    }
    Ok(given)
}

async fn tell(context: &Context, subject: Subject, deed: Deed) -> anyhow::Result<()> {
    let tx = context.pool.begin().await?;
    store::history::append_and_commit(tx, &[NewEntry::engine(subject, deed)]).await?;
    Ok(())
}
