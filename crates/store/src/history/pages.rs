//! Reading the history: after a number for the stream, page by page for people.

use super::{Stored, to_hash};
use crate::{Conn, Result};
use domain::{
    history::{GENESIS, Hash, Visibility},
    id::{BuildId, RolloutId},
    view::HistoryFilter,
};
use time::{Duration, OffsetDateTime};

/// What one grant lets its holder see of the history. Null is "any".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub project: Option<String>,
    pub environment: Option<String>,
    /// May read the history itself, not only what is told of things one may see.
    pub whole: bool,
}

impl Window {
    /// Whether a row may be seen.
    #[must_use]
    pub fn shows(&self, row: &Stored) -> bool {
        self.shows_at(row.visibility, row.project.as_deref(), row.environment.as_deref())
    }

    /// Whether what is told of a place may be seen: the same rule as in the function
    /// `history_through`.
    #[must_use]
    pub fn shows_at(
        &self,
        visibility: Visibility,
        project: Option<&str>,
        environment: Option<&str>,
    ) -> bool {
        let (mine_project, mine_environment) =
            (self.project.as_deref(), self.environment.as_deref());
        let touches = |mine: Option<&str>, theirs: Option<&str>| {
            mine.is_none() || theirs.is_none() || mine == theirs
        };
        let covers = |mine: Option<&str>, theirs: Option<&str>| mine.is_none() || mine == theirs;
        let as_a_reader =
            self.whole && covers(mine_project, project) && covers(mine_environment, environment);
        as_a_reader
            || visibility == Visibility::View
                && touches(mine_project, project)
                && touches(mine_environment, environment)
    }

    /// Whether a row may be seen with all that is known of it, also where it came from.
    #[must_use]
    pub fn shows_whole(&self, row: &Stored) -> bool {
        let covers =
            |mine: &Option<String>, theirs: &Option<String>| mine.is_none() || mine == theirs;
        self.whole
            && covers(&self.project, &row.project)
            && covers(&self.environment, &row.environment)
    }
}

/// Windows as three columns, which is how a statement takes them.
#[derive(Clone, Debug)]
struct Columns {
    projects: Vec<Option<String>>,
    environments: Vec<Option<String>>,
    whole: Vec<bool>,
}

impl From<&[Window]> for Columns {
    fn from(windows: &[Window]) -> Self {
        Self {
            projects: windows.iter().map(|window| window.project.clone()).collect(),
            environments: windows.iter().map(|window| window.environment.clone()).collect(),
            whole: windows.iter().map(|window| window.whole).collect(),
        }
    }
}

/// What somebody wants to see, and through which windows he looks.
#[derive(Clone, Debug)]
pub struct Selection {
    windows: Columns,
    filter: HistoryFilter,
    kinds: Option<Vec<String>>,
    since: Option<OffsetDateTime>,
}

impl Selection {
    /// Rows of `filter` that can be seen through one of the windows. `now` is the database's clock.
    #[must_use]
    pub fn new(windows: &[Window], filter: &HistoryFilter, now: OffsetDateTime) -> Self {
        // Ten years are all days there are.
        let since = filter.days.map(|days| now - Duration::days(i64::from(days.min(3660))));
        let mut filter = filter.clone();
        for word in
            [&mut filter.person, &mut filter.project, &mut filter.service, &mut filter.environment]
        {
            // Postgres knows no text with a zero in it; no name has this letter, so it finds nothing.
            *word = word.take().map(|word| word.replace('\0', "\u{fffd}"));
        }
        Self { windows: windows.into(), kinds: kinds(filter.about.as_deref()), filter, since }
    }
}

struct Raw {
    number: i64,
    version: i16,
    visibility: String,
    project: Option<String>,
    environment: Option<String>,
    at: OffsetDateTime,
    body: Vec<u8>,
    hash: Vec<u8>,
}

impl TryFrom<Raw> for Stored {
    type Error = crate::Error;

    fn try_from(raw: Raw) -> Result<Self> {
        Ok(Self {
            number: raw.number,
            version: raw.version,
            // What is not plainly for everybody is for few.
            visibility: if raw.visibility == "view" {
                Visibility::View
            } else {
                Visibility::HistoryView
            },
            project: raw.project,
            environment: raw.environment,
            at: raw.at,
            body: raw.body,
            hash: to_hash(&raw.hash)?,
        })
    }
}

fn stored(rows: Vec<Raw>) -> Result<Vec<Stored>> {
    rows.into_iter().map(Stored::try_from).collect()
}

/// Rows after `number`, in order, at most `limit`. Who may see them is the caller's to ask.
pub async fn after(conn: &mut Conn, number: i64, limit: i64) -> Result<Vec<Stored>> {
    stored(
        sqlx::query_as!(
            Raw,
            r#"
            select number, version, visibility, project, environment, at, body, hash
            from history
            where number > $1
            order by number
            limit $2
            "#,
            number,
            limit,
        )
        .fetch_all(conn)
        .await?,
    )
}

/// All that a rollout did, oldest first, at most 500.
pub async fn of_rollout(conn: &mut Conn, rollout: RolloutId) -> Result<Vec<Stored>> {
    stored(
        sqlx::query_as!(
            Raw,
            r#"
            select number, version, visibility, project, environment, at, body, hash
            from history
            where rollout = $1 and visibility = 'view'
            order by number
            limit 500
            "#,
            rollout.0,
        )
        .fetch_all(conn)
        .await?,
    )
}

/// All rows of one build, oldest first, at most 100, for those who may see it. `since` is when it was
/// asked for: there are none before.
pub async fn of_build(
    conn: &mut Conn,
    build: BuildId,
    service: &str,
    since: OffsetDateTime,
) -> Result<Vec<Stored>> {
    stored(
        sqlx::query_as!(
            Raw,
            r#"
            select number, version, visibility, project, environment, at, body, hash
            from history
            where service = $2 and at >= $3 and visibility = 'view'
              and kind in ('build_asked', 'build_cancel_asked', 'build_entered', 'build_not_deployed')
              and convert_from(body, 'UTF8')::jsonb -> 'deed' ->> 'build' = $1
            order by number
            limit 100
            "#,
            build.to_string(),
            service,
            since - Duration::MINUTE,
        )
        .fetch_all(conn)
        .await?,
    )
}

/// The kinds of deeds behind the words of the filter "about". An unknown word finds nothing.
fn kinds(about: Option<&str>) -> Option<Vec<String>> {
    let kinds: &[&str] = match about? {
        "rollouts" => &[
            "rollout_queued",
            "rollout_asked",
            "rollout_entered",
            "rollout_errored",
            "alarm",
            "warmth_extended",
            "warmth_ended",
            "hold_lifted",
            "instances_restored",
            "strays_removed",
            "route_restored",
            "route_foreign",
            "drift",
            "image_fetched",
        ],
        "people" => &[
            "first_admin_made",
            "access_recovered",
            "person_added",
            "person_disabled",
            "person_enabled",
            "password_changed",
            "password_reset",
            "grant_given",
            "grant_taken",
            "person_invited",
            "invitation_withdrawn",
            "invitation_accepted",
        ],
        "sign_ins" => &["signed_in", "sign_in_failed", "signed_out", "session_ended"],
        "refusals" => &["refused", "refused_more", "sign_in_failed"],
        "changes" => &[
            "project_added",
            "service_added",
            "service_changed",
            "placement_changed",
            "environment_changed",
            "configuration_made",
            "secret_set",
            "secret_removed",
            "release_made",
            "source_changed",
            "registry_added",
            "registry_changed",
            "registry_archived",
            "push_rule_changed",
            "push_asked",
            "image_pushed",
            "push_failed",
        ],
        "builds" => &[
            "source_changed",
            "build_asked",
            "build_cancel_asked",
            "build_entered",
            "build_not_deployed",
        ],
        _ => &[],
    };
    Some(kinds.iter().map(ToString::to_string).collect())
}

/// The newest rows of a selection, newest first, at most `limit`.
pub async fn page(conn: &mut Conn, of: &Selection, limit: i64) -> Result<Vec<Stored>> {
    stored(
        sqlx::query_as!(
            Raw,
            r#"
            select number as "number!", version as "version!", visibility as "visibility!",
                project, environment, at as "at!", body as "body!", hash as "hash!"
            from history_through($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
            where $11::bigint is null or number < $11
            order by number desc
            limit $12
            "#,
            &of.windows.projects as &[Option<String>],
            &of.windows.environments as &[Option<String>],
            &of.windows.whole,
            of.filter.person.as_deref(),
            of.filter.project.as_deref(),
            of.filter.environment.as_deref(),
            of.filter.service.as_deref(),
            of.filter.rollout.map(|rollout| rollout.0),
            of.kinds.as_deref(),
            of.since,
            of.filter.before,
            limit,
        )
        .fetch_all(conn)
        .await?,
    )
}

/// How many rows of a selection [`export`] gives up to `head`.
pub async fn count(conn: &mut Conn, of: &Selection, head: i64) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"
        select count(*) as "count!"
        from history_through($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) h
        where h.number <= $11 and ($12::bigint is null or h.number < $12)
            and exists (
                select
                from unnest($1::text[], $2::text[], $3::bool[]) as w (project, environment, whole)
                where w.whole
                    and (w.project is null or w.project = h.project)
                    and (w.environment is null or w.environment = h.environment)
            )
        "#,
        &of.windows.projects as &[Option<String>],
        &of.windows.environments as &[Option<String>],
        &of.windows.whole,
        of.filter.person.as_deref(),
        of.filter.project.as_deref(),
        of.filter.environment.as_deref(),
        of.filter.service.as_deref(),
        of.filter.rollout.map(|rollout| rollout.0),
        of.kinds.as_deref(),
        of.since,
        head,
        of.filter.before,
    )
    .fetch_one(conn)
    .await?)
}

/// A row to be taken away, with what proves it.
#[derive(Clone, Debug)]
pub struct Exported {
    pub row: Stored,
    /// The hash of the row before it.
    pub previous: Hash,
}

/// The next rows of a selection after `number` and up to `head`, oldest first, at most `limit`.
///
/// Only rows that may be seen with all that is known of them: their exact bytes also say from where
/// somebody asked.
pub async fn export(
    conn: &mut Conn,
    of: &Selection,
    number: i64,
    head: i64,
    limit: i64,
) -> Result<Vec<Exported>> {
    let rows = sqlx::query!(
        r#"
        select h.number as "number!", h.version as "version!", h.visibility as "visibility!",
            h.project, h.environment, h.at as "at!", h.body as "body!", h.hash as "hash!",
            (select p.hash from history p where p.number = h.number - 1) as previous
        from history_through($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) h
        where h.number > $11 and h.number <= $12 and ($13::bigint is null or h.number < $13)
            and exists (
                select
                from unnest($1::text[], $2::text[], $3::bool[]) as w (project, environment, whole)
                where w.whole
                    and (w.project is null or w.project = h.project)
                    and (w.environment is null or w.environment = h.environment)
            )
        order by h.number
        limit $14
        "#,
        &of.windows.projects as &[Option<String>],
        &of.windows.environments as &[Option<String>],
        &of.windows.whole,
        of.filter.person.as_deref(),
        of.filter.project.as_deref(),
        of.filter.environment.as_deref(),
        of.filter.service.as_deref(),
        of.filter.rollout.map(|rollout| rollout.0),
        of.kinds.as_deref(),
        of.since,
        number,
        head,
        of.filter.before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let previous = row.previous.as_deref().map_or(Ok(GENESIS), to_hash)?;
            let raw = Raw {
                number: row.number,
                version: row.version,
                visibility: row.visibility,
                project: row.project,
                environment: row.environment,
                at: row.at,
                body: row.body,
                hash: row.hash,
            };
            Ok(Exported { row: raw.try_into()?, previous })
        })
        .collect()
}

/// Names for the lists of the filter.
#[derive(Clone, Debug)]
pub struct FilterLists {
    pub people: Vec<String>,
    pub services: Vec<String>,
    pub environments: Vec<String>,
}

/// What can be chosen in the filter, of what may be seen, at most 500 of each.
pub async fn filter_lists(conn: &mut Conn, windows: &[Window]) -> Result<FilterLists> {
    let through = Columns::from(windows);
    Ok(sqlx::query_as!(
        FilterLists,
        r#"
        with through as (
            select project, environment, whole
            from unnest($1::text[], $2::text[], $3::bool[]) as w (project, environment, whole)
        )
        select
            array(
                select name from users
                where exists (select from through where whole)
                order by lower(name) limit 500
            ) as "people!",
            array(
                select distinct s.name
                from services s
                join projects p on p.id = s.project_id
                join through w on w.project is null or w.project = p.name
                order by s.name limit 500
            ) as "services!",
            array(
                select e.name
                from environments e
                where exists (
                    select from through w where w.environment is null or w.environment = e.name
                )
                order by e.position limit 500
            ) as "environments!"
        "#,
        &through.projects as &[Option<String>],
        &through.environments as &[Option<String>],
        &through.whole,
    )
    .fetch_one(conn)
    .await?)
}
