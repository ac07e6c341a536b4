use super::*;

#[test]
fn every_latency_is_known_to_about_five_percent() {
    let mut us = 100.0;
    while us < 50e6 {
        let real = Duration::from_nanos((us * 1e3) as u64);

        let told = middle(bucket(real));

        let off = (told.as_secs_f64() / real.as_secs_f64() - 1.0).abs();
        assert!(off < 0.051, "{real:?} is told as {told:?}");
        us *= 1.013;
    }
}

#[test]
fn buckets_ascend_and_the_last_one_has_no_end() {
    assert_eq!(bucket(Duration::ZERO), 0);
    assert_eq!(bucket(Duration::from_micros(99)), 0);
    assert_eq!(bucket(Duration::from_micros(100)), 1);
    assert_eq!(bucket(Duration::from_micros(110)), 2);
    assert_eq!(bucket(Duration::from_secs(3600)), LAST);
}

#[test]
fn quantiles_of_added_histograms_are_those_of_all_answers() {
    let mut all = Latencies::from_counts(&[0, 90, 0]);
    all.merge(&Latencies(vec![(0, 5), (60, 5)]));

    assert_eq!(all.count(), 100);
    assert_eq!(all.0, [(0, 5), (1, 90), (60, 5)]);
    assert_eq!(all.quantile(0.05), Some(middle(0)));
    assert_eq!(all.quantile(0.5), Some(middle(1)));
    assert_eq!(all.quantile(0.95), Some(middle(1)));
    assert_eq!(all.quantile(0.99), Some(middle(60)));
    assert_eq!(Latencies::default().quantile(0.5), None);
}
