//! What layers tell each other, across any request type.

use std::{panic::catch_unwind, time::Duration};
use steadfast::attempt::Attempt;
use tokio::time::{Instant, advance};

#[test]
fn a_scope_ends_with_its_work_also_by_a_panic() {
    let (outer, inner) = (Attempt::new(1), Attempt::new(7));
    outer.scope(|| {
        inner.scope(|| assert_eq!(Attempt::current(), Some(inner)));
        assert_eq!(Attempt::current(), Some(outer));
        let panicked = catch_unwind(|| inner.scope(|| panic!("on purpose")));
        assert!(panicked.is_err());
        assert_eq!(Attempt::current(), Some(outer));
    });
    assert_eq!(Attempt::current(), None);
}

#[test]
fn a_scope_has_its_own_deadline_or_none_and_leaves_the_one_around_it() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = rt.enter();
    let at = Instant::now();
    let plain = Attempt::new(1);
    let (early, late) = (plain.with_deadline(at), plain.with_deadline(at + Duration::from_secs(1)));
    for outer in [plain, early, late] {
        for inner in [plain, early, late] {
            outer.scope(|| {
                inner.scope(|| assert_eq!(Attempt::current(), Some(inner)));
                assert_eq!(Attempt::current(), Some(outer));
                let panicked = catch_unwind(|| inner.scope(|| panic!("on purpose")));
                assert!(panicked.is_err());
                assert_eq!(Attempt::current(), Some(outer));
            });
            assert_eq!(Attempt::current(), None);
        }
    }
}

#[test]
fn a_scope_returns_the_highest_attempt_that_began_in_it() {
    let told = |numbers: &[u32]| Attempt::new(0).scope(|| numbers.iter().for_each(|n| Attempt::tell(*n))).1;
    assert_eq!((told(&[]), told(&[1, 2, 3]), told(&[3, 1])), (0, 3, 3));
    // nobody listens
    Attempt::tell(5);
    assert_eq!(Attempt::current(), None);
}

#[test]
fn what_is_reported_upward_is_not_read_by_layers_below() {
    let rt = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = rt.enter();
    let at = Instant::now();
    Attempt::new(1).with_deadline(at).scope(|| {
        Attempt::tell(2);
        assert_eq!(Attempt::current(), Some(Attempt::new(1).with_deadline(at)));
    });
}

#[tokio::test(start_paused = true)]
async fn what_remains_ends_at_zero() {
    let attempt = Attempt::new(1).with_deadline(Instant::now() + Duration::from_secs(2));
    assert_eq!(attempt.remaining(), Some(Duration::from_secs(2)));
    advance(Duration::from_secs(3)).await;
    assert_eq!((attempt.remaining(), Attempt::new(1).remaining()), (Some(Duration::ZERO), None));
}

#[tokio::test]
async fn it_does_not_cross_a_spawn() {
    let (spawned, _) = Attempt::new(1).scope(|| tokio::spawn(async { Attempt::current() }));
    assert_eq!(spawned.await.unwrap(), None);
}
