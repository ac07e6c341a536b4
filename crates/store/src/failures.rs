//! Failures to sign in: they limit guessing for minutes, and are told in the history without letting
//! whoever guesses write as many rows as he likes.

use crate::{Conn, Result};
use std::net::{IpAddr, Ipv6Addr};

/// Failures of a peer that are told one by one within a minute. Those after them are told together.
const TOLD_EACH: i32 = 5;

/// Failures to sign in that still count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// For this account, in 5 minutes.
    pub account: i64,
    /// From this peer, in a minute.
    pub address: i64,
    /// Until the oldest of them does not count any more.
    pub account_seconds: i64,
    pub address_seconds: i64,
}

/// What is counted as one peer: an IPv4 address, or the /64 of an IPv6 address. Whoever has one address
/// of those has all of them, and would begin anew with each.
fn peer(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(all)) => format!("{}/64", Ipv6Addr::from_bits(all.to_bits() >> 64 << 64)),
        Ok(IpAddr::V4(_)) | Err(_) => address.to_owned(),
    }
}

/// Counts failures of an account and of a peer: of the network behind the address, for IPv6.
pub async fn count(conn: &mut Conn, name: &str, address: &str) -> Result<Failures> {
    Ok(sqlx::query_as!(
        Failures,
        r#"
        select
            a.count as "account!",
            b.count as "address!",
            coalesce(ceil(extract(epoch from a.oldest + interval '5 minutes' - now())), 0)::bigint
                as "account_seconds!",
            coalesce(ceil(extract(epoch from b.oldest + interval '1 minute' - now())), 0)::bigint
                as "address_seconds!"
        from (
            select count(*), min(at) as oldest
            from sign_in_failures
            where name = lower($1) and at > now() - interval '5 minutes'
        ) a, (
            select count(*), min(at) as oldest
            from sign_in_failures
            where address = $2 and at > now() - interval '1 minute'
        ) b
        "#,
        name,
        peer(address),
    )
    .fetch_one(conn)
    .await?)
}

/// Notes a failure, and says how many failures of this peer a row of the history is to stand for now.
///
/// The first five of a minute are told one by one. What comes after them is told together, by the
/// first failure of a later minute or by [`untold`]. Zero is: not now.
pub async fn note(conn: &mut Conn, name: &str, address: &str) -> Result<i32> {
    let address = &peer(address);
    sqlx::query!(
        "insert into sign_in_failures (name, address) values (lower($1), $2)",
        name,
        address
    )
    .execute(&mut *conn)
    .await?;
    sqlx::query!(
        r#"
        insert into sign_in_peers (address, since, last_name) values ($1, now(), $2)
        on conflict (address) do nothing
        "#,
        address,
        name,
    )
    .execute(&mut *conn)
    .await?;
    let peer = sqlx::query!(
        r#"
        select told, untold, since < now() - interval '1 minute' as "over!"
        from sign_in_peers
        where address = $1
        for update
        "#,
        address,
    )
    .fetch_one(&mut *conn)
    .await?;
    let (told, untold, times) = if peer.over {
        (1, 0, peer.untold + 1)
    } else if peer.told < TOLD_EACH {
        (peer.told + 1, 0, 1)
    } else {
        (peer.told, peer.untold + 1, 0)
    };
    sqlx::query!(
        r#"
        update sign_in_peers
        set told = $2, untold = $3, last_name = $4,
            since = case when $5 then now() else since end
        where address = $1
        "#,
        address,
        told,
        untold,
        name,
        peer.over,
    )
    .execute(conn)
    .await?;
    Ok(times)
}

/// Failures of a peer that wait to be told.
#[derive(Clone, Debug)]
pub struct Untold {
    pub address: String,
    pub name: String,
    pub times: i32,
}

/// Takes what waits to be told since a minute and more, at most 100 peers.
pub async fn untold(conn: &mut Conn) -> Result<Vec<Untold>> {
    Ok(sqlx::query_as!(
        Untold,
        r#"
        with due as (
            select address, last_name, untold
            from sign_in_peers
            where untold > 0 and since < now() - interval '1 minute'
            for update skip locked
            limit 100
        )
        update sign_in_peers p
        set untold = 0, told = 1, since = now()
        from due
        where p.address = due.address
        returning due.address as "address!", due.last_name as "name!", due.untold as "times!"
        "#
    )
    .fetch_all(conn)
    .await?)
}

/// A success makes an account's earlier failures void: whoever knows the password did not guess.
pub async fn forget(conn: &mut Conn, name: &str) -> Result<()> {
    sqlx::query!("delete from sign_in_failures where name = lower($1)", name).execute(conn).await?;
    Ok(())
}

/// Removes what does not count any more.
pub async fn sweep(conn: &mut Conn) -> Result<()> {
    sqlx::query!("delete from sign_in_failures where at < now() - interval '10 minutes'")
        .execute(&mut *conn)
        .await?;
    sqlx::query!(
        "delete from sign_in_peers where untold = 0 and since < now() - interval '10 minutes'"
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_one_network_are_one_peer() {
        assert_eq!(peer("2001:db8:1:2:3:4:5:6"), peer("2001:db8:1:2::1"));
        assert_eq!(peer("2001:db8:1:2::1"), "2001:db8:1:2::/64");
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("10.1.2.3"), "10.1.2.3");
        assert_eq!(peer(""), "");
    }
}
