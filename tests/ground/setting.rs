//! Settings that cannot be wrong once they are made.

use proptest::prelude::*;
use steadfast::setting::Ratio;

#[test]
fn a_ratio_lies_above_zero_and_is_at_most_one() {
    for share in [0.0, -0.0, -0.1, 1.000_001, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(Ratio::new(share).is_err(), "{share}");
    }
    for share in [1.0, 0.5, 1e-6, f64::MIN_POSITIVE] {
        assert!(Ratio::new(share).unwrap().millionths() >= 1, "{share}");
    }
    assert_eq!((Ratio::new(1.0).unwrap(), Ratio::new(0.5).unwrap()), (Ratio::ALL, Ratio::HALF));
}

#[test]
fn nearly_a_half_is_no_half() {
    assert!(!Ratio::HALF.reached_by(99, 200) && Ratio::HALF.reached_by(100, 200));
    assert!(!Ratio::HALF.reached_by(u64::MAX / 2, u64::MAX) && Ratio::HALF.reached_by(u64::MAX / 2 + 1, u64::MAX));
    assert!(Ratio::ALL.reached_by(u64::MAX, u64::MAX) && !Ratio::ALL.reached_by(u64::MAX - 1, u64::MAX));
}

#[test]
fn nothing_of_nothing_reaches_no_share() {
    assert!(!Ratio::new(1e-6).unwrap().reached_by(0, 0));
    assert!(!Ratio::new(1e-6).unwrap().reached_by(0, 1));
}

#[test]
fn a_ratio_is_read_and_checked_by_serde() {
    assert_eq!(serde_json::from_str::<Ratio>("0.3").unwrap().millionths(), 300_000);
    assert_eq!(serde_json::to_string(&Ratio::new(0.3).unwrap()).unwrap(), "0.3");
    for wrong in ["0", "1.5", "-1", "\"0.5\"", "null"] {
        let error = serde_json::from_str::<Ratio>(wrong).unwrap_err().to_string();
        assert!(error.contains("a ratio lies above 0") || error.contains("invalid type"), "{wrong}: {error}");
    }
}

#[test]
fn a_ratio_prints_as_the_number_that_it_is() {
    assert_eq!(format!("{:?}", Ratio::new(0.3).unwrap()), "0.3");
}

proptest! {
    /// Exact where floating point would not be: whole percentages of whole counts.
    #[test]
    fn a_percentage_is_reached_exactly(percent in 1u64..=100, part in 0u64..1_000_000_000, total in 1u64..1_000_000_000) {
        #[allow(clippy::cast_precision_loss, reason = "at most a hundred")]
        let ratio = Ratio::new(percent as f64 / 100.0).unwrap();
        prop_assert_eq!(ratio.reached_by(part, total), part * 100 >= percent * total);
    }

    #[test]
    fn what_serde_writes_it_reads(millionths in 1u32..=1_000_000) {
        let ratio = Ratio::new(f64::from(millionths) / 1e6).unwrap();
        let text = serde_json::to_string(&ratio).unwrap();
        prop_assert_eq!(serde_json::from_str::<Ratio>(&text).unwrap().millionths(), millionths);
    }
}
