use super::*;

fn route(blue: usize, green: usize, live: Option<Slot>) -> Route {
    let some = |n: usize| (0..n).map(|i| SocketAddr::from(([10, 0, 0, i as u8], 80))).collect();
    Route {
        rollout: None,
        host_names: vec!["api.example.org".parse().unwrap()],
        preview_host_names: vec![],
        listener: main_listener(),
        upstreams: PerSlot { blue: some(blue), green: some(green) },
        live,
    }
}

#[test]
fn the_preview_is_never_the_live_slot() {
    assert_eq!(route(1, 1, Some(Slot::Blue)).preview(), Some(Slot::Green));
    assert_eq!(route(1, 0, Some(Slot::Green)).preview(), Some(Slot::Blue));
    assert_eq!(route(0, 1, None).preview(), Some(Slot::Green));
    assert_eq!(route(1, 1, None).preview(), None);
    assert_eq!(route(0, 0, None).preview(), None);
}

#[test]
fn a_route_may_leave_out_what_has_a_default() {
    let sent = r#"{"host_names":["API.example.org."],"upstreams":{"blue":["10.0.0.1:80"],"green":[]},"live":"blue"}"#;

    let read: Route = serde_json::from_str(sent).unwrap();

    assert_eq!(read.listener, MAIN_LISTENER);
    assert_eq!(read.host_names[0].as_str(), "api.example.org");
    assert_eq!(read.live, Some(Slot::Blue));
}

#[test]
fn a_word_we_do_not_know_is_refused_and_not_ignored() {
    let sent = r#"{"epoch":1,"replaces":0,"live":"blue","weight":50}"#;

    assert!(serde_json::from_str::<Switch>(sent).is_err());
}
