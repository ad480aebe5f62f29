//! Every block of the documentation has something that runs it.

use crate::page::{Block, Page, pages, read};

/// The test that runs a kind of block.
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

/// Words of a fence that rustdoc compiles and runs, or that have to fail to compile.
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
        if !is_doctested && page.is_markdown() {
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
    if is_doctested && words.iter().all(is_code) {
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
        let is_there = match test.split("::").collect::<Vec<_>>().as_slice() {
            [binary, module, name] => {
                read(&format!("tests/{binary}/{module}.rs")).is_some_and(|text| is_a_test(&text, name))
            }
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

/// Whether `text` has a test of this name, which is not ignored.
fn is_a_test(text: &str, name: &str) -> bool {
    text.split_once(&format!("fn {name}(")).is_some_and(|(before, _)| {
        let attributes = before.rsplit("\n\n").next().unwrap_or_default();
        let has = |attribute: &str| attributes.lines().any(|line| line.trim_start().starts_with(attribute));
        (has("#[test]") || has("#[tokio::test")) && !has("#[ignore")
    })
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

mod each_rule_fails_when_it_is_broken {
    use super::{Picture, Runner, check, stale};
    use crate::page::Page;

    const RUNNERS: &[Runner] = &[
        Runner {
            language: "sql",
            mark: "sql",
            pages: &[],
            test: "docs::inventory::every_block_of_the_documentation_is_run_by_a_test",
        },
        Runner { language: "http", mark: "exchange", pages: &["docs/a.md"], test: "docs::inventory::is_not_there" },
        Runner { language: "text", mark: "order", pages: &[], test: "docs::order::every_printed_order_is_the_same" },
    ];
    const PICTURES: &[Picture] = &[Picture { file: "docs/a.md", why: "a drawing" }];

    /// Returns the errors of a page of `docs/` that rustdoc includes.
    fn wrong(text: &str) -> Vec<String> {
        let source = Page::new("src/guide/a.rs", "#![doc = include_str!(\"../../docs/a.md\")]\n");
        check(&[source, Page::new("docs/a.md", text)], RUNNERS, PICTURES)
    }

    #[test]
    fn a_block_without_a_runner_is_named_with_its_place() {
        assert_eq!(
            wrong("# a\n\n```sql\nSELECT 1;\n```\n"),
            ["docs/a.md:3: a `sql` block without a runner: see tests/docs/main.rs"]
        );
        assert_eq!(
            wrong("<!-- query -->\n```sql\nSELECT 1;\n```\n"),
            ["docs/a.md:2: a `sql` block marked `query` without a runner: see tests/docs/main.rs"]
        );
        assert_eq!(wrong("```text\na drawing\n```\n").len(), 1);
        assert_eq!(wrong("```console\n$ make\n```\n").len(), 1);
        // an empty line between the mark and the block
        assert_eq!(wrong("<!-- sql -->\n\n```sql\nSELECT 1;\n```\n").len(), 1);
        assert_eq!(wrong("<!-- sql: sqlite -->\n```sql\nSELECT 1;\n```\n"), Vec::<String>::new());
    }

    #[test]
    fn rust_is_run_by_rustdoc_where_rustdoc_sees_it() {
        for fence in ["```", "```rust", "```compile_fail,E0277", "```should_panic"] {
            assert_eq!(wrong(&format!("{fence}\nlet x = 1;\n```\n")), Vec::<String>::new(), "{fence}");
        }
        for fence in ["```ignore", "```rust,ignore", "```ignore-windows", "```no_run", "```rust,no_run"] {
            assert_eq!(wrong(&format!("{fence}\nlet x = 1;\n```\n")).len(), 1, "{fence}");
        }
        for (file, comment) in
            [("README.md", ""), ("docs/b.md", ""), ("examples/b.rs", "//! "), ("tests/b/main.rs", "//! ")]
        {
            let page = Page::new(file, &format!("{comment}```rust\n{comment}let x = 1;\n{comment}```\n"));
            assert_eq!(check(&[page], RUNNERS, PICTURES).len(), 1, "{file}");
        }
        let page = Page::new("src/b.rs", "/// ```\n/// let x = 1;\n/// ```\nfn b() {}\n");
        assert_eq!(check(&[page], RUNNERS, PICTURES), Vec::<String>::new());
    }

    #[test]
    fn a_runner_takes_only_blocks_of_the_pages_that_its_test_reads() {
        let exchange = "<!-- exchange -->\n```http\nGET / HTTP/1.1\n```\n";
        assert_eq!(wrong(exchange), Vec::<String>::new());
        assert_eq!(check(&[Page::new("docs/b.md", exchange)], RUNNERS, PICTURES).len(), 1);
    }

    #[test]
    fn a_picture_is_listed_and_has_no_command_in_it() {
        assert_eq!(wrong("<!-- picture -->\n```text\na --> b\n```\n"), Vec::<String>::new());
        for line in ["$ make", "=> SELECT 1;", "sqlite> SELECT 1;", "select 1;", "cargo test"] {
            assert_eq!(wrong(&format!("<!-- picture -->\n```text\n{line}\n```\n")).len(), 1, "{line}");
            assert_eq!(wrong(&format!("<!-- order -->\n```text\n{line}\n```\n")).len(), 1, "{line}");
        }
        let other = Page::new("docs/b.md", "<!-- picture -->\n```text\na --> b\n```\n");
        assert_eq!(check(&[other], RUNNERS, PICTURES).len(), 1);
    }

    #[test]
    fn a_block_has_an_end_and_a_fence() {
        assert_eq!(wrong("```\nlet x = 1;\n"), ["docs/a.md:1: the block has no end"]);
        let comment = Page::new("src/b.rs", "/// ```\n/// let x = 1;\nfn b() {}\n/// text\n");
        assert_eq!(check(&[comment], RUNNERS, PICTURES), ["src/b.rs:1: the block has no end"]);
        let indented = |text: &str| check(&[Page::new("docs/b.md", text)], RUNNERS, PICTURES).len();
        assert_eq!(indented("text\n\n    cargo frobnicate\n"), 1);
        assert_eq!(indented("- item\n\n    more of it\n"), 0);
        assert_eq!(indented("text\n    more of it\n"), 0);
    }

    #[test]
    fn a_runner_has_a_test_and_a_block() {
        let page =
            Page::new("docs/a.md", "<!-- exchange -->\n```http\nGET /\n```\n<!-- sql -->\n```sql\nSELECT 1;\n```\n");
        assert_eq!(
            stale(&[page], RUNNERS, PICTURES),
            [
                "the runner of `http` blocks marked `exchange`: there is no test docs::inventory::is_not_there",
                "the runner of `text` blocks marked `order` has nothing to run",
                "docs/a.md: listed for a picture, and has none",
            ]
        );
    }
}
