//! `tests/CASES.md` tells the truth: every row is well formed and every test that it names is there.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot read its files has failed")]

use std::{fs, path::Path};

const HEAD: [&str; 3] = ["case", "what", "test"];

#[test]
fn every_case_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = fs::read_to_string(root.join("tests/CASES.md")).unwrap();
    let wrong = check(&table, &|file| fs::read_to_string(root.join(file)).ok());
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// What is wrong in a table of cases, one line each. `read` gives the text of a file of the repository.
fn check(table: &str, read: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut seen = Vec::new();
    let mut before = None;
    for (n, line) in (1..).zip(table.lines()) {
        let mut say = |what: String| wrong.push(format!("tests/CASES.md:{n}: {what}"));
        let cells = cells(line);
        let above = std::mem::replace(&mut before, cells.clone());
        let Some(cells) = cells else {
            if line.trim_start().starts_with('|') {
                say("a row begins and ends with `|`".into());
            }
            continue;
        };
        // the two lines that every table begins with
        let rule = |cells: &[String]| cells.iter().all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-'));
        if above.is_none() {
            if cells != HEAD {
                say(format!("a table begins with | {} |", HEAD.join(" | ")));
            }
            continue;
        }
        if rule(&cells) && above.is_some_and(|above| above == HEAD) {
            continue;
        }
        let [case, what, tests] = cells.as_slice() else {
            say(format!("a row has three cells, this one {}", cells.len()));
            continue;
        };
        if case.is_empty() || what.is_empty() {
            say("a case has a number and says what it is".into());
        }
        for test in tests.split(',').map(|test| test.trim().trim_matches('`')) {
            if let Err(why) = find(test, read) {
                say(why);
            }
            if seen.contains(&(case.clone(), test.to_owned())) {
                say(format!("{case} names {test} twice"));
            }
            seen.push((case.clone(), test.to_owned()));
        }
    }
    wrong
}

/// The cells of a row, trimmed; `\|` does not end one.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?.replace("\\|", "\u{0}");
    Some(inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
}

/// `binary::module::name` in `tests/`, `src::room::file::name` (or `..::tests::name`) in `src/`.
fn find(test: &str, read: &dyn Fn(&str) -> Option<String>) -> Result<(), String> {
    let parts: Vec<&str> = test.split("::").collect();
    let word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let (Some((name, folders)), true) = (parts.split_last(), parts.iter().all(word)) else {
        return Err(format!("`{test}` is no name of a test"));
    };
    let files = match folders {
        [] => return Err(format!("`{test}` does not say in which binary it is")),
        ["src", room @ .., "tests"] | ["src", room @ ..] => vec![format!("src/{}/tests.rs", room.join("/"))],
        [binary] => vec![format!("tests/{binary}/main.rs"), format!("tests/{binary}.rs")],
        [binary, modules @ ..] => {
            let module = format!("tests/{binary}/{}", modules.join("/"));
            vec![format!("{module}.rs"), format!("{module}/mod.rs")]
        }
    };
    let texts: Vec<String> = files.iter().filter_map(|file| read(file)).collect();
    if texts.is_empty() {
        return Err(format!("`{test}`: there is no {}", files.join(", no ")));
    }
    if texts.iter().any(|text| is_a_test(text, name)) {
        return Ok(());
    }
    Err(format!("`{test}`: no test of that name in {}", files.join(", ")))
}

/// Whether `text` has a function `name` below `#[test]` or `#[tokio::test(..)]`, as it also stands inside of `proptest!`.
fn is_a_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declared = |line: &&str| {
        let line = line.trim_start_matches("pub ").trim_start_matches("async ");
        line.strip_prefix("fn ").and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    lines.iter().position(declared).is_some_and(|at| {
        let attributes =
            lines[..at].iter().rev().take_while(|l| !l.is_empty() && !l.ends_with('}') && !l.ends_with(';'));
        let mut test = false;
        for line in attributes {
            test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            // nothing that is skipped holds a case
            if line.starts_with("#[ignore") {
                return false;
            }
        }
        test
    })
}

#[cfg(test)]
mod each_rule_fails_when_it_is_broken {
    use super::check;

    const RETRY: &str = "#[test]\nfn a_post_is_not_repeated() {}\n\n#[tokio::test(start_paused = true)]\nasync fn waits() {}\n\n#[test]\n#[ignore]\nfn skipped() {}\n\nfn helper() {}\n";

    fn wrong(rows: &str) -> Vec<String> {
        let table = format!("# Hard cases\n\n| case | what | test |\n| --- | --- | --- |\n{rows}");
        check(&table, &|file| match file {
            "tests/retry/bodies.rs" | "tests/retry/main.rs" | "tests/alone.rs" | "src/retry/budget/tests.rs" => {
                Some(RETRY.to_owned())
            }
            _ => None,
        })
    }

    #[test]
    fn a_true_table_is_clean() {
        let rows = "| P1 | what | `retry::bodies::waits` |\n| P1 | \\| | `alone::waits`, `retry::a_post_is_not_repeated` |\n\n## More\n\n| case | what | test |\n| --- | --- | --- |\n| D2 | x | src::retry::budget::waits |\n| D3 | x | src::retry::budget::tests::waits |\n";
        assert_eq!(wrong(rows), Vec::<String>::new());
    }

    #[test]
    fn a_missing_test_is_named_with_its_line() {
        assert_eq!(
            wrong("| P1 | what | `retry::bodies::is_not_there` |\n"),
            [
                "tests/CASES.md:5: `retry::bodies::is_not_there`: no test of that name in tests/retry/bodies.rs, tests/retry/bodies/mod.rs"
            ]
        );
        // a function that is no test, one that is skipped, the beginning of a name
        for name in ["helper", "skipped", "wait"] {
            assert_eq!(wrong(&format!("| P1 | what | retry::bodies::{name} |\n")).len(), 1, "{name}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let said = wrong("| P1 | what | `queue::main_loop::waits` |\n");
        assert_eq!(
            said,
            [
                "tests/CASES.md:5: `queue::main_loop::waits`: there is no tests/queue/main_loop.rs, no tests/queue/main_loop/mod.rs"
            ]
        );
    }

    #[test]
    fn a_row_is_well_formed() {
        for row in [
            "| P1 | what |",
            "| P1 | what | retry::bodies::waits | more |",
            "| | what | retry::bodies::waits |",
            "| P1 | | retry::bodies::waits |",
            "| P1 | what | |",
            "| P1 | what | waits |",
            "| P1 | what | retry::bodies:waits |",
            "| P1 | what | retry::bodies::waits",
            "| P1 | what | retry::bodies::waits |\n| P1 | other | retry::bodies::waits |",
        ] {
            assert_eq!(wrong(&format!("{row}\n")).len(), 1, "{row}");
        }
    }

    #[test]
    fn a_table_says_what_its_columns_are() {
        assert_eq!(
            check("| P1 | what | test |\n", &|_| None),
            ["tests/CASES.md:1: a table begins with | case | what | test |"]
        );
    }
}
