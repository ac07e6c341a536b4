//! Images looked up, releases made of them.

use super::Answer;
use domain::{
    id::{InquiryId, ReleaseId, ServiceId},
    view::{InquiryPage, ReleasePage},
};
use leptos::prelude::*;

#[cfg(feature = "ssr")]
use super::{
    context::{asked, control, go_to},
    typed,
};
#[cfg(feature = "ssr")]
use domain::name::ImageReference;

/// Asks the engine what an image is, and goes on to `back`, the form that follows the answer.
/// `pull` is a checkbox: fetch it from its registry even if one of that name is there.
#[server(prefix = "/api", endpoint = "releases/look-up-image")]
pub async fn look_up_image(
    service: ServiceId,
    reference: String,
    #[server(default)] pull: Option<String>,
    #[server(default)] back: String,
) -> Answer<InquiryId> {
    let reference: ImageReference = typed::field("reference", &reference)?;
    let image = typed::escaped(reference.as_str());
    let pull = typed::checked(&pull);
    let inquiry = control().look_up_image(&asked()?, service, reference, pull).await?;
    go_to(&format!("{}?inquiry={inquiry}&image={image}", typed::next(&back)));
    Ok(inquiry)
}

/// How far an inquiry is.
#[server(name = SeeInquiry, prefix = "/api", endpoint = "releases/inquiry")]
pub async fn inquiry(id: InquiryId) -> Answer<InquiryPage> {
    Ok(control().inquiry(&asked()?, id).await?)
}

/// Makes a release of the image that an inquiry found. Without a name it is called by the tag.
#[server(prefix = "/api", endpoint = "releases/make")]
pub async fn make_release(
    service: ServiceId,
    inquiry: InquiryId,
    #[server(default)] name: String,
) -> Answer<ReleaseId> {
    let name = typed::optional("name", &name)?;
    let release = control().make_release(&asked()?, service, inquiry, name).await?;
    go_to(&format!("/releases/{release}"));
    Ok(release)
}

/// The page of one release.
#[server(name = SeeRelease, prefix = "/api", endpoint = "releases/page")]
pub async fn release(id: ReleaseId) -> Answer<ReleasePage> {
    Ok(control().release(&asked()?, id).await?)
}
