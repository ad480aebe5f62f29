//! The commands that the documentation prints name targets, features, tests and variables that exist.

use crate::page::{Block, Page, pages, read};
use std::{env, path::Path};
use toml::Table;

/// Commands other than cargo. `examples.rs` sends the request of `curl`.
const OTHERS: [&str; 3] = ["./test", "curl", "valgrind"];

#[test]
fn every_command_names_what_there_is() {
    let mut wrong = Vec::new();
    let mut commands = 0;
    for block in shell_blocks() {
        let (checked, errors) = check(&block);
        commands += checked;
        wrong.extend(errors);
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(commands > 15, "only {commands} commands found");
}

/// In a sentence: `cargo run --example postgres_schema > file`.
#[test]
fn every_command_of_cargo_in_a_sentence_names_what_there_is() {
    let mut commands = 0;
    let mut wrong = Vec::new();
    for page in pages().iter().filter(|page| !page.file.starts_with("tests/")) {
        for (line, text) in page.prose() {
            let spans = text.split('`').skip(1).step_by(2);
            let known = |span: &&str| {
                ["run ", "test ", "build ", "rustc "].iter().any(|sub| span.starts_with(&format!("cargo {sub}")))
            };
            for span in spans.filter(known) {
                commands += 1;
                let span = span.split(" > ").next().unwrap_or_default();
                wrong.extend(command("", &words(span)).err().map(|why| format!("{}:{line}: {why}", page.file)));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
    assert!(commands > 1, "only {commands} commands found");
}

/// Those without a hidden comment: others have a runner of their own.
pub(crate) fn shell_blocks() -> Vec<Block> {
    let shell = |block: &Block| block.info == "sh" && block.mark.is_none();
    pages().iter().flat_map(Page::blocks).filter(shell).collect()
}

/// Returns the number of commands in a block, and its errors.
fn check(block: &Block) -> (usize, Vec<String>) {
    let (mut commands, mut wrong) = (0, Vec::new());
    // a file of benches/ is read where its reader stands: at the top
    let mut folder = String::new();
    for (number, line) in (block.line + 1..).zip(block.code.lines()) {
        let words = words(line);
        if words.is_empty() {
            continue;
        }
        commands += 1;
        let checked = match words[0].as_str() {
            "cd" => {
                folder.clone_from(&words[1]);
                is_there(&format!("{folder}/Cargo.toml"))
            }
            "export" => Ok(()),
            _ => command(&folder, &words),
        };
        if let Err(why) = checked {
            wrong.push(format!("{}:{number}: {why}", block.file));
        }
    }
    (commands, wrong)
}

/// The words of a line, without its comment and its quotes.
pub(crate) fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn is_there(file: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if path.exists() { Ok(()) } else { Err(format!("there is no {file}")) }
}

/// A command that stands in `folder`, with the variables before it.
fn command(folder: &str, words: &[String]) -> Result<(), String> {
    let is_variable = |word: &&String| word.split_once('=').is_some_and(|(name, _)| is_name(name));
    let variables: Vec<&str> =
        words.iter().take_while(is_variable).filter_map(|word| Some(word.split_once('=')?.0)).collect();
    let words: Vec<&str> = words[variables.len()..].iter().map(String::as_str).collect();
    match words.as_slice() {
        ["cargo", subcommand @ ("run" | "test" | "rustc" | "build"), arguments @ ..] => {
            let target = Target::parse(folder, arguments)?;
            target.check(subcommand)?;
            variables.iter().try_for_each(|variable| target.reads(variable))
        }
        ["./test"] => is_there("test"),
        // valgrind of a binary that is built here
        ["valgrind", _, binary, ..] => {
            let name = binary.rsplit('/').next().unwrap_or_default();
            Target { folder: folder.to_owned(), bin: Some(name.to_owned()), ..Target::default() }.check("run")
        }
        [other, ..] if OTHERS.contains(other) => Ok(()),
        other => Err(format!("tests/docs/commands.rs does not know this command: {other:?}")),
    }
}

fn is_name(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == b'_')
}

/// The target of a command of cargo.
#[derive(Default)]
struct Target {
    folder: String,
    bin: Option<String>,
    test: Option<String>,
    example: Option<String>,
    features: Vec<String>,
    /// Of names of tests.
    filter: Option<String>,
}

impl Target {
    fn parse(folder: &str, arguments: &[&str]) -> Result<Self, String> {
        let mut target = Self { folder: folder.to_owned(), ..Self::default() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().map(|word| (*word).to_owned());
            match *argument {
                "--bin" => target.bin = value(),
                "--test" => target.test = value(),
                "--example" => target.example = value(),
                "--profile" => drop(value()),
                "--features" => target.features = value().unwrap_or_default().split(',').map(str::to_owned).collect(),
                "--release" | "--all-features" | "--ignore-rust-version" | "--lib" => {}
                "--" => break,
                word if word.starts_with('-') => return Err(format!("tests/docs/commands.rs does not know `{word}`")),
                // of a program: its own arguments, which cargo does not read
                word if target.test.is_some() => target.filter = Some(word.to_owned()),
                _ => {}
            }
        }
        Ok(target)
    }

    fn inside(&self, file: &str) -> String {
        if self.folder.is_empty() { file.to_owned() } else { format!("{}/{file}", self.folder) }
    }

    fn manifest(&self) -> Result<Table, String> {
        let file = self.inside("Cargo.toml");
        let text = read(&file).ok_or_else(|| format!("there is no {file}"))?;
        text.parse().map_err(|error| format!("{file}: {error}"))
    }

    fn check(&self, subcommand: &str) -> Result<(), String> {
        let manifest = self.manifest()?;
        for feature in &self.features {
            let is_feature = manifest.get("features").is_some_and(|features| features.get(feature).is_some());
            // an optional dependency is a feature too, unless one names it as `dep:`
            let dependency = manifest.get("dependencies").and_then(|dependencies| dependencies.get(feature));
            let is_optional =
                dependency.is_some_and(|it| it.get("optional").and_then(toml::Value::as_bool) == Some(true));
            if !is_feature && !is_optional {
                return Err(format!("there is no feature `{feature}`"));
            }
        }
        if subcommand == "run" && self.bin.is_none() && self.example.is_none() {
            return Err("`cargo run` of what? Name a --bin or an --example".into());
        }
        for (kind, folder, name) in
            [("bin", "src/bin", &self.bin), ("test", "tests", &self.test), ("example", "examples", &self.example)]
        {
            let Some(name) = name else { continue };
            let paths = [format!("{folder}/{name}.rs"), format!("{folder}/{name}/main.rs")];
            if !paths.iter().any(|path| is_there(&self.inside(path)).is_ok()) {
                return Err(format!("there is no {kind} `{name}`"));
            }
        }
        match (&self.test, &self.filter) {
            (Some(test), Some(filter)) if !sources(test).contains(filter.as_str()) => {
                Err(format!("no test of `{test}` has `{filter}` in its name"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the test reads this variable of the environment; those of cargo are read by cargo.
    fn reads(&self, variable: &str) -> Result<(), String> {
        let quoted = format!("\"{variable}\"");
        let is_read = || self.test.as_ref().is_some_and(|test| sources(test).contains(&quoted));
        if variable.starts_with("CARGO_") || is_read() { Ok(()) } else { Err(format!("nothing reads `{variable}`")) }
    }
}

/// All files of a test of this crate, after their names.
fn sources(test: &str) -> String {
    let own =
        |page: &&Page| page.file == format!("tests/{test}.rs") || page.file.starts_with(&format!("tests/{test}/"));
    let text = |page: &Page| [page.file.clone(), read(&page.file).unwrap_or_default()];
    pages().iter().filter(own).flat_map(text).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_command_that_names_what_there_is_not_is_found() {
    let wrong = |line: &str| {
        let block = Block { code: line.to_owned(), ..Block::empty("sh") };
        check(&block).1.len()
    };
    for line in [
        "cargo run --example webhook --features full",
        "SEED=1 cargo test --all-features --test composition random   # one",
        "cd benches",
        "./test",
    ] {
        assert_eq!(wrong(line), 0, "{line}");
    }
    for line in [
        "cargo run --example webhooks",
        "cargo run --example webhook --features fulll",
        "cargo test --test compositions",
        "cargo test --test composition no_such_test_anywhere",
        "NOBODY_READS_THIS=1 cargo test --test composition",
        "cargo run --release",
        "cargo frobnicate",
        "cd bench",
        "make",
    ] {
        assert_eq!(wrong(line), 1, "{line}");
    }
}
