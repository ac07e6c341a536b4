use super::{
    course::{Course, Gather},
    *,
};
use crate::{
    id::PlacementId,
    live::{InstanceSample, Sample, SlotSample},
    slot::{PerSlot, Slot},
};

fn second(at: i64, requests: u32, latencies: &[(u32, u32)]) -> Second {
    Second { at, requests, failures: 0, latencies: latencies.to_vec(), longest_gap_ms: 0 }
}

fn heard(at: i64, requests: u32, instances: usize) -> Sample {
    let instance = InstanceSample {
        id: "1".to_owned(),
        name: "blue-1".to_owned(),
        health: crate::live::Health::Ready,
        cpu_percent: 10.0,
        memory_bytes: 100,
        memory_limit_bytes: 0,
        received_bytes_per_s: 0,
        sent_bytes_per_s: 0,
        processes: 1,
        restarts: 0,
        started_at: None,
    };
    let blue =
        SlotSample { requests, instances: vec![instance; instances], ..SlotSample::default() };
    Sample {
        placement: PlacementId(Default::default()),
        at,
        live: Some(Slot::Blue),
        slots: PerSlot { blue, green: SlotSample::default() },
        trouble: None,
    }
}

#[test]
fn a_percentile_of_a_minute_is_of_all_answers_and_not_of_its_seconds() {
    let mut minute = Measured::default();
    // 59 seconds of one quick answer each, and one second of a hundred slow ones.
    for at in 0..59 {
        minute.add(&Measured::counted(&second(at, 1, &[(1000, 1)])));
    }
    minute.add(&Measured::counted(&second(59, 100, &[(1000, 10), (500_000, 90)])));

    assert_eq!(minute.traffic.requests, 159);
    assert_eq!(minute.traffic.percentile(95), Some(500_000), "the mean of them would be 9 ms");
    assert_eq!(minute.traffic.percentile(40), Some(1000));
    assert_eq!(minute.traffic.seconds, 60);
}

#[test]
fn an_average_is_weighted_by_the_seconds_it_is_of() {
    let of = |seconds, cpu| Measured {
        used: Used { seconds, cpu_percent: cpu, cpu_percent_most: cpu, ..Used::default() },
        ..Measured::default()
    };
    let mut both = of(30, 10.0);

    both.add(&of(10, 50.0));
    both.add(&Measured::default());

    assert_eq!((both.used.seconds, both.used.cpu_percent), (40, 20.0));
    assert_eq!(both.used.cpu_percent_most, 50.0);
}

#[test]
fn no_range_has_more_points_than_can_be_shown_and_all_of_it_is_there() {
    for now in [1_795_244_664, 1_795_244_399, 1_795_244_400] {
        for range in Range::ALL {
            let span = Span::last(range, now);
            assert!(span.len() <= MOST_POINTS as usize, "{range} {span:?}");
            assert!(span.to >= now && span.to < now + span.step, "{range} {span:?}");
            assert!(span.to - span.from >= range.seconds() - span.step, "{range} {span:?}");
            assert_eq!(span.from % span.step, 0);
            assert_eq!(range.as_str().parse(), Ok(range));
        }
    }
    assert_eq!(Span::last(Range::Quarter, 0).step, 2);
    assert_eq!(Span::last(Range::Hour, 0).step, 6);
    assert_eq!(Span::last(Range::Week, 0).step, 1200);
}

#[test]
fn a_rollout_of_the_last_hour_is_shown_in_seconds_and_an_older_one_in_minutes() {
    let now = 1_795_244_664;

    let new = Span::around(now - 600, Some(now - 500), now);
    let old = Span::around(now - 7200, Some(now - 7100), now);
    let endless = Span::around(now - 30 * 86_400, None, now);

    assert_eq!((new.grain, new.from, new.to), (Grain::Seconds, now - 660, now - 440));
    assert_eq!((old.grain, old.step), (Grain::Minutes, 60));
    assert!(old.from <= now - 7800 && old.to >= now - 6500);
    assert!(endless.len() <= MOST_POINTS as usize && endless.from >= now - MINUTES_FOR - 1200);
}

#[test]
fn what_was_not_measured_is_not_there_and_what_was_idle_is() {
    let mut gather = Gather::new(Span { from: 0, to: 10, step: 2, grain: Grain::Seconds });
    gather.add(0, Slot::Blue, &Measured::counted(&second(0, 0, &[])));
    gather.add(9, Slot::Blue, &Measured::counted(&second(9, 4, &[(1000, 4)])));
    gather.add(10, Slot::Blue, &Measured::counted(&second(10, 9, &[])));

    let course = gather.course();

    let blue: Vec<_> =
        course.points.iter().map(|point| point.blue.map(|blue| blue.requests)).collect();
    assert_eq!(blue, [Some(0), None, None, None, Some(4)]);
    assert_eq!(course.gaps(|point| point.counted > 0), [(1, 4)]);
    assert_eq!(course.slots(), [Slot::Blue]);
    assert_eq!(course.read_to, 9);
    assert_eq!(course.points[4].blue.and_then(|blue| blue.rate()), Some(4.0), "of one second");
}

#[test]
fn what_is_heard_goes_on_where_reading_ended_and_counts_no_second_twice() {
    let span = Span { from: 0, to: 6, step: 2, grain: Grain::Seconds };
    let mut gather = Gather::new(span);
    gather.add(4, Slot::Blue, &Measured::counted(&second(4, 7, &[])));
    let mut course = gather.course();

    // The stream begins with what it remembers: the seconds 3, 4 and 5, then 6 and once more 6.
    course.hear(&[heard(4, 5, 1), heard(5, 7, 1), heard(6, 1, 1)], true);
    course.hear(&[heard(7, 2, 2), heard(7, 2, 2)], true);

    let blue: Vec<_> =
        course.points.iter().map(|point| point.blue.map(|blue| blue.requests)).collect();
    assert_eq!(blue, [None, Some(8), Some(2)]);
    assert_eq!((course.span.from, course.span.to, course.read_to), (2, 8, 6));
    let last = course.points[2].blue.expect("a point");
    assert_eq!((last.cpu_percent, last.memory_bytes, last.instances), (20.0, 200, 2));
}

#[test]
fn a_course_that_grows_keeps_its_beginning_and_a_long_absence_is_no_work() {
    let span = Span { from: 0, to: 2, step: 1, grain: Grain::Seconds };
    let mut course = Gather::new(span).course();
    course.hear(&[heard(4, 1, 1)], false);
    assert_eq!((course.span.from, course.span.to, course.points.len()), (0, 4, 4));

    course.hear(&[heard(10_000_000, 1, 1)], false);
    assert_eq!(course.points.len(), 1);

    let mut minutes = Gather::new(Span { grain: Grain::Minutes, step: 60, ..span }).course();
    minutes.hear(&[heard(4, 1, 1)], false);
    assert_eq!(minutes.read_to, -1, "minutes are read, not heard");
}

#[test]
fn the_file_says_what_the_points_say_and_leaves_out_what_nobody_measured() {
    let mut gather = Gather::new(Span { from: 60, to: 62, step: 1, grain: Grain::Seconds });
    gather.add(60, Slot::Green, &Measured::counted(&second(60, 4, &[(1500, 4)])));
    let used = Used::read(12.34, 5000, 2, 1);
    gather.add(61, Slot::Blue, &Measured { used, ..Measured::default() });

    let csv = gather.course().to_csv();

    let lines: Vec<_> = csv.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "1970-01-01T00:01:00Z,1,green,4,0,1.5,0,,,,,,",
            "1970-01-01T00:01:01Z,1,blue,,,,,12.3,12.3,5000,5000,2,1",
        ]
    );
}

#[test]
fn a_point_keeps_its_figures_on_the_way_to_the_browser() {
    let mut gather = Gather::new(Span { from: 0, to: 1, step: 1, grain: Grain::Seconds });
    gather.add(0, Slot::Blue, &Measured::counted(&second(0, 4, &[(1500, 4)])));
    let course = gather.course();

    let json = serde_json::to_string(&course).expect("JSON");

    assert_eq!(serde_json::from_str::<Course>(&json).expect("a course"), course);
    assert!(json.contains("\"points\":[[[1,4,0,1500,0,0,0.0,0.0,0,0,0,0],null]]"), "{json}");
}
