use super::*;
use crate::setting::Ratio;

fn allowance() -> Allowance {
    Allowance::new().with_start(0).without_trickle()
}

#[test]
fn a_thousand_successes_at_three_tenths_are_exactly_three_hundred_retries() {
    let account = Account::new(allowance().with_ratio(Ratio::new(0.3).unwrap()).with_most(1000));
    for _ in 0..1000 {
        account.deposit();
    }
    let retries = (0..1000).filter(|_| account.withdraw(1, Duration::ZERO)).count();
    assert_eq!(retries, 300);
}

#[test]
fn every_ratio_in_hundredths_is_exact() {
    for hundredths in 1..=100_u32 {
        let ratio = Ratio::new(f64::from(hundredths) / 100.0).unwrap();
        let account = Account::new(allowance().with_ratio(ratio).with_most(1000));
        (0..100).for_each(|_| account.deposit());
        assert_eq!(account.left(), u64::from(hundredths));
    }
}

#[test]
fn the_trickle_pays_once_for_any_time_and_only_up_to_the_reserve() {
    let account = Account::new(Allowance::new().with_start(10));
    assert!((0..10).all(|_| account.withdraw(1, Duration::ZERO)));
    assert!(!account.withdraw(1, Duration::from_millis(1999)));
    assert!(account.withdraw(1, Duration::from_secs(2)));
    let month = Duration::from_secs(30 * 24 * 3600);
    assert_eq!((0..100).filter(|_| account.withdraw(1, month)).count(), 10);
    assert!(!account.withdraw(1, month));
}

#[test]
fn the_rest_of_a_millionth_is_not_lost() {
    let account = Account::new(allowance().with_trickle(Duration::from_secs(3)));
    // in steps of a tick that is no whole number of millionths
    let tick = Duration::from_nanos(1_000_001);
    let retries = (1..=9000).filter(|&n| account.withdraw(1, tick * n)).count();
    assert_eq!(retries, 3);
}

#[test]
fn a_clock_that_stands_still_or_goes_back_pays_nothing() {
    let account = Account::new(allowance().with_trickle(Duration::from_secs(2)));
    assert!(account.withdraw(1, Duration::from_secs(2)));
    assert!(!account.withdraw(1, Duration::from_secs(2)));
    assert!(!account.withdraw(1, Duration::ZERO));
}

#[test]
fn more_than_the_most_is_not_saved() {
    let account = Account::new(allowance().with_ratio(Ratio::ALL).with_most(5));
    (0..100).for_each(|_| account.deposit());
    assert_eq!(account.left(), 5);
}

#[test]
fn no_time_overflows() {
    let account = Account::new(allowance().with_trickle(Duration::MAX));
    assert!(!account.withdraw(1, Duration::MAX));
    let account = Account::new(Allowance::new().with_start(u32::MAX));
    assert!(account.withdraw(u32::MAX, Duration::MAX));
    assert!(!account.withdraw(u32::MAX, Duration::MAX));
}
