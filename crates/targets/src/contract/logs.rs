//! What instances wrote.

use super::{
    Harness, PATIENCE, assert_refused, assert_unreachable, make_live, observed, story, until,
};
use crate::{Result, fake::sample};
use domain::{
    log::{LINE_BYTES, LogLine, LogWish, Source},
    slot::Slot::Blue,
    target::{Instance, Place},
};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::time::timeout;

async fn one(h: &dyn Harness, service: &str) -> (Place, Instance) {
    let (place, plan) = story(h, service);
    make_live(h, Blue, &plan).await;
    let instance = observed(h, &place).await.slots.blue[0].clone();
    (place, instance)
}

/// Everything there is now, with what is being written.
async fn read(h: &dyn Harness, place: &Place, instance: &str, wish: LogWish) -> Vec<LogLine> {
    h.target().logs(place, instance, wish).try_collect().await.expect("read")
}

/// The log, once a line with these words is in it.
async fn with(h: &dyn Harness, place: &Place, instance: &str, words: &str) -> Vec<LogLine> {
    until("the line is there", || async {
        let lines = read(h, place, instance, LogWish::default()).await;
        lines.iter().any(|line| line.text.contains(words)).then_some(lines)
    })
    .await
}

async fn next(lines: &mut BoxStream<'static, Result<LogLine>>) -> Option<LogLine> {
    let next = timeout(PATIENCE, lines.next()).await.expect("in time");
    next.transpose().expect("no error")
}

pub async fn what_an_instance_writes_is_read_and_followed(h: &dyn Harness) {
    let (place, instance) = one(h, "writes").await;
    h.write(&instance, b"the first\nthe second\n").await;
    let all = with(h, &place, &instance.id, "the second").await;

    let last = LogWish { last: Some(2), ..LogWish::default() };
    let two = read(h, &place, &instance.id, last).await;
    let after = LogWish { after_ns: Some(two[0].at_ns), ..LogWish::default() };
    let rest = read(h, &place, &instance.id, after).await;
    let mut followed = h.target().logs(&place, &instance.id, LogWish { follow: true, ..last });
    let (first, second) = (next(&mut followed).await, next(&mut followed).await);
    h.write(&instance, b"the third\n").await;
    let third = next(&mut followed).await;

    let texts = |lines: &[LogLine]| lines.iter().map(|l| l.text.clone()).collect::<Vec<_>>();
    assert_eq!(texts(&two), ["the first", "the second"]);
    assert_eq!(all[all.len() - 2..], two[..]);
    assert_eq!(texts(&rest), ["the second"]);
    assert_eq!((first.as_ref(), second.as_ref()), (Some(&two[0]), Some(&two[1])));
    let third = third.expect("it goes on");
    assert_eq!((third.text.as_str(), third.source), ("the third", Source::Out));
    assert!(third.at_ns > two[1].at_ns && two[1].at_ns > two[0].at_ns, "{two:?} {third:?}");
}

pub async fn every_byte_is_visible_and_a_long_line_is_cut_and_marked(h: &dyn Harness) {
    let (place, instance) = one(h, "odd").await;
    let mut long = vec![b'x'; 1_000_000];
    long.push(b'\n');

    h.write(&instance, b"odd \xff\xfe \x00\x07 \x1b[31mred\n").await;
    h.write(&instance, &long).await;
    h.write(&instance, b"behind it\n").await;

    let lines = with(h, &place, &instance.id, "behind it").await;
    let odd = lines.iter().find(|line| line.text.starts_with("odd")).expect("it is there");
    assert!(odd.text.ends_with(" \\x00\\x07 \u{1b}[31mred"), "{odd:?}");
    // Some engines keep the bytes, some only that there were two.
    let bytes = odd.text.split(' ').nth(1).expect("a word");
    assert!(["\\xff\\xfe", "\u{fffd}\u{fffd}"].contains(&bytes), "{odd:?}");
    let cut = lines.iter().find(|line| line.text.starts_with("xxx")).expect("it is there");
    assert_eq!(cut.text.len(), LINE_BYTES);
    assert_eq!(cut.left_out, (1_000_000 - LINE_BYTES) as u64);
    assert_eq!(lines.last().expect("the last").text, "behind it");
}

pub async fn what_an_instance_wrote_before_it_died_is_still_there(h: &dyn Harness) {
    let (place, instance) = one(h, "died").await;
    h.write(&instance, b"last words\n").await;
    with(h, &place, &instance.id, "last words").await;

    h.restart(&instance).await;
    until("it is back", || async {
        let one = observed(h, &place).await.slots.blue.first()?.clone();
        (one.restarts > 0).then_some(())
    })
    .await;

    let lines = read(h, &place, &instance.id, LogWish::default()).await;
    assert!(lines.iter().any(|line| line.text == "last words"), "{lines:?}");
}

pub async fn only_instances_of_the_place_are_read(h: &dyn Harness) {
    let (place, instance) = one(h, "mine").await;
    let elsewhere = sample::place("elsewhere");
    let first = async |place: &Place, id: &str, wish: LogWish| {
        h.target().logs(place, id, wish).next().await.expect("an answer")
    };

    assert_refused(first(&elsewhere, &instance.id, LogWish::default()).await);
    assert_refused(first(&place, &"0".repeat(64), LogWish::default()).await);
    let other = h.other().logs(&place, &instance.id, LogWish::default()).next().await;
    assert_refused(other.expect("an answer"));
    h.set_reachable(false).await;
    let follow = LogWish { follow: true, ..LogWish::default() };
    assert_unreachable(first(&place, &instance.id, follow).await);
    h.set_reachable(true).await;
}

pub async fn following_ends_with_the_instance(h: &dyn Harness) {
    let (place, instance) = one(h, "ends").await;
    let wish = LogWish { last: Some(1), follow: true, ..LogWish::default() };
    let mut followed = h.target().logs(&place, &instance.id, wish);
    h.write(&instance, b"it follows\n").await;
    while next(&mut followed).await.expect("it goes on").text != "it follows" {}

    h.remove_by_hand(&instance).await;

    let ended = timeout(PATIENCE, async { while let Some(Ok(_)) = followed.next().await {} });
    ended.await.expect("it ends");
}
