//! Refusals of those who are signed in: each is a row of the history, up to so many a minute. What
//! comes after them is told together, so that nobody can fill the history by asking.

use crate::{Conn, Result};
use domain::id::UserId;

/// Refusals of a person that are told one by one within a minute. A page that shows a button too many
/// is pressed a few times, not so often.
const TOLD_EACH: i32 = 60;

/// Notes a refusal. True: a row of the history is to tell of it. False: [`untold`] will.
pub async fn note(conn: &mut Conn, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar!(
        r#"
        insert into refusals as r (user_id) values ($1)
        on conflict (user_id) do update set
            since = case when r.since < now() - interval '1 minute' then now() else r.since end,
            times = case when r.since < now() - interval '1 minute' then 1 else r.times + 1 end,
            untold = r.untold + case
                when r.since < now() - interval '1 minute' or r.times < $2 then 0 else 1 end
        returning times <= $2 as "told!"
        "#,
        user.0,
        TOLD_EACH,
    )
    .fetch_one(conn)
    .await?)
}

/// Refusals of a person that wait to be told.
#[derive(Clone, Debug)]
pub struct Untold {
    pub user: UserId,
    pub name: String,
    pub times: i32,
}

/// Takes what waits to be told, of at most 100 people, and removes what does not count any more.
pub async fn untold(conn: &mut Conn) -> Result<Vec<Untold>> {
    let untold = sqlx::query_as!(
        Untold,
        r#"
        with due as (
            select user_id, untold from refusals
            where untold > 0
            for update skip locked
            limit 100
        )
        update refusals r
        set untold = 0
        from due join users u on u.id = due.user_id
        where r.user_id = due.user_id
        returning r.user_id as "user!: UserId", u.name as "name!", due.untold as "times!"
        "#
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!("delete from refusals where untold = 0 and since < now() - interval '10 minutes'")
        .execute(conn)
        .await?;
    Ok(untold)
}
