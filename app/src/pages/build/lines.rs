//! What a build wrote, as the page holds it: each line once, by its step, and no more of them than a
//! page can show.

use domain::build::log::{BuildLine, BuildLog};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// How many lines a page shows. Those before are in the download.
pub(super) const MOST: usize = 3000;

/// What is shown now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Lines {
    shown: VecDeque<Arc<BuildLine>>,
    /// How many lines of a step are not shown because newer ones are.
    left_out: BTreeMap<Option<u32>, u64>,
    /// There were lines before those the page was drawn with.
    earlier: bool,
    /// The number of the last line that made room.
    gone: u64,
}

impl Lines {
    /// What the page was drawn with.
    pub fn drawn(log: &BuildLog) -> Self {
        let mut lines = Self { earlier: log.earlier, ..Self::default() };
        lines.hear(log.lines.clone());
        lines
    }

    /// Puts what was heard in its place. What is told twice, by the stream and by a page that was
    /// loaded again, is there once.
    pub fn hear(&mut self, heard: Vec<BuildLine>) {
        for line in heard.into_iter().filter(|line| line.number > self.gone) {
            if let Err(at) = self.shown.binary_search_by_key(&line.number, |known| known.number) {
                self.shown.insert(at, Arc::new(line));
            }
        }
        while self.shown.len() > MOST {
            if let Some(line) = self.shown.pop_front() {
                self.gone = line.number;
                *self.left_out.entry(line.step).or_default() += 1;
            }
        }
    }

    /// The number of the newest line.
    pub fn last(&self) -> u64 {
        self.shown.back().map_or(self.gone, |line| line.number)
    }

    /// What a step wrote; of no step what is told of the build itself.
    pub fn of(&self, step: Option<u32>) -> Vec<Arc<BuildLine>> {
        self.shown.iter().filter(|line| line.step == step).cloned().collect()
    }

    /// How many lines of a step are not shown any more.
    pub fn left_out_of(&self, step: Option<u32>) -> u64 {
        self.left_out.get(&step).copied().unwrap_or_default()
    }

    /// Whether lines were written before the first one here.
    pub fn is_cut(&self) -> bool {
        self.earlier || !self.left_out.is_empty()
    }

    /// How many lines are shown.
    pub fn count(&self) -> u64 {
        self.shown.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::log::{LogLine, Source};

    fn line(number: u64, step: Option<u32>) -> BuildLine {
        let text = number.to_string();
        BuildLine {
            number,
            step,
            line: LogLine { at_ns: 0, source: Source::Out, text, left_out: 0 },
        }
    }

    #[test]
    fn a_line_is_there_once_and_in_its_step() {
        let mut lines = Lines::default();

        lines.hear(vec![line(1, None), line(3, Some(2)), line(4, Some(1))]);
        // The stream was opened again, and began a little before.
        lines.hear(vec![line(2, Some(1)), line(3, Some(2))]);

        let numbers = |step| lines.of(step).iter().map(|line| line.number).collect::<Vec<_>>();
        assert_eq!((numbers(None), numbers(Some(1))), (vec![1], vec![2, 4]));
        assert_eq!((lines.count(), lines.last()), (4, 4));
    }

    #[test]
    fn a_page_holds_no_more_than_it_can_show_and_says_what_is_missing() {
        let mut lines = Lines::default();

        lines.hear((1..=MOST as u64 + 7).map(|number| line(number, Some(1))).collect());

        assert_eq!(lines.count(), MOST as u64);
        assert_eq!(lines.left_out_of(Some(1)), 7);
        assert!(lines.is_cut());
    }
}
