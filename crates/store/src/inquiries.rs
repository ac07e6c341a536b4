//! Inquiries: questions that only a target can answer. Asked by a request, answered by the engine,
//! followed by the page. What nobody answered in time has expired.

use crate::{Conn, Result};
use domain::{
    id::{
        InquiryId, NodeId, PlacementId, ProjectId, RegistryId, ReleaseId, ServiceId, TargetId,
        UserId,
    },
    name::ImageReference,
    source::{Folder, GitRef, GitUrl},
    view::InquiryAnswer,
};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use std::time::Duration;
use time::OffsetDateTime;

/// How long a question waits for its answer.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// … and one that fetches an image from a registry.
pub const PULL_WITHIN: Duration = Duration::from_secs(16 * 60);
/// … and one that fetches a repository.
pub const FETCH_WITHIN: Duration = Duration::from_secs(5 * 60);
/// How long an answer can be used: a person thinks between looking up an image and making a release.
pub const GOOD_FOR: Duration = Duration::from_secs(3600);
/// The most open questions one person may have.
pub const MOST_OPEN: i64 = 20;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Question {
    /// What is behind this reference? With `pull`, a registry is asked too.
    Image { reference: ImageReference, pull: bool },
    /// Could this release be rolled out here? With the newest configuration.
    CouldI { placement: PlacementId, release: ReleaseId },
    /// Which branches and tags are there?
    Refs {
        url: GitUrl,
        /// Whose login is used, where it is for that host.
        #[serde(default)]
        service: Option<ServiceId>,
    },
    /// What would be built of this folder, and why?
    Recipe {
        url: GitUrl,
        at: GitRef,
        folder: Folder,
        #[serde(default)]
        service: Option<ServiceId>,
    },
    /// Can this registry be used, with the credentials that are stored for it?
    Registry { registry: RegistryId },
    /// Where do the tags of this release point now?
    Tags { release: ReleaseId },
    /// What is there on this cluster, and what may we do?
    Cluster { target: TargetId },
}

impl Question {
    /// For people.
    #[must_use]
    pub fn as_words(&self) -> String {
        match self {
            Self::Image { reference, pull: false } => format!("Which image is {reference}?"),
            Self::Image { reference, pull: true } => format!("Fetching {reference}"),
            Self::CouldI { .. } => "Could this release be rolled out here?".to_owned(),
            Self::Refs { url, .. } => format!("Which branches and tags are there at {url}?"),
            Self::Recipe { url, at, .. } => {
                format!("What would be built of {url} at {}?", at.short())
            }
            Self::Registry { .. } => "Can this registry be used?".to_owned(),
            Self::Tags { .. } => "Where do the tags of this release point now?".to_owned(),
            Self::Cluster { .. } => "What is there, and what may we do?".to_owned(),
        }
    }

    /// How long it may wait.
    #[must_use]
    pub const fn within(&self) -> Duration {
        match self {
            Self::Image { pull: true, .. } => PULL_WITHIN,
            Self::Recipe { .. } => FETCH_WITHIN,
            Self::Image { pull: false, .. }
            | Self::CouldI { .. }
            | Self::Refs { .. }
            | Self::Registry { .. }
            | Self::Tags { .. }
            | Self::Cluster { .. } => ANSWER_WITHIN,
        }
    }
}

/// A question in the hands of the node that answers it.
#[derive(Clone, Debug)]
pub struct Taken {
    pub id: InquiryId,
    pub question: Question,
    pub target: TargetId,
    /// An answer after this is not kept.
    pub expires_at: OffsetDateTime,
}

/// Takes the oldest open question that no living node is at, skipping those that others take now.
pub async fn take(conn: &mut Conn, node: NodeId) -> Result<Option<Taken>> {
    let row = sqlx::query!(
        r#"
        update inquiries
        set taken_by = $1, taken_at = clock_timestamp()
        where id = (
            select i.id from inquiries i
            where i.answer is null
              and i.expires_at > clock_timestamp()
              and not exists (
                  select from nodes n
                  where n.id = i.taken_by
                    and (n.started_at <= i.taken_at
                         and n.seen_at > clock_timestamp() - make_interval(secs => $2)))
            order by i.asked_at
            for update of i skip locked
            limit 1
        )
        returning id as "id: InquiryId", question as "question: Json<Question>",
            target_id as "target: TargetId", expires_at
        "#,
        node.0,
        crate::nodes::LEASE.as_secs_f64(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Taken {
        id: row.id,
        question: row.question.0,
        target: row.target,
        expires_at: row.expires_at,
    }))
}

/// Answers a question. False when it was answered already or has expired.
pub async fn answer(conn: &mut Conn, id: InquiryId, answer: &InquiryAnswer) -> Result<bool> {
    let done = sqlx::query!(
        r#"
        update inquiries set answer = $2, answered_at = clock_timestamp()
        where id = $1 and answer is null and expires_at > clock_timestamp()
        "#,
        id.0,
        Json(answer) as _,
    )
    .execute(&mut *conn)
    .await?;
    // The page polls its inquiry, and the stream is told as well, so that it need not wait.
    crate::wake::work(conn, "inquiry").await?;
    Ok(done.rows_affected() == 1)
}

/// What is asked, by whom, about which service.
#[derive(Clone, Debug)]
pub struct New<'a> {
    pub id: InquiryId,
    pub question: &'a Question,
    pub target: TargetId,
    /// `None`: about the installation.
    pub place: Option<(ProjectId, ServiceId)>,
    pub by: UserId,
}

/// Asks. False when the person has too many open questions already. What nobody can use any more
/// is cleared away on the way.
pub async fn ask(conn: &mut Conn, new: &New<'_>) -> Result<bool> {
    sqlx::query!(
        "delete from inquiries where expires_at < clock_timestamp() - make_interval(secs => $1)",
        2.0 * GOOD_FOR.as_secs_f64(),
    )
    .execute(&mut *conn)
    .await?;
    let done = sqlx::query!(
        r#"
        insert into inquiries (id, question, target_id, project_id, service_id, asked_by, expires_at)
        select $1, $2, $3, $4, $5, $6, clock_timestamp() + make_interval(secs => $7)
        where (select count(*) from inquiries
               where asked_by = $6 and answer is null and expires_at > clock_timestamp()) < $8
        "#,
        new.id.0,
        Json(new.question) as _,
        new.target.0,
        new.place.map(|(project, _)| project.0),
        new.place.map(|(_, service)| service.0),
        new.by.0,
        new.question.within().as_secs_f64(),
        MOST_OPEN,
    )
    .execute(&mut *conn)
    .await?;
    crate::wake::work(conn, "inquiry").await?;
    Ok(done.rows_affected() == 1)
}

/// A question with its answer as far as it is.
#[derive(Clone, Debug)]
pub struct Inquiry {
    pub id: InquiryId,
    pub question: Question,
    /// `None`: about the installation.
    pub place: Option<(ProjectId, ServiceId)>,
    pub by: UserId,
    pub asked_at: OffsetDateTime,
    pub answer: InquiryAnswer,
    /// An answer that is still good to be acted upon.
    pub good: bool,
}

/// One inquiry.
pub async fn load(conn: &mut Conn, id: InquiryId) -> Result<Option<Inquiry>> {
    let row = sqlx::query!(
        r#"
        select
            question as "question: Json<Question>", project_id as "project: ProjectId",
            service_id as "service: ServiceId", asked_by as "by: UserId", asked_at,
            answer as "answer: Json<InquiryAnswer>",
            expires_at <= clock_timestamp() as "expired!",
            coalesce(answered_at > clock_timestamp() - make_interval(secs => $2), false) as "good!"
        from inquiries where id = $1
        "#,
        id.0,
        GOOD_FOR.as_secs_f64(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Inquiry {
        id,
        question: row.question.0,
        place: row.project.zip(row.service),
        by: row.by,
        asked_at: row.asked_at,
        answer: match row.answer {
            Some(answer) => answer.0,
            None if row.expired => InquiryAnswer::Expired,
            None => InquiryAnswer::Waiting,
        },
        good: row.good,
    }))
}
