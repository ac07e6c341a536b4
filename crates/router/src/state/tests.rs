use super::*;
use domain::slot::PerSlot;
use uuid::Uuid;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn id(n: u128) -> PlacementId {
    PlacementId(Uuid::from_u128(n))
}

fn known() -> Known {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    Known { listeners: vec![("main".into(), address), ("inner".into(), address)] }
}

fn put(epoch: i64, replaces: i64, listener: &str) -> Write {
    let upstreams = |n| vec![SocketAddr::from(([10, 0, 0, n], 80))];
    let route = Route {
        rollout: None,
        host_names: vec!["api.example.org".parse().unwrap()],
        preview_host_names: vec![],
        listener: listener.into(),
        upstreams: PerSlot { blue: upstreams(1), green: upstreams(2) },
        live: Some(Slot::Blue),
    };
    Write::Put(Put { epoch, replaces, route })
}

#[test]
fn an_epoch_goes_up_with_a_write_and_never_down() {
    let mut state = State::default();
    state.apply(id(1), &put(3, 0, "main"), &known(), NOW).unwrap();

    for (epoch, replaces, refused) in [
        (2, 1, Some(RefusalCode::StaleEpoch)),
        (3, 1, None),
        (5, 1, None),
        (4, 1, Some(RefusalCode::StaleEpoch)),
    ] {
        let done = state.apply(id(1), &put(epoch, replaces, "main"), &known(), NOW);
        assert_eq!(done.err().map(|refusal| refusal.code), refused, "{epoch}");
    }

    // Nothing but the epoch changed.
    assert_eq!((state.of(id(1)).epoch, state.of(id(1)).revision), (5, 1));
}

#[test]
fn a_late_write_to_a_route_that_was_withdrawn_is_refused_for_a_month() {
    let mut state = State::default();
    state.apply(id(1), &put(3, 0, "main"), &known(), NOW).unwrap();
    let remove = Write::Remove(Remove { epoch: 3, replaces: 1 });
    state.apply(id(1), &remove, &known(), NOW).unwrap();

    state.prune(NOW + time::Duration::days(29));
    let late = state.apply(id(1), &put(2, 0, "main"), &known(), NOW).unwrap_err();
    assert_eq!(late.code, RefusalCode::StaleEpoch);

    state.prune(NOW + time::Duration::days(31));
    assert!(state.routes.is_empty());
}

#[test]
fn a_host_name_on_two_listeners_does_not_say_which_placement_is_meant() {
    let mut state = State::default();
    state.apply(id(1), &put(1, 0, "main"), &known(), NOW).unwrap();
    state.apply(id(2), &put(1, 0, "inner"), &known(), NOW).unwrap();

    let unclear = state.break_glass("api.example.org", None, 1, NOW).unwrap_err();
    assert_eq!(unclear.code, RefusalCode::Malformed);

    let (before, after) = state.break_glass(&id(2).to_string(), None, 1, NOW).unwrap();
    assert_eq!((before.live(), after.live(), after.revision), (Some(Slot::Blue), None, 2));
    assert_eq!(state.of(id(1)).live(), Some(Slot::Blue));
}

#[test]
fn a_hand_on_the_traffic_is_known_until_a_control_plane_moves_it() {
    let mut state = State::default();
    state.apply(id(1), &put(1, 0, "main"), &known(), NOW).unwrap();
    state.break_glass(&id(1).to_string(), Some(Slot::Green), 7, NOW).unwrap();
    let marked =
        |state: &State| (state.of(id(1)).break_glass, state.of(id(1)).break_glass_revision);

    // Addresses, names and the rollout change, and traffic stays where the hand put it.
    let Write::Put(mut write) = put(1, 2, "inner") else { unreachable!() };
    write.route.live = Some(Slot::Green);
    write.route.upstreams.blue.clear();
    state.apply(id(1), &Write::Put(write.clone()), &known(), NOW).unwrap();
    assert_eq!(marked(&state), (Some(7), Some(2)));
    assert_eq!(state.of(id(1)).revision, 3);
    state.apply(id(1), &Write::Fence(Fence { epoch: 2 }), &known(), NOW).unwrap();
    assert_eq!(marked(&state), (Some(7), Some(2)));

    let moves = [
        Write::Switch(Switch { epoch: 2, replaces: 3, rollout: None, live: None }),
        Write::Put(Put { epoch: 2, replaces: 3, route: Route { live: None, ..write.route } }),
        Write::Remove(Remove { epoch: 2, replaces: 3 }),
    ];
    for moved in moves {
        let mut state = state.clone();
        state.apply(id(1), &moved, &known(), NOW).unwrap();
        assert_eq!(marked(&state), (None, None), "{moved:?}");
    }
}
