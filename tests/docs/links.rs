//! Links of Markdown pages lead somewhere, and so do the files, metrics and tables that the documentation names.

use crate::page::{Page, pages, read};
use std::collections::BTreeSet;
use steadfast::store::postgres::PostgresStore;

/// Where rustdoc shows this crate.
const DOCS_RS: &str = "https://docs.rs/steadfast/latest/steadfast/";

#[test]
fn every_link_of_a_page_leads_to_a_file_and_every_anchor_to_a_heading() {
    let pages = pages();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages.iter().filter(|page| page.is_markdown()) {
        for (line, text) in page.prose() {
            for target in targets(text) {
                checked += 1;
                if let Err(why) = leads_somewhere(page, target, &pages) {
                    wrong.push(format!("{}:{line}: {target}: {why}", page.file));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(checked > 30, "only {checked} links found");
}

/// The targets of `[text](target)` and `[text]: target` in a line.
fn targets(line: &str) -> Vec<&str> {
    let mut targets = Vec::new();
    // not inside of `code`
    for part in line.split('`').step_by(2) {
        targets.extend(part.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()));
    }
    let reference = line.strip_prefix('[').and_then(|rest| Some(rest.split_once("]: ")?.1));
    targets.extend(reference.and_then(|target| target.split(' ').next()));
    targets
}

fn leads_somewhere(page: &Page, target: &str, pages: &[Page]) -> Result<(), String> {
    if let Some(path) = target.strip_prefix(DOCS_RS) {
        return in_rustdoc(path, pages);
    }
    if target.starts_with("https://") || target.starts_with("http://") {
        return Ok(());
    }
    if target.starts_with("crate::") {
        // rustdoc refuses one that leads nowhere
        let is_included = pages.iter().any(|source| source.includes(&page.file));
        return if is_included { Ok(()) } else { Err("rustdoc does not see this page".into()) };
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = page.file.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
    let file = if path.is_empty() { page.file.clone() } else { normal(&format!("{folder}{path}")) };
    if !path.is_empty() && !is_there(&file) {
        return Err(format!("there is no {file}"));
    }
    let has = |other: &&Page| other.file == file && headings(other).any(|heading| heading == anchor);
    if anchor.is_empty() || pages.iter().any(|page| has(&page)) {
        Ok(())
    } else {
        Err(format!("{file} has no such heading"))
    }
}

fn is_there(file: &str) -> bool {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists()
}

/// `stack/index.html#the-order-of-the-layers`: a module, and a heading of its documentation or of a page in it.
fn in_rustdoc(path: &str, pages: &[Page]) -> Result<(), String> {
    let (module, anchor) = path.split_once('#').unwrap_or((path, ""));
    let Some(module) = module.strip_suffix("index.html") else {
        return Err("only modules are known to this test".into());
    };
    let module = module.trim_end_matches('/');
    let source = [format!("src/{module}/mod.rs"), format!("src/{module}.rs")];
    let source = pages.iter().find(|page| source.contains(&page.file)).ok_or("there is no such module")?;
    let mut shown = pages.iter().filter(|page| page.file == source.file || source.includes(&page.file));
    let is_there = anchor.is_empty() || shown.any(|page| headings(page).any(|heading| heading == anchor));
    if is_there { Ok(()) } else { Err("the module has no such heading".into()) }
}

/// As anchors.
fn headings(page: &Page) -> impl Iterator<Item = String> {
    let heading = |(_, line): (usize, &str)| {
        let text = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#'))?;
        let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    };
    page.prose().into_iter().filter_map(heading)
}

/// `a/../b` is `b`.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The words in backticks of a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// `src/retry/mod.rs`, `tests/queue/`, `docs/outcomes.md`: a path in backticks exists.
#[test]
fn every_file_that_the_documentation_names_is_there() {
    let folders = ["src/", "tests/", "docs/", "examples/", "benches/"];
    let mut checked = 0;
    let mut wrong = Vec::new();
    // a changelog names files that were
    let is_read = |page: &&Page| !page.file.starts_with("tests/") && page.file != "CHANGELOG.md";
    for page in pages().iter().filter(is_read) {
        for (line, text) in page.prose() {
            let is_path = |word: &&str| {
                let plain = word.bytes().all(|c| c.is_ascii_alphanumeric() || b"/_-.".contains(&c));
                plain && folders.iter().any(|folder| word.starts_with(folder))
            };
            for path in quoted(text).filter(is_path) {
                checked += 1;
                if !is_there(path) {
                    wrong.push(format!("{}:{line}: there is no {path}", page.file));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(checked > 30, "only {checked} files found");
}

/// `steadfast_*`: a metric of `telemetry::names`, or a table.
#[test]
fn every_metric_and_table_that_the_documentation_names_exists() {
    let known = known_names();
    let mut checked = 0;
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| page.file.starts_with("src/") || page.is_markdown()) {
        for (line, text) in page.lines() {
            for at in text.match_indices("steadfast_").map(|(at, _)| at) {
                let rest = &text[at..];
                let end = rest.find(|c: char| !(c.is_ascii_lowercase() || c == '_')).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                // `steadfast_` by itself is how names begin; a path is a crate
                if name == "steadfast_" || after.starts_with("::") || ["steadfast_loom"].contains(&name) {
                    continue;
                }
                checked += 1;
                if !known.contains(name) {
                    wrong.push(format!("{}:{line}: nothing is called {name}", page.file));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(checked > 30, "only {checked} names found");
}

fn known_names() -> BTreeSet<String> {
    let metrics = read("src/telemetry/names.rs").unwrap();
    let mut known: BTreeSet<String> = metrics.split('"').skip(1).step_by(2).map(str::to_owned).collect();
    let tables = PostgresStore::schema();
    known.extend(
        tables.split("CREATE TABLE ").skip(1).filter_map(|rest| rest.split([' ', '(']).next().map(str::to_owned)),
    );
    assert!(known.contains("steadfast_queue") && known.contains("steadfast_retry_calls_total"), "{known:?}");
    known
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let source = "//! # The order\n#![doc = include_str!(\"../../docs/x.md\")]\n";
    let wrong = |text: &str| {
        let pages = [Page::new("docs/x.md", text), Page::new("src/stack/mod.rs", source)];
        let links = pages[0].prose().into_iter().flat_map(|(_, line)| targets(line)).collect::<Vec<_>>();
        assert_eq!(links.len(), 1, "{text}");
        leads_somewhere(&pages[0], links[0], &pages).is_err()
    };
    for text in [
        "[a](../README.md)",
        "[a](outcomes.md) `[not](a link)`",
        "# Here\n[a](#here)",
        "[a](https://example.com)",
        "[a]: ../README.md",
        "[a](crate::x)",
        "[a](https://docs.rs/steadfast/latest/steadfast/stack/index.html#the-order)",
    ] {
        assert!(!wrong(text), "{text}");
    }
    for text in [
        "[a](README.md)",
        "# Here\n[a](#there)",
        "[a](outcomes.md#no-such-heading)",
        "[a]: README.md",
        "[a](https://docs.rs/steadfast/latest/steadfast/stack/index.html#the-other)",
        "[a](https://docs.rs/steadfast/latest/steadfast/stick/index.html)",
    ] {
        assert!(wrong(text), "{text}");
    }
}
