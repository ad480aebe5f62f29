use super::Config;
use std::time::Duration;

/// The docs say so: over how long the default attempts spread, at least.
#[test]
fn the_default_attempts_of_a_message_last_longer_than_a_day() {
    let config = Config::default();
    let shortest = (0..20_000).map(|seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        // no wait follows the last attempt
        (1..config.max_attempts).map(|n| config.backoff.delay(n, Duration::ZERO, &mut random)).sum::<Duration>()
    });
    let shortest = shortest.min().unwrap();
    assert!((26..27).contains(&(shortest.as_secs() / 3600)), "{shortest:?}");
}
