//! What builds wrote: some lines in a chunk, compressed; for some weeks, and so much in all.

use super::{claims::Held, uncount};
use crate::{Conn, Error, Result};
use domain::{build::log::BuildLine, id::BuildId};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use std::{
    io::{Read, Write},
    time::Duration,
};

/// The most that is read of a chunk. Whoever writes one makes it much smaller.
const CHUNK_BYTES: u64 = 32 << 20;

/// Where a chunk lies in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub first_line: u64,
    pub lines: u32,
    /// Before it was compressed.
    pub bytes: u32,
}

/// Compresses text, for a chunk or for a file that somebody takes away.
pub fn gzip(text: &[u8]) -> Result<Vec<u8>> {
    let fault = |error| Error::unreadable("text", error);
    let mut out = GzEncoder::new(Vec::with_capacity(text.len() / 8), Compression::new(6));
    out.write_all(text).map_err(fault)?;
    out.finish().map_err(fault)
}

fn pack(lines: &[BuildLine]) -> Result<(Vec<u8>, usize)> {
    let mut text = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut text, line).map_err(|wrong| Error::unreadable("line", wrong))?;
        text.push(b'\n');
    }
    Ok((gzip(&text)?, text.len()))
}

fn unpack(chunk: &[u8]) -> Result<Vec<BuildLine>> {
    let mut text = String::new();
    GzDecoder::new(chunk)
        .take(CHUNK_BYTES)
        .read_to_string(&mut text)
        .map_err(|wrong| Error::unreadable("chunk of a log", wrong))?;
    text.lines()
        .map(|line| {
            serde_json::from_str(line).map_err(|wrong| Error::unreadable("line of a log", wrong))
        })
        .collect()
}

/// Puts lines behind those of a build. `None`: it is not ours any more, or there is nothing.
pub async fn append(conn: &mut Conn, held: &Held, lines: &[BuildLine]) -> Result<Option<Chunk>> {
    let Some(first) = lines.first() else { return Ok(None) };
    let (packed, bytes) = pack(lines)?;
    let chunk = Chunk {
        first_line: first.number,
        lines: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
    };
    let done = sqlx::query!(
        r#"
        insert into build_log_chunks (build_id, first_line, lines, bytes, chunk)
        select id, $4, $5, $6, $7 from builds
        where id = $1 and holder = $2 and epoch = $3 and ended_at is null
        on conflict do nothing
        "#,
        held.build.0,
        held.node.0,
        held.epoch,
        super::count(chunk.first_line),
        i32::try_from(chunk.lines).unwrap_or(i32::MAX),
        i32::try_from(chunk.bytes).unwrap_or(i32::MAX),
        packed,
    )
    .execute(conn)
    .await?;
    Ok((done.rows_affected() == 1).then_some(chunk))
}

/// Where the chunks of a build lie, in their order.
pub async fn chunks(conn: &mut Conn, build: BuildId) -> Result<Vec<Chunk>> {
    let rows = sqlx::query!(
        r#"
        select first_line, lines, bytes from build_log_chunks
        where build_id = $1 order by first_line
        "#,
        build.0,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Chunk {
            first_line: uncount(row.first_line),
            lines: u32::try_from(row.lines).unwrap_or(0),
            bytes: u32::try_from(row.bytes).unwrap_or(0),
        })
        .collect())
}

/// Lets one chunk go, because the log grows too long.
pub async fn let_go(conn: &mut Conn, build: BuildId, first_line: u64) -> Result<()> {
    sqlx::query!(
        "delete from build_log_chunks where build_id = $1 and first_line = $2",
        build.0,
        super::count(first_line),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The lines after a number, as many as lie in one chunk. Empty: there are none.
pub async fn after(conn: &mut Conn, build: BuildId, line: u64) -> Result<Vec<BuildLine>> {
    let chunk = sqlx::query_scalar!(
        r#"
        select chunk from build_log_chunks
        where build_id = $1 and first_line + lines > $2::bigint + 1
        order by first_line
        limit 1
        "#,
        build.0,
        super::count(line),
    )
    .fetch_optional(conn)
    .await?;
    let Some(chunk) = chunk else { return Ok(Vec::new()) };
    let mut lines = unpack(&chunk)?;
    lines.retain(|one| one.number > line);
    Ok(lines)
}

/// The lines before a number, as many as lie in one chunk. Empty: there are none.
pub async fn before(conn: &mut Conn, build: BuildId, line: u64) -> Result<Vec<BuildLine>> {
    let chunk = sqlx::query_scalar!(
        r#"
        select chunk from build_log_chunks
        where build_id = $1 and first_line < $2
        order by first_line desc
        limit 1
        "#,
        build.0,
        super::count(line),
    )
    .fetch_optional(conn)
    .await?;
    let Some(chunk) = chunk else { return Ok(Vec::new()) };
    let mut lines = unpack(&chunk)?;
    lines.retain(|one| one.number < line);
    Ok(lines)
}

/// Lets go of the logs of builds that ended longer ago than `keep`, and of the oldest where all
/// together are more than `most_bytes`. What a build was stays; only what it wrote goes.
pub async fn sweep(conn: &mut Conn, keep: Duration, most_bytes: u64) -> Result<u64> {
    let gone = sqlx::query_scalar!(
        r#"
        with sizes as (
            select build_id, sum(octet_length(chunk))::bigint as bytes from build_log_chunks group by build_id
        ), ranked as (
            select build_id, sum(bytes) over (order by build_id desc) as up_to from sizes
        )
        select b.id from builds b
        left join ranked r on r.build_id = b.id
        where b.ended_at is not null and not b.log_gone
          and (b.ended_at < clock_timestamp() - make_interval(secs => $1) or r.up_to > $2::bigint)
        order by b.id
        limit 1000
        "#,
        keep.as_secs_f64(),
        super::count(most_bytes),
    )
    .fetch_all(&mut *conn)
    .await?;
    if gone.is_empty() {
        return Ok(0);
    }
    sqlx::query!("delete from build_log_chunks where build_id = any($1)", &gone)
        .execute(&mut *conn)
        .await?;
    let done = sqlx::query!("update builds set log_gone = true where id = any($1)", &gone)
        .execute(conn)
        .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log::{LogLine, Source};

    #[test]
    fn what_was_packed_comes_out_as_it_was_and_smaller() {
        let line = |number| BuildLine {
            number,
            step: (number % 2 == 0).then_some(3),
            line: LogLine {
                at_ns: 1_795_244_664_832_881_529,
                source: Source::Err,
                text: "\u{1b}[31mCompiling\u{1b}[0m something\t“ä”".to_owned(),
                left_out: number % 3,
            },
        };
        let lines: Vec<_> = (1..=500).map(line).collect();

        let (packed, bytes) = pack(&lines).expect("packs");

        assert!(packed.len() * 10 < bytes, "{} of {bytes}", packed.len());
        assert_eq!(unpack(&packed).expect("unpacks"), lines);
        assert!(unpack(&packed[..packed.len() / 2]).is_err());
    }
}
