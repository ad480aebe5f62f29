//! Every row of the page names its test.

const PAGE: &str = include_str!("../../docs/ordering.md");

const TESTS: [(&str, &str); 8] = [
    ("attempt", include_str!("attempt.rs")),
    ("circuit", include_str!("circuit.rs")),
    ("deadline", include_str!("deadline.rs")),
    ("key", include_str!("key.rs")),
    ("limit", include_str!("limit.rs")),
    ("overrides", include_str!("overrides.rs")),
    ("stack", include_str!("stack.rs")),
    ("transaction", include_str!("transaction.rs")),
];

/// The tests here, as the page names them.
fn written() -> Vec<String> {
    let mut names = Vec::new();
    for (module, text) in TESTS {
        let tests = text.split("#[tokio::test(start_paused = true)]\nasync fn ").skip(1);
        names.extend(tests.map(|test| format!("{module}::{}", test.split('(').next().unwrap())));
    }
    names.sort();
    names
}

#[test]
fn the_page_names_every_test_here_and_no_other() {
    let mut named: Vec<_> = PAGE
        .split('`')
        .filter_map(|part| part.split_once("::"))
        .filter(|(module, _)| TESTS.iter().any(|(name, _)| name == module))
        .map(|(module, name)| format!("{module}::{name}"))
        .collect();
    named.sort();
    named.dedup();
    assert_eq!(named, written());
    assert!(named.len() > 10, "{named:?}");
}

#[test]
fn every_row_of_the_page_names_a_test() {
    let rows: Vec<_> = PAGE.lines().filter(|line| line.starts_with('|') && !line.starts_with("| ---")).collect();
    assert!(rows.len() > 10, "{rows:?}");
    let heads = rows.iter().filter(|row| row.ends_with("| shown by |")).count();
    let shown = rows.iter().filter(|row| row.rsplit('|').nth(1).unwrap().contains("::")).count();
    assert_eq!(heads + shown, rows.len());
}
