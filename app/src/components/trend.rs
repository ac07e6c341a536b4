//! One figure of a row of things, the newest at the right edge: does it grow, is it over its budget?
//!
//! Bars of ink: blue and green are slots. Whoever does not see them finds the figures in the table
//! beside, which whoever draws a trend also draws.

use leptos::prelude::*;

/// How many are drawn: the newest ones.
pub const MOST: usize = 30;

/// Height of the picture in pixels.
const HEIGHT: f64 = 88.0;

/// One thing's figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// `None`: it has none, and its place stays empty.
    pub value: Option<f64>,
    /// What it is, and its figure: "#c19f, 42 s".
    pub said: String,
    /// It did not end well, so its figure says little.
    pub is_bad: bool,
}

/// What the figure should stay below.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub value: f64,
    /// "budget 500 MB".
    pub said: String,
}

/// The bars of one figure, oldest first.
#[component]
pub fn Trend(
    title: &'static str,
    /// What the figure is, after the title.
    unit: &'static str,
    points: Vec<Point>,
    /// The newest figure in words.
    #[prop(into)]
    now: String,
    #[prop(optional, into)] limit: Option<Limit>,
) -> impl IntoView {
    let drawn = Drawn::of(&points, limit.as_ref());
    let count = drawn.bars.len();
    let label = format!("{title} {unit} of the last {count}: {now}");
    view! {
        <figure class="chart trend">
            <figcaption>
                <b>{title}</b>
                <span class="faint">{unit}</span>
                <span class="note">{now}</span>
            </figcaption>
            <svg role="img" height=HEIGHT.to_string() aria-label=label>
                <g class="grid">
                    <line x1="0" x2="100%" y1="87.5" y2="87.5" />
                </g>
                {drawn
                    .bars
                    .into_iter()
                    .map(|bar| {
                        view! {
                            <rect class=bar.class x=bar.x width=bar.width y=bar.y height=bar.height>
                                <title>{bar.said}</title>
                            </rect>
                        }
                    })
                    .collect_view()}
                {drawn
                    .limit
                    .map(|(y, said)| {
                        view! {
                            <line class="limit" x1="0" x2="100%" y1=y.clone() y2=y.clone() />
                            <text x="0" y=y dy="-3">
                                {said}
                            </text>
                        }
                    })}
            </svg>
        </figure>
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Bar {
    class: &'static str,
    x: String,
    width: String,
    y: String,
    height: String,
    said: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Drawn {
    bars: Vec<Bar>,
    limit: Option<(String, String)>,
}

impl Drawn {
    #[allow(clippy::cast_precision_loss)] // At most so many bars as are drawn.
    fn of(points: &[Point], limit: Option<&Limit>) -> Self {
        let shown = &points[points.len().saturating_sub(MOST)..];
        let most = shown.iter().filter_map(|point| point.value).fold(0.0, f64::max);
        // A limit far above says nothing but that all is well, and would flatten the bars.
        let limit = limit.filter(|limit| limit.value <= most * 4.0);
        let top = limit.map_or(most, |limit| limit.value.max(most)) * 1.12;
        let height = |value: f64| if top > 0.0 { (value / top * HEIGHT).max(1.5) } else { 0.0 };
        let step = 100.0 / MOST as f64;
        let first = MOST - shown.len();
        let bars = shown
            .iter()
            .enumerate()
            .filter_map(|(index, point)| {
                let value = point.value?;
                let over = limit.is_some_and(|limit| value > limit.value);
                let class = match (over, point.is_bad, index + 1 == shown.len()) {
                    (true, ..) => "column over",
                    (_, true, _) => "column failed",
                    (.., true) => "column newest",
                    _ => "column",
                };
                let tall = height(value);
                Some(Bar {
                    class,
                    x: format!("{:.2}%", (first + index) as f64 * step),
                    width: format!("{:.2}%", step * 0.72),
                    y: format!("{:.1}", HEIGHT - tall),
                    height: format!("{tall:.1}"),
                    said: point.said.clone(),
                })
            })
            .collect();
        let limit =
            limit.map(|limit| (format!("{:.1}", HEIGHT - height(limit.value)), limit.said.clone()));
        Self { bars, limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(value: f64) -> Point {
        Point { value: Some(value), said: String::new(), is_bad: false }
    }

    #[test]
    fn the_newest_is_at_the_right_edge_and_no_more_are_drawn_than_fit() {
        let points: Vec<Point> = (1..=100).map(|value| point(f64::from(value))).collect();

        let drawn = Drawn::of(&points, None);

        assert_eq!(drawn.bars.len(), MOST);
        assert_eq!(drawn.bars.last().map(|bar| bar.class), Some("column newest"));
        let few = Drawn::of(&points[..2], None);
        assert_eq!(few.bars[1].x, drawn.bars[MOST - 1].x);
    }

    #[test]
    fn what_is_over_its_budget_is_marked_and_a_far_budget_does_not_flatten() {
        let limit = Limit { value: 50.0, said: "budget".into() };

        let over = Drawn::of(&[point(60.0), point(40.0)], Some(&limit));
        assert_eq!(over.bars[0].class, "column over");
        assert!(over.limit.is_some());

        let far = Drawn::of(&[point(1.0)], Some(&limit));
        assert_eq!(far.limit, None);
    }

    #[test]
    fn nothing_and_nothing_measured_draw_nothing() {
        assert!(Drawn::of(&[], None).bars.is_empty());
        let unknown = Point { value: None, said: String::new(), is_bad: true };
        assert!(Drawn::of(&[unknown], None).bars.is_empty());
        assert_eq!(Drawn::of(&[point(0.0)], None).bars[0].height, "0.0");
    }
}
