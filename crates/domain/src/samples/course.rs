//! A course: what a placement did over a span, a point a step for each slot, as charts and tables
//! show it. What is heard while one looks is added at its end.

use super::{Grain, MOST_POINTS, Measured, Span};
use crate::{
    live::{Sample, SlotSample},
    slot::{PerSlot, Slot},
};
use serde::{Deserialize, Serialize};

/// A point for each step of a span.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Course {
    pub span: Span,
    /// Up to this second everything is in it; what is heard of later ones is added.
    pub read_to: i64,
    /// `None`: nothing of the slot was measured in that step.
    #[serde(with = "pairs")]
    pub points: Vec<PerSlot<Option<Point>>>,
}

/// What a slot did and used in one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Packed", from = "Packed")]
pub struct Point {
    /// In how many seconds traffic was counted. 0: not at all.
    pub counted: u32,
    pub requests: u64,
    pub failures: u64,
    pub p95_us: Option<u32>,
    pub longest_gap_ms: u32,
    /// In how many seconds usage was read. 0: not at all.
    pub metered: u32,
    /// Averages of all instances together, and the most in one second.
    pub cpu_percent: f32,
    pub cpu_percent_most: f32,
    pub memory_bytes: u64,
    pub memory_bytes_most: u64,
    pub instances: u16,
    pub restarts: u32,
}

/// Blue and green without their names: most steps of a page have one of them or none.
mod pairs {
    use super::{PerSlot, Point};
    use serde::{Deserialize, Deserializer, Serializer};

    type Step = PerSlot<Option<Point>>;

    pub fn serialize<S: Serializer>(steps: &[Step], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(steps.iter().map(|step| (&step.blue, &step.green)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Step>, D::Error> {
        let steps = Vec::<(Option<Point>, Option<Point>)>::deserialize(from)?;
        Ok(steps.into_iter().map(|(blue, green)| PerSlot { blue, green }).collect())
    }
}

/// In the order of the fields: a page carries some hundred points.
type Packed = (u32, u64, u64, Option<u32>, u32, u32, f32, f32, u64, u64, u16, u32);

impl From<Point> for Packed {
    fn from(point: Point) -> Self {
        (
            point.counted,
            point.requests,
            point.failures,
            point.p95_us,
            point.longest_gap_ms,
            point.metered,
            point.cpu_percent,
            point.cpu_percent_most,
            point.memory_bytes,
            point.memory_bytes_most,
            point.instances,
            point.restarts,
        )
    }
}

impl From<Packed> for Point {
    fn from(packed: Packed) -> Self {
        Self {
            counted: packed.0,
            requests: packed.1,
            failures: packed.2,
            p95_us: packed.3,
            longest_gap_ms: packed.4,
            metered: packed.5,
            cpu_percent: packed.6,
            cpu_percent_most: packed.7,
            memory_bytes: packed.8,
            memory_bytes_most: packed.9,
            instances: packed.10,
            restarts: packed.11,
        }
    }
}

impl Point {
    /// Requests a second, over the seconds that were counted.
    #[must_use]
    #[allow(clippy::cast_precision_loss)] // Counts of a step.
    pub fn rate(&self) -> Option<f64> {
        (self.counted > 0).then(|| self.requests as f64 / f64::from(self.counted))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Rounded, never negative.
    fn of(measured: &Measured) -> Option<Self> {
        let (traffic, used) = (&measured.traffic, &measured.used);
        (traffic.seconds > 0 || used.seconds > 0).then(|| Self {
            counted: traffic.seconds,
            requests: traffic.requests,
            failures: traffic.failures,
            p95_us: traffic.percentile(95),
            longest_gap_ms: traffic.longest_gap_ms,
            metered: used.seconds,
            cpu_percent: tenth(used.cpu_percent),
            cpu_percent_most: tenth(used.cpu_percent_most),
            memory_bytes: used.memory_bytes.round() as u64,
            memory_bytes_most: used.memory_bytes_most,
            instances: used.instances,
            restarts: used.restarts,
        })
    }

    /// Adds a second that was heard. Its percentile is all that is known of its answers: until the
    /// course is read anew the point has the one of all its seconds, weighted by their requests.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    fn hear(&mut self, slot: &SlotSample) {
        let requests = u64::from(slot.requests);
        let both = (self.requests + requests).max(1) as f64;
        self.p95_us = match (self.p95_us, slot.p95_us) {
            (Some(had), Some(heard)) => {
                let share = requests as f64 / both;
                let had = f64::from(had);
                Some((had + (f64::from(heard) - had) * share).round() as u32)
            }
            (had, heard) => had.or(heard),
        };
        self.counted += 1;
        self.requests += requests;
        self.failures += u64::from(slot.failures);
        if slot.instances.is_empty() {
            return;
        }
        let cpu: f32 = slot.instances.iter().map(|instance| instance.cpu_percent).sum();
        let memory: u64 = slot.instances.iter().map(|instance| instance.memory_bytes).sum();
        self.metered += 1;
        let share = 1.0 / f64::from(self.metered);
        let (had_cpu, had_memory) = (f64::from(self.cpu_percent), self.memory_bytes as f64);
        self.cpu_percent = tenth(had_cpu + (f64::from(cpu) - had_cpu) * share);
        self.memory_bytes = (had_memory + (memory as f64 - had_memory) * share).round() as u64;
        self.cpu_percent_most = self.cpu_percent_most.max(tenth(f64::from(cpu)));
        self.memory_bytes_most = self.memory_bytes_most.max(memory);
        let instances = u16::try_from(slot.instances.len()).unwrap_or(u16::MAX);
        self.instances = self.instances.max(instances);
    }
}

#[allow(clippy::cast_possible_truncation)] // A percentage with one digit.
fn tenth(value: f64) -> f32 {
    ((value * 10.0).round() / 10.0) as f32
}

/// Gathers what is read of a span, in any order, into its points.
#[derive(Debug)]
pub struct Gather {
    span: Span,
    read_to: i64,
    steps: Vec<PerSlot<Measured>>,
}

impl Gather {
    #[must_use]
    pub fn new(span: Span) -> Self {
        let steps = (0..span.len()).map(|_| PerSlot::default()).collect();
        Self { span, read_to: span.from - 1, steps }
    }

    /// Adds what was measured from `at` on. What lies outside is passed over.
    pub fn add(&mut self, at: i64, slot: Slot, measured: &Measured) {
        let Some(index) = self.span.index(at) else { return };
        self.steps[index].of_mut(slot).add(measured);
        let last = match self.span.grain {
            Grain::Seconds => at,
            Grain::Minutes => at + 59,
        };
        self.read_to = self.read_to.max(last);
    }

    /// The points.
    #[must_use]
    pub fn course(self) -> Course {
        let point = |step: &PerSlot<Measured>| PerSlot {
            blue: Point::of(&step.blue),
            green: Point::of(&step.green),
        };
        Course {
            span: self.span,
            read_to: self.read_to,
            points: self.steps.iter().map(point).collect(),
        }
    }
}

impl Course {
    /// Adds what is heard of seconds after those that were read. `slides`: the span ends now, so its
    /// beginning moves along; else it grows. Only of a course of seconds.
    pub fn hear<'a>(&mut self, samples: impl IntoIterator<Item = &'a Sample>, slides: bool) {
        for sample in samples {
            // A sample is of the second before it was made.
            let at = sample.at - 1;
            if self.span.grain == Grain::Seconds && at > self.read_to && sample.trouble.is_none() {
                self.append(at, &sample.slots, slides);
                self.read_to = at;
            }
        }
    }

    fn append(&mut self, at: i64, slots: &PerSlot<SlotSample>, slides: bool) {
        let most = i64::try_from(self.points.len()).unwrap_or(MOST_POINTS);
        let most = if slides { most.max(1) } else { MOST_POINTS };
        // After a long gap there is no need to draw every step of it.
        if at >= self.span.to + most * self.span.step {
            self.span.from = at.div_euclid(self.span.step) * self.span.step;
            self.span.to = self.span.from;
            self.points.clear();
        }
        while at >= self.span.to {
            self.span.to += self.span.step;
            self.points.push(PerSlot::default());
        }
        let over = self.points.len().saturating_sub(usize::try_from(most).unwrap_or(0));
        self.points.drain(..over);
        self.span.from += i64::try_from(over).unwrap_or(0) * self.span.step;
        let Some(index) = self.span.index(at) else { return };
        for slot in Slot::ALL {
            let heard = slots.of(slot);
            let there = !heard.instances.is_empty() || heard.requests > 0 || heard.failures > 0;
            if there {
                self.points[index].of_mut(slot).get_or_insert_default().hear(heard);
            }
        }
    }

    /// Whether nothing at all was measured.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.iter().all(|point| point.blue.is_none() && point.green.is_none())
    }

    /// The slots of which there is something.
    #[must_use]
    pub fn slots(&self) -> Vec<Slot> {
        let there = |slot: &Slot| self.points.iter().any(|point| point.of(*slot).is_some());
        Slot::ALL.into_iter().filter(there).collect()
    }

    /// The stretches of steps for which `has` is true of no slot, from the first one for which it is
    /// true until `read_to`: each as its first step and the one after its last.
    pub fn gaps(&self, has: impl Fn(&Point) -> bool) -> Vec<(usize, usize)> {
        let there: Vec<bool> = self
            .points
            .iter()
            .map(|point| Slot::ALL.iter().any(|slot| point.of(*slot).as_ref().is_some_and(&has)))
            .collect();
        let mut gaps = Vec::new();
        let mut last = None;
        for index in there.iter().enumerate().filter_map(|(index, there)| there.then_some(index)) {
            if let Some(last) = last
                && last + 1 < index
            {
                gaps.push((last + 1, index));
            }
            last = Some(index);
        }
        gaps
    }
}
