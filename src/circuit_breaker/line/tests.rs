use super::{Line, TURN};
use crate::circuit_breaker::state::Room;
use std::task::Waker;

fn line(waiting: usize) -> (Line, Vec<u64>) {
    let mut line = Line::default();
    let places = (0..waiting).map(|_| line.join()).collect::<Vec<_>>();
    for place in &places {
        assert!(line.wait(*place, Waker::noop().clone()).is_none());
    }
    (line, places)
}

#[test]
fn the_first_ones_get_the_permits_and_nobody_gets_a_second() {
    let (mut line, places) = line(5);
    assert_eq!(line.arrange(Room::Permits(2), 0).len(), 2);
    assert_eq!(line.arrange(Room::Permits(2), 1).len(), 0);
    let mine: Vec<_> = places.iter().map(|place| line.takes_turn(*place, Room::Permits(2), 1)).collect();
    assert_eq!(mine, [true, true, false, false, false]);
}

#[test]
fn a_turn_ends_with_who_leaves_with_the_room_and_with_time() {
    let (mut line, places) = line(6);
    assert_eq!(line.arrange(Room::Permits(1), 0).len(), 1);
    assert!(line.leave(places[0]).is_none(), "its waker was called");
    assert_eq!(line.arrange(Room::Permits(1), 0).len(), 1);
    assert_eq!((line.arrange(Room::Permits(0), 0).len(), line.turn_ends()), (0, None));
    assert_eq!((line.arrange(Room::Permits(1), 5).len(), line.turn_ends()), (1, Some(5 + TURN)));
    assert_eq!(line.arrange(Room::Permits(1), 4 + TURN).len(), 0);
    assert_eq!(line.arrange(Room::Permits(1), 5 + TURN).len(), 1, "the next one, and no more");
}

#[test]
fn of_those_who_do_not_come_twice_as_many_are_passed_each_time() {
    let (mut line, _) = line(1000);
    let woken: Vec<_> = (0..10).map(|step| line.arrange(Room::Permits(1), step * TURN).len()).collect();
    assert_eq!(woken, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256]);
    // one of them came after all: what was let pass is forgotten
    assert_eq!(line.arrange(Room::Permits(0), 10 * TURN).len(), 0);
    assert_eq!(line.arrange(Room::Permits(1), 11 * TURN).len(), 1);
}

#[test]
fn a_newcomer_takes_a_permit_that_nobody_waits_for_and_no_other() {
    let (mut line, _) = line(0);
    let (first, second) = (line.join(), line.join());
    assert!(!line.takes_turn(first, Room::Permits(0), 0));
    assert!(line.takes_turn(first, Room::Permits(1), 0));
    assert!(line.takes_turn(first, Room::Permits(1), 0), "asked again");
    assert!(!line.takes_turn(second, Room::Permits(1), 0));
    assert!(line.takes_turn(second, Room::All, 0));
}

#[test]
fn all_are_called_and_forgotten_when_there_is_room_for_all() {
    let (mut line, _) = line(100);
    assert_eq!(line.arrange(Room::Permits(3), 0).len(), 3);
    assert_eq!(line.arrange(Room::All, 0).len(), 97);
    assert!(line.nobody_waits() && line.turn_ends().is_none());
}

#[test]
fn a_place_is_kept_while_it_waits_again() {
    let (mut line, places) = line(3);
    assert_eq!(line.call_all().len(), 3);
    for place in places.iter().rev() {
        assert!(line.wait(*place, Waker::noop().clone()).is_none());
    }
    assert!(line.wait(places[2], Waker::noop().clone()).is_some(), "the waker that was there before");
    assert_eq!(line.arrange(Room::Permits(1), 0).len(), 1);
    assert!(line.takes_turn(places[0], Room::Permits(1), 0));
}

#[test]
fn the_first_one_is_called_without_a_turn_and_keeps_its_place() {
    let (mut line, places) = line(2);
    assert_eq!((line.call_first().len(), line.call_first().len()), (1, 0), "once");
    assert!(!line.nobody_waits());
    assert_eq!(line.arrange(Room::Permits(1), 0).len(), 0, "it was woken before: the turn is there when it comes");
    assert!(line.takes_turn(places[0], Room::Permits(1), 0));
    assert!(!line.takes_turn(places[1], Room::Permits(1), 0));
}
