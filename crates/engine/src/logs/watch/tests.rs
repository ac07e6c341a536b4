//! What waits for viewers, and what they are told.

use super::*;
use domain::log::Source;

fn line(text: impl Into<String>) -> LogLine {
    LogLine { at_ns: 1, source: Source::Out, text: text.into(), left_out: 0 }
}

fn watch() -> Arc<Watch> {
    let place = targets::fake::sample::place("api");
    let shared = Arc::new(Shared { place, state: Mutex::default() });
    let instance = LogInstance {
        id: "a".to_owned(),
        name: "blue-1".to_owned(),
        slot: domain::slot::Slot::Blue,
        maker: domain::id::RolloutId(targets::fake::sample::id()),
        ended: None,
        kept: false,
        followed: true,
    };
    shared.say(LogInstances { instances: vec![instance], trouble: None });
    Arc::new(Watch { shared, task: tokio::spawn(async {}).abort_handle() })
}

/// The numbers and texts that somebody is told.
fn told(viewer: &mut Viewer) -> Vec<(u64, usize)> {
    std::iter::from_fn(|| viewer.take())
        .filter_map(|json| match serde_json::from_str(&json).unwrap() {
            Message::Log(piece) => Some((piece.first, piece.lines.len())),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn everybody_is_told_every_line_at_his_own_pace() {
    let watch = watch();
    let mut quick = Viewer::new(watch.clone(), Which::All);
    let mut slow = Viewer::new(watch.clone(), Which::All);
    let mut other = Viewer::new(watch.clone(), Which::Instance("b".to_owned()));

    watch.shared.push("a", 0, vec![line("1"), line("2")]);
    assert_eq!(told(&mut quick), [(1, 2)]);
    watch.shared.push("a", 0, vec![line("3")]);
    assert_eq!(told(&mut quick), [(3, 1)]);
    assert_eq!(told(&mut quick), []);

    assert_eq!(told(&mut slow), [(1, 2), (3, 1)]);
    assert_eq!(told(&mut Viewer::new(watch.clone(), Which::All)), [(1, 2), (3, 1)]);
    assert_eq!(told(&mut other), []);
}

#[tokio::test]
async fn what_waits_has_a_bound_and_numbers_tell_what_is_missing() {
    let watch = watch();
    let mut viewer = Viewer::new(watch.clone(), Which::All);
    watch.shared.push("a", 0, vec![line("1")]);
    assert_eq!(told(&mut viewer), [(1, 1)]);

    for _ in 0..100 {
        watch.shared.push("a", 50, (0..400).map(|_| line("x".repeat(100))).collect());
    }

    let told = told(&mut viewer);
    let lines: usize = told.iter().map(|(_, count)| count).sum();
    assert!((1000..1400).contains(&lines), "{lines}");
    assert_eq!(told.last().map(|(first, count)| first + *count as u64 - 1), Some(45_001));
    for _ in 0..100 {
        watch.shared.push("a", 0, vec![line("y".repeat(16 * 1024))]);
    }
    assert!(watch.shared.state().rings["a"].bytes <= BYTES);
}

#[test]
fn of_a_flood_the_newest_is_told_and_the_rest_counted() {
    let mut gathered = Gathered::default();

    for number in 0..10_000 {
        gathered.add(line(number.to_string()), (400, 128 * 1024));
    }

    assert_eq!((gathered.lines.len(), gathered.left_out), (400, 9600));
    assert_eq!(gathered.lines.back().map(|line| line.text.as_str()), Some("9999"));
}
