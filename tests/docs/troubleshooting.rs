//! `docs/troubleshooting.md` quotes messages of this crate: they are in the code.

use std::{fs, path::Path};

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

/// All of `src/`.
fn code() -> String {
    let mut text = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    text
}

#[test]
fn every_note_of_this_crate_that_the_page_quotes_is_in_the_code() {
    let code = code();
    let notes = PAGE.lines().filter_map(|line| line.trim().strip_prefix("= note: "));
    // the compiler's own
    let ours: Vec<_> =
        notes.filter(|note| !note.starts_with("required for") && !note.starts_with("the following")).collect();
    assert_eq!(ours.len(), 3, "{ours:?}");
    for note in ours {
        assert!(code.contains(&format!("note = \"{note}\"")), "nowhere in src/: {note}");
    }
}

#[test]
fn every_message_of_this_crate_that_the_page_quotes_is_in_the_code() {
    let code = code();
    let filled = |message: &str, types: [&str; 4]| {
        let [this, request, response, error] = types;
        message.replace("{Self}", this).replace("{Req}", request).replace("{Res}", response).replace("{E}", error)
    };
    let boxed = "Box<(dyn std::error::Error + Send + Sync + 'static)>";
    let (request, response) = ("reqwest::Request", "reqwest::Response");
    for (message, types) in [
        ("the request body `{Self}` cannot be made again from what was kept of it", ["Body", "", "", ""]),
        ("`{Self}` cannot judge a `{Res}` (error `{E}`) that answers a `{Req}`", ["Http", request, response, boxed]),
        ("`{Self}` cannot make a `{Req}` again", ["HttpReplay", request, "", ""]),
    ] {
        assert!(code.contains(&format!("message = \"{message}\"")), "nowhere in src/: {message}");
        let said = format!("error[E0277]: {}\n", filled(message, types));
        assert!(PAGE.contains(&said), "not on the page: {said}");
    }
}

#[test]
fn every_title_of_a_409_and_every_reason_to_stop_is_in_the_code() {
    let refusals = include_str!("../../src/idempotency/refusal.rs");
    let reasons = include_str!("../../src/retry/stop.rs");
    let section = |from: &str| PAGE.split(from).nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = |section: &'static str| {
        let cells = section.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
        cells.skip(2).flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect::<Vec<_>>()
    };
    let titles = rows(section("## a key is answered with 409"));
    assert_eq!(titles.len(), 3, "{titles:?}");
    assert!(titles.iter().all(|title| refusals.contains(&format!("\"{title}\""))), "{titles:?}");
    let stops = rows(section("## a POST is not repeated"));
    assert_eq!(stops.len(), 9, "{stops:?}");
    assert!(stops.iter().all(|stop| reasons.contains(&format!("    {stop},"))), "{stops:?}");
}

/// The page lists every refusal that a client can receive, with its status and hint.
#[test]
fn the_page_for_api_designers_has_every_refusal_and_no_other() {
    let refusals = include_str!("../../src/idempotency/refusal.rs");
    let problems = refusals.split("fn problem(self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    // how a problem is made, up to its title
    let made = [
        ("BAD_REQUEST, ", "400"),
        ("conflict(", "409"),
        ("PAYLOAD_TOO_LARGE, ", "413"),
        ("UNPROCESSABLE_ENTITY, ", "422"),
        ("fault(", "500"),
        ("SERVICE_UNAVAILABLE, ", "503"),
    ];
    let mut said = Vec::new();
    for (before, status) in made {
        for made in problems.split(&format!("{before}\"")).skip(1) {
            let later = made.split("Self::").next().unwrap().contains("with_retry_after");
            said.push((made.split('"').next().unwrap(), status, later));
        }
    }
    assert_eq!(said.len(), problems.matches("Self::").count(), "a problem is made in another way");
    let page = include_str!("../../docs/idempotency.md").lines();
    let rows = page.filter_map(|line| Some(line.strip_prefix("| ")?.split(" | ").collect::<Vec<_>>()));
    let titled = rows.filter(|row| row[1].starts_with('`') && row[0] != "status");
    let mut told: Vec<_> =
        titled.map(|row| (row[1].trim_matches('`'), row[0], row[3].contains("after `Retry-After`"))).collect();
    said.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, said);
}
