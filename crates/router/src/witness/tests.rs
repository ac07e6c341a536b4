use super::*;
use std::sync::Arc;

fn answer(witness: &Arc<Witness>, slot: Slot, accepted_ns: u64) {
    let mut flight = Flight::begin(witness.clone(), slot, false, accepted_ns);
    flight.answered(false, false, false);
    flight.ended();
}

#[test]
fn an_answer_is_late_if_its_request_was_accepted_after_the_traffic_had_moved() {
    let witness = Arc::new(Witness::new(1));
    let late = |slot| witness.slots.of(slot).read(0).late_answers;
    witness.switching(Some(Slot::Blue));
    witness.switched();
    answer(&witness, Slot::Blue, clock::now_ns());

    // Accepted before the switch, or while it was on its way: it may end where it began.
    let before = clock::now_ns();
    witness.switching(Some(Slot::Green));
    answer(&witness, Slot::Blue, clock::now_ns());
    witness.switched();
    answer(&witness, Slot::Blue, before);
    answer(&witness, Slot::Green, clock::now_ns());
    assert_eq!((late(Slot::Blue), late(Slot::Green)), (0, 0));

    answer(&witness, Slot::Blue, clock::now_ns());
    assert_eq!((late(Slot::Blue), late(Slot::Green)), (1, 0));
}
