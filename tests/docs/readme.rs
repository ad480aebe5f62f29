//! The README shows code that is compiled: its snippets are parts of the examples, word for word.

use crate::page::{Page, read};

/// Lines of the README, of a snippet in it, and of a short example.
const README: usize = 120;
const SNIPPET: usize = 20;
const EXAMPLE: usize = 60;

const EXAMPLES: [&str; 3] = ["client", "idempotent_post", "webhook"];

#[test]
fn every_snippet_is_the_marked_part_of_its_example() {
    let snippets = Page::new("README.md", &read("README.md").unwrap()).blocks();
    let snippets = snippets.into_iter().filter(|block| block.info == "rust");
    let named: Vec<String> = snippets.filter_map(|block| Some(block.mark?.detail)).collect();
    assert_eq!(named, EXAMPLES);
    let wrong = check(&read("README.md").unwrap(), &EXAMPLES, &|name| read(&format!("examples/{name}.rs")));
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

/// A row for each feature that a user can name, and no other.
#[test]
fn the_readme_names_every_feature() {
    let (readme, manifest) = (read("README.md").unwrap(), read("Cargo.toml").unwrap());
    let section = manifest.split("[features]").nth(1).unwrap().split("\n[").next().unwrap();
    let declared = section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let mut declared: Vec<&str> = declared.filter(|name| *name != "default").collect();
    let rows = readme.lines().filter(|line| line.starts_with("| `"));
    let mut told: Vec<&str> =
        rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    declared.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, declared);
}

/// Returns the errors, one line each. `example` gives the source of an example.
fn check(readme: &str, examples: &[&str], example: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines = readme.lines().count();
    if lines > README {
        wrong.push(format!("README.md has {lines} lines, {README} are the most"));
    }
    for name in examples {
        let Some(source) = example(name) else {
            wrong.push(format!("there is no examples/{name}.rs"));
            continue;
        };
        let lines = source.lines().count();
        if lines > EXAMPLE {
            wrong.push(format!("examples/{name}.rs has {lines} lines, {EXAMPLE} are the most"));
        }
        let Some(marked) = between(&source, &format!("// snippet: {name}"), "// end") else {
            wrong.push(format!("examples/{name}.rs has no part from `// snippet: {name}` to `// end`"));
            continue;
        };
        let Some(shown) = between(readme, &format!("<!-- snippet: {name} -->"), "<!-- end -->") else {
            wrong.push(format!("README.md has no part from `<!-- snippet: {name} -->` to `<!-- end -->`"));
            continue;
        };
        if marked.len() > SNIPPET {
            wrong.push(format!("the snippet {name} has {} lines, {SNIPPET} are the most", marked.len()));
        }
        let fenced = [vec!["```rust".to_owned()], marked, vec!["```".to_owned()]].concat();
        if fenced != shown {
            wrong.push(format!("README.md, {name}: this is to stand there:\n\n{}\n", fenced.join("\n")));
        }
    }
    wrong
}

/// The lines between two that hold nothing but these marks, without the indentation that all of them share.
pub(crate) fn between(text: &str, begin: &str, end: &str) -> Option<Vec<String>> {
    let mut lines = text.lines().skip_while(|line| line.trim() != begin).skip(1).peekable();
    lines.peek()?;
    let lines: Vec<&str> = lines.collect();
    let lines = &lines[..lines.iter().position(|line| line.trim() == end)?];
    let indent = |line: &&&str| line.len() - line.trim_start().len();
    let shared = lines.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(&line)).min().unwrap_or(0);
    Some(lines.iter().map(|line| line.get(shared..).unwrap_or_default().to_owned()).collect())
}

mod each_rule_fails_when_it_is_broken {
    use super::check;

    const EXAMPLE: &str =
        "fn main() {\n    // snippet: a\n    if x {\n        y();\n    }\n\n    z();\n    // end\n}\n";
    const README: &str = "# x\n<!-- snippet: a -->\n```rust\nif x {\n    y();\n}\n\nz();\n```\n<!-- end -->\n";

    fn wrong(readme: &str, example: &str) -> usize {
        check(readme, &["a"], &|_| Some(example.to_owned())).len()
    }

    #[test]
    fn the_same_part_is_right_whatever_its_indentation() {
        assert_eq!(check(README, &["a"], &|_| Some(EXAMPLE.to_owned())), Vec::<String>::new());
    }

    #[test]
    fn another_part_is_wrong() {
        assert_eq!(wrong(&README.replace("y();", "w();"), EXAMPLE), 1);
        assert_eq!(wrong(&README.replace("    y();", "y();"), EXAMPLE), 1);
        assert_eq!(wrong(&README.replace("```rust", "```text"), EXAMPLE), 1);
    }

    #[test]
    fn a_part_that_is_missing_is_wrong() {
        assert_eq!(wrong("# x\n", EXAMPLE), 1);
        assert_eq!(wrong(&README.replace("<!-- end -->", ""), EXAMPLE), 1);
        assert_eq!(wrong(README, "fn main() {}\n"), 1);
        assert_eq!(check(README, &["a"], &|_| None).len(), 1);
    }

    #[test]
    fn what_is_too_long_is_wrong() {
        assert_eq!(wrong(&format!("{README}{}", "\n".repeat(120)), EXAMPLE), 1);
        assert_eq!(wrong(README, &format!("{EXAMPLE}{}", "\n".repeat(60))), 1);
        let long = "    z();\n".repeat(21);
        let (readme, example) = (README.replace("z();\n", &"z();\n".repeat(21)), EXAMPLE.replace("    z();\n", &long));
        assert_eq!(wrong(&readme, &example), 1);
    }
}
