//! The lines of a page that follows: in the order of their times, each once, and no more than a page
//! can hold.

use super::{filter::name_of, line::Whose};
use domain::{
    log::{LogFound, LogInstance, LogInstances, LogLine, LogPiece},
    slot::Slot,
};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

/// How many lines a page shows.
pub(super) const MOST: usize = 2000;

/// A line, or that some are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Of this row alone, for as long as the page lives.
    pub key: u64,
    /// The id of the instance.
    pub instance: String,
    pub whose: Whose,
    pub at_ns: i64,
    pub is: Is,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Line(LogLine),
    Gap(u64),
}

/// What is shown now.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub rows: VecDeque<Arc<Row>>,
    pub instances: Vec<LogInstance>,
    pub trouble: Option<String>,
    /// The watch that an instance's numbers are of, and the last of them.
    heard: HashMap<String, (i64, u64)>,
    next_key: u64,
}

impl Rows {
    /// What the page was drawn with.
    pub fn drawn(found: &LogFound) -> Self {
        let mut rows = Self {
            instances: found.instances.clone(),
            trouble: found.trouble.clone(),
            ..Self::default()
        };
        for (index, line) in &found.lines {
            if let Some(instance) = found.instances.get(usize::from(*index)) {
                rows.add(&instance.id, line.at_ns, Is::Line(line.clone()));
            }
        }
        rows
    }

    /// Which instances there are now.
    pub fn know(&mut self, told: LogInstances) {
        self.instances = told.instances;
        self.trouble = told.trouble;
    }

    /// Puts what was heard in its place.
    pub fn hear(&mut self, piece: LogPiece) {
        let LogPiece { instance, watch, first, lines, .. } = piece;
        let Some(begins_ns) = lines.first().map(|line| line.at_ns) else { return };
        let last = match self.heard.get(&instance) {
            Some((known, last)) if *known == watch => *last,
            // Another watch tells the newest lines once more.
            _ => {
                self.rows.retain(|row| row.instance != instance || row.at_ns < begins_ns);
                first.saturating_sub(1)
            }
        };
        if first > last + 1 {
            self.add(&instance, begins_ns, Is::Gap(first - last - 1));
        }
        let mut number = first;
        for line in lines {
            if number > last {
                self.add(&instance, line.at_ns, Is::Line(line));
            }
            number += 1;
        }
        self.heard.insert(instance, (watch, last.max(number - 1)));
        let in_order = |rows: &VecDeque<Arc<Row>>| {
            rows.iter().zip(rows.iter().skip(1)).all(|(one, next)| one.at_ns <= next.at_ns)
        };
        if !in_order(&self.rows) {
            self.rows.make_contiguous().sort_by_key(|row| row.at_ns);
        }
        while self.rows.len() > MOST {
            self.rows.pop_front();
        }
    }

    /// How many lines there are.
    pub fn lines(&self) -> usize {
        self.rows.iter().filter(|row| matches!(row.is, Is::Line(_))).count()
    }

    /// The time of the newest row.
    pub fn newest_ns(&self) -> i64 {
        self.rows.back().map_or(i64::MIN, |row| row.at_ns)
    }

    fn add(&mut self, instance: &str, at_ns: i64, is: Is) {
        let known = self.instances.iter().find(|known| known.id == instance);
        let whose = Whose {
            name: name_of(&self.instances, instance),
            slot: known.map_or(Slot::Blue, |known| known.slot),
        };
        self.next_key += 1;
        let (key, instance) = (self.next_key, instance.to_owned());
        self.rows.push_back(Arc::new(Row { key, instance, whose, at_ns, is }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{id::PlacementId, log::Source};

    fn piece(instance: &str, watch: i64, first: u64, at: &[i64]) -> LogPiece {
        let line = |at_ns: &i64| LogLine {
            at_ns: *at_ns,
            source: Source::Out,
            text: at_ns.to_string(),
            left_out: 0,
        };
        let lines = at.iter().map(line).collect();
        let placement = PlacementId(uuid::Uuid::nil());
        LogPiece { placement, instance: instance.to_owned(), watch, first, lines }
    }

    fn said(rows: &Rows) -> Vec<String> {
        let say = |row: &Arc<Row>| match &row.is {
            Is::Line(line) => format!("{}{}", row.instance, line.text),
            Is::Gap(count) => format!("{}+{count}", row.instance),
        };
        rows.rows.iter().map(say).collect()
    }

    #[test]
    fn lines_of_several_instances_are_in_the_order_of_their_times() {
        let mut rows = Rows::default();

        rows.hear(piece("a", 1, 1, &[10, 30]));
        rows.hear(piece("b", 1, 1, &[20]));

        assert_eq!(said(&rows), ["a10", "b20", "a30"]);
    }

    #[test]
    fn a_line_is_there_once_and_a_gap_says_how_many_are_missing() {
        let mut rows = Rows::default();

        rows.hear(piece("a", 1, 1, &[1, 2]));
        // The connection was lost, and everything is told again.
        rows.hear(piece("a", 1, 1, &[1, 2, 3]));
        rows.hear(piece("a", 1, 54, &[4]));
        assert_eq!(said(&rows), ["a1", "a2", "a3", "a+50", "a4"]);

        // The server began again: its numbers are others, its lines are the same.
        rows.hear(piece("a", 2, 1, &[2, 3, 4, 5]));
        assert_eq!(said(&rows), ["a1", "a2", "a3", "a4", "a5"]);
    }

    #[test]
    fn a_page_holds_no_more_than_it_can_show() {
        let mut rows = Rows::default();

        for number in 0..100 {
            let at: Vec<i64> = (number * 100..(number + 1) * 100).collect();
            rows.hear(piece("a", 1, u64::try_from(number * 100 + 1).unwrap(), &at));
        }

        assert_eq!(rows.lines(), MOST);
        assert_eq!(said(&rows).last().map(String::as_str), Some("a9999"));
    }
}
