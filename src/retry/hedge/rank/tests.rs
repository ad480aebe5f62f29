use super::*;
use crate::backoff::Hint;
use std::time::Duration;

#[test]
fn any_response_that_is_no_failure_ends_the_call() {
    for outcome in [Outcome::Success, Outcome::Rejected, Outcome::Ignored] {
        assert!(is_good(outcome.into(), true), "{outcome}");
    }
    let failures = [Failure::Overloaded, Failure::Transient, Failure::Fault, Failure::Timeout, Failure::NotSent];
    for outcome in failures.map(Outcome::Failure).into_iter().chain([Outcome::Refused]) {
        assert!(!is_good(outcome.into(), true) && !is_good(outcome.into(), false), "{outcome}");
    }
    assert!(!is_good(Outcome::Ignored.into(), false));
}

#[test]
fn of_two_failures_the_first_of_the_list_is_better_in_either_order() {
    let failed = |failure| Verdict::new(Outcome::Failure(failure));
    let hint = Some(Hint::AtLeast(Duration::from_secs(1)));
    let list = [
        (failed(Failure::Overloaded).with_hint(hint), true),
        (failed(Failure::Overloaded), true),
        (failed(Failure::Overloaded), false),
        (failed(Failure::Fault), true),
        (failed(Failure::Transient), false),
        (failed(Failure::Timeout), false),
        (Outcome::Ignored.into(), false),
        (failed(Failure::NotSent), false),
        (Verdict::refused(None), false),
    ];
    for (n, better) in list.iter().enumerate() {
        for worse in &list[n + 1..] {
            assert!(earlier_is_better(*better, *worse), "{better:?} before {worse:?}");
            assert!(!earlier_is_better(*worse, *better), "{worse:?} before {better:?}");
        }
        // of two that are alike the later one
        assert!(!earlier_is_better(*better, *better));
    }
    assert!(!earlier_is_better((failed(Failure::Fault), true), (failed(Failure::Transient), true)));
    assert!(!earlier_is_better((failed(Failure::Transient), true), (failed(Failure::Fault), true)));
}
