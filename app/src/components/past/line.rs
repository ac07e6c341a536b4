//! A figure of both slots as lines of a picture that is as wide as there are points. Pure.

use super::figure::Figure;
use domain::{samples::course::Course, slot::Slot};
use std::fmt::Write;

/// Height of the picture, in the units of its lines.
pub(super) const HEIGHT: f64 = 100.0;

/// What is drawn of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    /// How many points there are.
    pub width: usize,
    pub top: f64,
    pub blue: String,
    pub green: String,
    /// Where nothing was measured: first point and the one after the last.
    pub gaps: Vec<(usize, usize)>,
}

impl Drawn {
    pub fn of(course: &Course, figure: Figure) -> Self {
        let most = course
            .points
            .iter()
            .flat_map(|step| {
                Slot::ALL.map(|slot| step.of(slot).as_ref().and_then(|p| figure.of(p)))
            })
            .flatten()
            .fold(0.0, f64::max);
        let top = figure.top(most);
        Self {
            width: course.points.len().max(1),
            top,
            blue: line(course, figure, Slot::Blue, top),
            green: line(course, figure, Slot::Green, top),
            gaps: course.gaps(|point| figure.is_measured(point)),
        }
    }

    /// How high a value is drawn, from above.
    pub fn y(&self, value: f64) -> f64 {
        y(value, self.top)
    }
}

fn y(value: f64, top: f64) -> f64 {
    HEIGHT - (value / top).min(1.0) * HEIGHT
}

/// A slot's line. It breaks where it was not measured; a point alone is a dot.
#[allow(clippy::cast_precision_loss)] // At most 600 points.
fn line(course: &Course, figure: Figure, slot: Slot, top: f64) -> String {
    let mut line = String::new();
    let mut before = None;
    for (index, step) in course.points.iter().enumerate() {
        let Some(value) = step.of(slot).as_ref().and_then(|point| figure.of(point)) else {
            continue;
        };
        let (x, y) = (index as f64 + 0.5, y(value, top));
        // Writing to a string can not fail.
        let _ = match before {
            Some(before) if before + 1 == index => write!(line, "L{x},{y:.1}"),
            _ => write!(line, "M{x},{y:.1}h0"),
        };
        before = Some(index);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{
        samples::{Grain, Span, course::Point},
        slot::PerSlot,
    };

    #[test]
    fn a_gap_is_not_drawn_over_and_a_point_alone_is_seen() {
        let point = |requests| Some(Point { counted: 1, requests, ..Point::default() });
        let steps = [point(5), point(10), None, None, point(0)];
        let course = Course {
            span: Span { from: 0, to: 5, step: 1, grain: Grain::Seconds },
            read_to: 4,
            points: steps.map(|blue| PerSlot { blue, green: None }).into(),
        };

        let drawn = Drawn::of(&course, Figure::Requests);

        assert_eq!(drawn.blue, "M0.5,50.0h0L1.5,0.0M4.5,100.0h0");
        assert_eq!((drawn.green.as_str(), drawn.top, drawn.width), ("", 10.0, 5));
        assert_eq!(drawn.gaps, [(2, 4)]);
        assert_eq!(Drawn::of(&course, Figure::Cpu).blue, "");
    }
}
