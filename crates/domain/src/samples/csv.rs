//! A course as a file: what the table shows, with nothing rounded away.

use super::course::{Course, Point};
use crate::slot::Slot;
use std::fmt::Write;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const HEAD: &str = "time,seconds,slot,requests,failures,p95_ms,longest_gap_ms,\
                    cpu_percent,cpu_percent_most,memory_bytes,memory_bytes_most,instances,restarts\n";

impl Course {
    /// A line for each step and slot of which there is something, oldest first. What was not measured
    /// is empty. All of it is numbers and two words, so nothing needs quotes.
    #[must_use]
    pub fn to_csv(&self) -> String {
        let mut out = HEAD.to_owned();
        for (index, point) in self.points.iter().enumerate() {
            let at = OffsetDateTime::from_unix_timestamp(self.span.at(index)).ok();
            let at = at.and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
            for slot in Slot::ALL {
                if let Some(point) = point.of(slot) {
                    // Writing to a string can not fail.
                    let _ = write!(out, "{at},{},{slot},", self.span.step);
                    line(&mut out, point);
                }
            }
        }
        out
    }
}

fn line(out: &mut String, point: &Point) {
    let _ = if point.counted > 0 {
        let p95 = point.p95_us.map(|us| (f64::from(us) / 1000.0).to_string()).unwrap_or_default();
        let Point { requests, failures, longest_gap_ms, .. } = point;
        write!(out, "{requests},{failures},{p95},{longest_gap_ms},")
    } else {
        write!(out, ",,,,")
    };
    let _ = if point.metered > 0 {
        let Point { cpu_percent, cpu_percent_most, memory_bytes, .. } = point;
        let Point { memory_bytes_most, instances, restarts, .. } = point;
        writeln!(
            out,
            "{cpu_percent},{cpu_percent_most},{memory_bytes},{memory_bytes_most},{instances},{restarts}"
        )
    } else {
        writeln!(out, ",,,,,")
    };
}
