//! `pilothouse-router status`: what the router serves, as a table.

use crate::{cli::Status, client::Client};
use anyhow::bail;
use domain::{
    route::{Hello, Routed, Routes, traffic::AllTraffic},
    slot::{PerSlot, Slot},
};
use std::fmt::Write;

/// Prints it.
pub fn run(ask: &Status) -> anyhow::Result<()> {
    let socket = ask.at.socket()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (hello, routes, traffic) = runtime.block_on(async {
        let Some(mut router) = Client::connect(&socket).await? else {
            bail!("no router listens at {}", socket.display());
        };
        let hello: Hello = router.get("/v1/hello").await?;
        let routes: Routes = router.get("/v1/routes").await?;
        // Only totals are shown: no seconds.
        let traffic: AllTraffic = router.get(&format!("/v1/traffic?since={}", i64::MAX)).await?;
        Ok((hello, routes, traffic))
    })?;
    print!("{}", text(&hello, &routes, &traffic)?);
    Ok(())
}

fn text(hello: &Hello, routes: &Routes, traffic: &AllTraffic) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let addresses: Vec<_> =
        hello.listeners.iter().map(|l| format!("{} {}", l.name, l.address)).collect();
    writeln!(
        out,
        "Router {} (pid {}), listening on {}{}{}",
        hello.version,
        hello.pid,
        addresses.join(", "),
        if hello.draining { ", draining" } else { "" },
        if hello.lost_routes { ", HAS LOST ITS ROUTES" } else { "" },
    )?;
    let head = ["HOST NAME", "LIVE", "BLUE", "GREEN", "IN FLIGHT", "REQUESTS", "FAILED"];
    let mut rows = vec![
        [head.map(String::from).as_slice(), &["REV", "EPOCH", "PLACEMENT"].map(String::from)]
            .concat(),
    ];
    for routed in &routes.routes {
        rows.push(row(routed, traffic));
    }
    let widths: Vec<usize> = (0..rows[0].len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in &rows {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(out)
}

fn row(routed: &Routed, traffic: &AllTraffic) -> Vec<String> {
    let seen = traffic.placements.iter().find(|seen| seen.placement == routed.placement);
    let both = |of: fn(&domain::route::traffic::SlotTraffic) -> u64| {
        let PerSlot { blue, green } = match seen {
            Some(seen) => PerSlot { blue: of(&seen.slots.blue), green: of(&seen.slots.green) },
            None => PerSlot::default(),
        };
        format!("{blue}/{green}")
    };
    let upstreams = |slot| {
        routed.route.as_ref().map_or_else(String::new, |r| r.upstreams.of(slot).len().to_string())
    };
    let host = routed.route.as_ref().and_then(|route| route.host_names.first());
    let by_hand = if routed.break_glass.is_some() { " (by hand)" } else { "" };
    vec![
        host.map_or_else(|| "-".to_owned(), ToString::to_string),
        format!("{}{by_hand}", routed.live().map_or("none", Slot::as_str)),
        upstreams(Slot::Blue),
        upstreams(Slot::Green),
        both(|slot| slot.in_flight.all),
        both(|slot| slot.totals.requests),
        both(|slot| slot.totals.failures.sum()),
        routed.revision.to_string(),
        routed.epoch.to_string(),
        routed.placement.to_string(),
    ]
}
