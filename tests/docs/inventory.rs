//! Every block of the documentation has something that runs it.

use crate::page::{Block, Page, pages, read};

/// What runs a kind of block.
pub(crate) struct Runner {
    /// The first word after the fence.
    pub(crate) language: &'static str,
    /// The name in the hidden comment above the block; empty: without a comment.
    pub(crate) mark: &'static str,
    /// The pages that the test reads; empty: all of them.
    pub(crate) pages: &'static [&'static str],
    /// The test, as `tests/CASES.md` writes it.
    pub(crate) test: &'static str,
}

/// A block that nothing can run, and why.
pub(crate) struct Picture {
    pub(crate) file: &'static str,
    pub(crate) why: &'static str,
}

/// What rustdoc makes a test that is compiled and run, or has to fail to compile.
const DOCTEST: [&str; 3] = ["rust", "should_panic", "compile_fail"];

/// How a command or a query begins. Such a line in a `text` block would not be run.
const RUNNABLE: [&str; 9] = ["$ ", "=> ", "=# ", "sqlite> ", "select ", "insert ", "update ", "delete ", "cargo "];

/// Checks every block of `pages`; returns one line for each that nothing runs.
pub(crate) fn check(pages: &[Page], runners: &[Runner], pictures: &[Picture]) -> Vec<String> {
    let included = |page: &Page| {
        let include = |source: &Page| source.includes(&page.file);
        page.file.starts_with("src/") || pages.iter().any(include)
    };
    let mut wrong = Vec::new();
    for page in pages {
        let is_doctested = included(page);
        for block in page.blocks() {
            if let Err(why) = held(&block, is_doctested, runners, pictures) {
                wrong.push(format!("{}: {why}", block.place()));
            }
        }
        if !is_doctested && !page.file.ends_with(".rs") {
            let indented = page.indented().map(|line| format!("{}:{line}: an indented block: use a fence", page.file));
            wrong.extend(indented);
        }
    }
    wrong
}

fn held(block: &Block, is_doctested: bool, runners: &[Runner], pictures: &[Picture]) -> Result<(), String> {
    if !block.is_closed {
        return Err("the block has no end".into());
    }
    let words = block.words();
    let language = words.first().copied().unwrap_or_default();
    let mark = block.mark.as_ref().map_or("", |mark| &mark.name);
    let is_code = |word: &&str| DOCTEST.contains(word) || is_error_code(word);
    if is_doctested && words.iter().all(|word| is_code(&word)) {
        return Ok(());
    }
    if words.iter().any(|word| word.starts_with("ignore")) {
        return Err("`ignore` is not allowed: the block has to compile".into());
    }
    if language == "text" && mark == "picture" {
        let is_listed = pictures.iter().any(|picture| picture.file == block.file);
        return if is_listed {
            runs_nothing(block)
        } else {
            Err("a picture that is not listed in tests/docs/main.rs".into())
        };
    }
    let runs = |runner: &&Runner| {
        let reads = runner.pages.is_empty() || runner.pages.contains(&block.file.as_str());
        runner.language == language && runner.mark == mark && reads
    };
    if runners.iter().any(|runner| runs(&runner)) {
        return if language == "text" { runs_nothing(block) } else { Ok(()) };
    }
    let marked = if mark.is_empty() { String::new() } else { format!(" marked `{mark}`") };
    Err(format!("a `{language}` block{marked} without a runner: see tests/docs/main.rs"))
}

fn is_error_code(word: &str) -> bool {
    word.len() == 5 && word.starts_with('E') && word[1..].bytes().all(|digit| digit.is_ascii_digit())
}

fn runs_nothing(block: &Block) -> Result<(), String> {
    let runnable = |line: &&str| {
        let line = line.trim_start().to_ascii_lowercase();
        RUNNABLE.iter().any(|begin| line.starts_with(begin))
    };
    match block.code.lines().find(runnable) {
        Some(line) => {
            Err(format!("a `text` block with a command or a query in it, which nothing runs: `{}`", line.trim()))
        }
        None => Ok(()),
    }
}

/// Checks the tables of runners and pictures; returns one line for each entry that names no test or no block.
pub(crate) fn stale(pages: &[Page], runners: &[Runner], pictures: &[Picture]) -> Vec<String> {
    let mut wrong = Vec::new();
    let blocks: Vec<Block> = pages.iter().flat_map(Page::blocks).collect();
    let mark = |block: &Block| block.mark.as_ref().map_or(String::new(), |mark| mark.name.clone());
    for Runner { language, mark: name, test, .. } in runners {
        if !blocks.iter().any(|block| block.words().first() == Some(language) && mark(block) == *name) {
            wrong.push(format!("the runner of `{language}` blocks marked `{name}` has nothing to run"));
        }
        let parts: Vec<&str> = test.split("::").collect();
        let is_there = match parts.as_slice() {
            [binary, module, name] => read(&format!("tests/{binary}/{module}.rs"))
                .is_some_and(|text| text.contains(&format!("fn {name}(")) && !text.contains("#[ignore")),
            _ => false,
        };
        if !is_there {
            wrong.push(format!("the runner of `{language}` blocks marked `{name}`: there is no test {test}"));
        }
    }
    for Picture { file, why } in pictures {
        if why.is_empty() {
            wrong.push(format!("{file}: nobody says why this cannot be run"));
        }
        if !blocks.iter().any(|block| block.file == *file && mark(block) == "picture") {
            wrong.push(format!("{file}: listed for a picture, and has none"));
        }
    }
    wrong
}

#[test]
fn every_block_of_the_documentation_is_run_by_a_test() {
    let pages = pages();
    let mut wrong = check(&pages, crate::RUNNERS, crate::PICTURES);
    wrong.extend(stale(&pages, crate::RUNNERS, crate::PICTURES));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// Their Rust blocks are doctests only by that.
#[test]
fn every_page_of_docs_is_included_in_the_documentation_of_the_crate() {
    let pages = pages();
    let in_docs = |page: &&Page| page.file.starts_with("docs/");
    let left_out: Vec<&str> = pages
        .iter()
        .filter(in_docs)
        .filter(|page| !pages.iter().any(|source| source.includes(&page.file)))
        .map(|page| page.file.as_str())
        .collect();
    assert!(left_out.is_empty(), "no module has #![doc = include_str!(..)] of {left_out:?}");
}
