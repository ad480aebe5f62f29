//! What is held against each file. Every rule answers in lines like `src/queue/mod.rs:3: queue may not use webhook`.

use crate::scan::{Token, Used, lines_of_code, paths, tokens};

pub(crate) struct House {
    pub(crate) rooms: &'static [(&'static str, &'static [&'static str], &'static [&'static str])],
    pub(crate) crates: &'static [(&'static str, &'static [&'static str])],
    pub(crate) pure: &'static [&'static str],
    pub(crate) lines: usize,
}

type Broken = Vec<(usize, String)>;

impl House {
    /// What is broken in one file, given by its path from the root of the repository. Tests keep no rule.
    pub(crate) fn check(&self, path: &str, text: &str) -> Vec<String> {
        if path.ends_with("/tests.rs") {
            return Vec::new();
        }
        let words = tokens(text);
        let (used, rest) = paths(&words, &module(path));
        let mut broken = Broken::new();
        if path != "src/lib.rs" {
            self.imports(room(path), &used, &mut broken);
        }
        self.foreign_crates(path, &rest, &mut broken);
        if self.pure.iter().any(|pure| path.starts_with(pure)) {
            purity(&rest, &mut broken);
        }
        if path.ends_with("/mod.rs") || path == "src/lib.rs" {
            front_door(&words, path == "src/lib.rs", &mut broken);
        }
        inline_modules(&words, &mut broken);
        let lines = lines_of_code(text);
        if lines > self.lines {
            broken.push((1, format!("{lines} lines of code, {} are the most", self.lines)));
        }
        broken.sort();
        broken.dedup();
        broken.into_iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
    }

    /// A room uses itself and what its line in the table names.
    fn imports(&self, room: &str, used: &[Used], broken: &mut Broken) {
        let Some((_, floor, besides)) = self.rooms.iter().find(|(name, ..)| *name == room) else {
            broken.push((1, format!("{room} has no line in the table of rooms")));
            return;
        };
        for Used { path, line } in used {
            let whole = path.join("::");
            let first = path.first().map_or("", String::as_str);
            let may =
                |named: &&str| whole == **named || whole.strip_prefix(*named).is_some_and(|r| r.starts_with("::"));
            if first.is_empty() || first == "*" {
                broken.push((*line, format!("{room} may not use the whole crate: what it uses must be seen")));
            } else if first != room && !floor.iter().chain(*besides).any(may) {
                let part = floor.iter().chain(*besides).any(|named| named.split("::").next() == Some(first));
                let what = if part { &whole } else { first };
                broken.push((*line, format!("{room} may not use {what}")));
            }
        }
    }

    /// Another crate's name, only where its types are at home. A module of that name, declared in the same file, is ours.
    fn foreign_crates(&self, path: &str, words: &[Token], broken: &mut Broken) {
        for (name, homes) in self.crates {
            let at_home = homes
                .iter()
                .any(|home| path.strip_prefix(home).is_some_and(|rest| rest.starts_with('/') || rest == ".rs"));
            let declared = words.windows(2).any(|w| w[0].text == "mod" && w[1].text == *name);
            if at_home || declared {
                continue;
            }
            for at in positions(words, name) {
                if names_a_crate(words, at) {
                    broken.push((words[at].line, format!("{name} belongs in {}", homes.join(", "))));
                }
            }
        }
    }
}

fn positions<'a>(words: &'a [Token], text: &'a str) -> impl Iterator<Item = usize> + 'a {
    words.iter().enumerate().filter(move |(_, word)| word.text == text).map(|(at, _)| at)
}

/// `tower::x`, `use tower;`, `use tower as t`, `use {tower, x}`; not `foreign::tower`, not a field or a variable.
fn names_a_crate(words: &[Token], at: usize) -> bool {
    let around = |i: Option<usize>| i.and_then(|i| words.get(i)).map_or("", |word| word.text.as_str());
    let (before, after) = (around(at.checked_sub(1)), around(at.checked_add(1)));
    // `::tower::x` begins at the root; `foreign::tower::x` does not
    let root = before == "::" && !at.checked_sub(2).is_some_and(|i| is_name(&words[i].text));
    let begins = before != "::" || root;
    begins && (after == "::" || before == "use" || before == "crate" && around(at.checked_sub(2)) == "extern")
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_alphabetic() || c == '_') && word != "use"
}

/// No HTTP, no timer, no lock, no task: only what is given.
fn purity(words: &[Token], broken: &mut Broken) {
    for name in ["http", "http_body", "http_body_util", "tokio", "tower_service", "tower_layer"] {
        for at in positions(words, name).filter(|at| names_a_crate(words, *at)) {
            let path: String = words[at..].iter().take(5).map(|word| word.text.as_str()).collect();
            if path != "tokio::time::Instant" {
                broken.push((words[at].line, format!("pure code may not use {name}")));
            }
        }
    }
    for name in ["Mutex", "RwLock"] {
        for at in positions(words, name) {
            broken.push((words[at].line, format!("pure code may not use a {name}")));
        }
    }
}

/// A front door has nothing behind the counter: attributes, `mod` and `use`, nothing else. In `lib.rs` a `mod` has at most one
/// `#[cfg]` and nothing but a `mod` has one.
fn front_door(words: &[Token], lib: bool, broken: &mut Broken) {
    let mut at = 0;
    let mut conditions = 0;
    while at < words.len() {
        let (text, line) = (words[at].text.as_str(), words[at].line);
        match text {
            "#" => {
                let open = at + 1 + usize::from(words.get(at + 1).is_some_and(|word| word.text == "!"));
                conditions += usize::from(words.get(open + 1).is_some_and(|word| word.text == "cfg"));
                at = closing(words, open);
                continue;
            }
            "pub" => {
                at = if words.get(at + 1).is_some_and(|word| word.text == "(") {
                    closing(words, at + 1)
                } else {
                    at + 1
                };
                continue;
            }
            "mod" if lib && conditions > 1 => broken.push((line, "one #[cfg] for a module, no more".into())),
            "use" if lib && conditions > 0 => broken.push((line, "only a module has a #[cfg] in lib.rs".into())),
            "mod" | "use" => {}
            _ => {
                broken.push((line, "a front door holds docs, mod and use, and no code".into()));
                return;
            }
        }
        conditions = 0;
        at = words[at..].iter().position(|word| word.text == ";").map_or(words.len(), |end| at + end + 1);
    }
}

/// Behind the bracket that closes the one at `open`.
fn closing(words: &[Token], open: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(open) {
        match word.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    words.len()
}

/// A module is a file: `super` then means what the path of the file says.
fn inline_modules(words: &[Token], broken: &mut Broken) {
    for window in words.windows(3).filter(|w| w[0].text == "mod" && w[2].text == "{") {
        broken.push((window[0].line, format!("the module {} wants a file of its own", window[1].text)));
    }
}

/// The folder below `src/`, or the file that lies there by itself.
fn room(path: &str) -> &str {
    let below = path.strip_prefix("src/").unwrap_or(path);
    below.split('/').next().unwrap_or(below).trim_end_matches(".rs")
}

/// `src/a/b.rs` is `a::b`, `src/a/mod.rs` is `a`, `src/lib.rs` is the root.
fn module(path: &str) -> Vec<String> {
    let below = path.strip_prefix("src/").unwrap_or(path).trim_end_matches(".rs");
    let mut parts: Vec<String> = below.split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod" || last == "lib") {
        parts.pop();
    }
    parts
}
