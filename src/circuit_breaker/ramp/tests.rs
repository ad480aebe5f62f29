use super::Ramp;

const LENGTH: u64 = 1000;

fn let_through(ramp: &mut Ramp, now: u64, calls: usize) -> usize {
    (0..calls).filter(|_| ramp.lets_through(LENGTH, now)).count()
}

#[test]
fn the_share_grows_from_a_tenth_to_all() {
    for (now, share) in [(0, 100), (250, 325), (500, 550), (1000, 1000), (5000, 1000)] {
        assert_eq!(let_through(&mut Ramp::new(0), now, 1000), share, "at {now}");
    }
}

#[test]
fn the_first_call_goes_and_the_next_ones_are_spread() {
    let mut ramp = Ramp::new(7);
    let goes: Vec<_> = (0..30).filter(|_| ramp.lets_through(LENGTH, 7)).collect();
    assert_eq!(goes.len(), 3);
    let mut ramp = Ramp::new(7);
    let order: Vec<bool> = (0..11).map(|_| ramp.lets_through(LENGTH, 7)).collect();
    assert!(order[0] && order[10] && !order[1..10].contains(&true), "{order:?}");
}

#[test]
fn a_pause_saves_up_nothing() {
    let mut ramp = Ramp::new(0);
    let_through(&mut ramp, 0, 5);
    // half of the time later about half of them go, however long nobody came
    assert!(let_through(&mut ramp, 500, 100) <= 56);
}

#[test]
fn no_length_and_no_moment_overflows() {
    for length in [0, 1, u64::MAX] {
        let mut ramp = Ramp::new(u64::MAX);
        ramp.lets_through(length, 0);
        ramp.lets_through(length, u64::MAX);
        assert!((0.1..=1.0).contains(&ramp.share(length, u64::MAX)));
        assert!((0.1..=1.0).contains(&Ramp::new(0).share(length, u64::MAX)));
    }
    assert!(Ramp::new(0).lets_through(0, 0), "no ramp at all");
}
