//! The order of the layers is printed on several pages: it is one order, and the one of the stack that is made by hand.

use crate::page::{marked, read};

/// A name in a printed order, and how it is made in the snippet of `docs/ordering.md`.
const ORDER: [(&str, &str); 9] = [
    ("Worker", ""),
    ("Deliver", ""),
    ("ClientStack::for_delivery(\"crm\")", ""),
    ("total deadline", "TimeoutLayer::total("),
    ("idempotency key", "IdempotencyKeyLayer::new("),
    ("retry", "RetryLayer::default("),
    ("circuit breaker (per origin)", "CircuitBreakerLayer::new(Circuits::per_origin("),
    ("attempt timeout", "TimeoutLayer::attempt("),
    ("client", ""),
];

#[test]
fn every_printed_order_is_the_same() {
    for block in marked("order") {
        assert_eq!(order(block.code.trim()), Ok(()), "{}", block.place());
    }
}

#[test]
fn the_printed_order_is_that_of_the_stack_that_is_made_by_hand() {
    let page = read("docs/ordering.md").unwrap();
    let made: Vec<_> = ORDER
        .iter()
        .filter(|(_, made)| !made.is_empty())
        .map(|(_, made)| page.find(&format!(".layer({made}")))
        .collect();
    assert!(made.iter().all(Option::is_some) && made.is_sorted(), "{made:?}");
}

fn order(printed: &str) -> Result<(), String> {
    let mut last = None;
    for name in printed.split(" > ") {
        let name = name.strip_suffix(" without redirects").unwrap_or(name);
        let Some(place) = ORDER.iter().position(|(known, _)| *known == name) else {
            return Err(format!("tests/docs/order.rs does not know the layer `{name}`"));
        };
        if last.is_some_and(|last| last >= place) {
            return Err(format!("`{name}` stands further out than that"));
        }
        last = Some(place);
    }
    Ok(())
}

#[test]
fn another_order_is_found() {
    assert_eq!(order("total deadline > retry > client"), Ok(()));
    assert!(order("retry > total deadline > client").is_err());
    assert!(order("retry > rate limit > client").is_err());
}
