//! The tables of `docs/outcomes.md`.

use steadfast::classify::{Failure, Outcome, Verdict};

const PAGE: &str = include_str!("../../docs/outcomes.md");

/// The rows below the heading `# name`, cell by cell, without the two lines that begin a table.
pub(crate) fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n# ").find(|part| part.starts_with(heading)).unwrap();
    let cells = |line: &'static str| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>();
    let rows: Vec<_> = section.lines().filter(|line| line.starts_with('|')).map(cells).skip(2).collect();
    assert!(rows.len() > 3, "{heading}: {rows:?}");
    rows
}

/// `` `Failure(Transient)` `` and its like.
pub(crate) fn outcome(cell: &str) -> Outcome {
    match cell.trim_matches('`') {
        "Success" => Outcome::Success,
        "Rejected" => Outcome::Rejected,
        "Refused" => Outcome::Refused,
        "Ignored" => Outcome::Ignored,
        "Failure(NotSent)" => Outcome::Failure(Failure::NotSent),
        "Failure(Overloaded)" => Outcome::Failure(Failure::Overloaded),
        "Failure(Timeout)" => Outcome::Failure(Failure::Timeout),
        "Failure(Transient)" => Outcome::Failure(Failure::Transient),
        "Failure(Fault)" => Outcome::Failure(Failure::Fault),
        other => panic!("no outcome: {other}"),
    }
}

/// The verdict is that of the row, and what stands besides is said, and only that.
#[track_caller]
pub(crate) fn assert_is(verdict: Verdict, expected: Outcome, besides: &str, what: &str) {
    assert_eq!(verdict.outcome(), expected, "{what}");
    assert_eq!(verdict.is_only_once(), besides == "once", "{what}");
    assert_eq!(verdict.is_neutral_for_health(), besides == "neutral for a circuit", "{what}");
}
