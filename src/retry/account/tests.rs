use super::*;
use crate::setting::Ratio;
use proptest::strategy::Strategy as _;

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

#[test]
fn a_refund_does_not_lift_the_balance_above_the_most() {
    let account = Account::new(allowance().with_start(3).with_most(3).with_ratio(Ratio::ALL));
    assert!(account.withdraw(2, Duration::ZERO));
    (0..2).for_each(|_| account.deposit());
    account.refund(2);
    assert_eq!(account.left(), 3);
}

#[test]
fn the_trickle_fills_no_more_than_the_most_either() {
    let account = Account::new(Allowance::new().with_start(0).with_most(1));
    assert!(account.withdraw(1, Duration::from_secs(100)));
    assert!(!account.withdraw(1, Duration::from_secs(100)));
}

#[derive(Debug, Clone)]
enum Op {
    Deposit,
    Withdraw(u32),
    Refund,
    Wait(u64),
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

    #[test]
    fn in_whatever_order_it_is_used_the_balance_is_between_nothing_and_the_most(
        start in 0..5_u32,
        most in 0..8_u32,
        trickles: bool,
        ratio in 0.01..=1.0_f64,
        ops in proptest::collection::vec(
            proptest::prop_oneof![
                proptest::strategy::Just(Op::Deposit),
                (0..4_u32).prop_map(Op::Withdraw),
                proptest::strategy::Just(Op::Refund),
                (0..5000_u64).prop_map(Op::Wait),
            ],
            0..60,
        ),
    ) {
        let mut allowance = Allowance::new().with_start(start).with_most(most).with_ratio(Ratio::new(ratio).unwrap());
        if !trickles {
            allowance = allowance.without_trickle();
        }
        let (account, mut now, mut taken) = (Account::new(allowance), Duration::ZERO, Vec::new());
        for op in ops {
            match op {
                Op::Deposit => account.deposit(),
                Op::Withdraw(n) if account.withdraw(n, now) => taken.push(n),
                Op::Withdraw(_) => {}
                Op::Refund => taken.pop().into_iter().for_each(|n| account.refund(n)),
                Op::Wait(millis) => now += Duration::from_millis(millis),
            }
            let balance = account.balance.load(Ordering::Relaxed);
            assert!((0..=whole(most.max(start))).contains(&balance), "{balance}");
        }
    }
}
