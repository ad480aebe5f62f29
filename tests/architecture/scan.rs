//! Just enough of Rust's grammar: words with their lines, and the paths that begin at a module of this crate.

/// A word or a single character of punctuation, and its line (the first is 1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// The source without comments, cut into words; a string becomes `""`, so that nothing in it looks like code.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, text) = next(rest, first);
        if let Some(text) = text {
            tokens.push(Token { text: text.to_owned(), line });
        }
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    tokens
}

/// How long the next piece is, and the word that it gives.
fn next(rest: &str, first: char) -> (usize, Option<&str>) {
    let until = |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    if first.is_whitespace() {
        (first.len_utf8(), None)
    } else if rest.starts_with("//") {
        (rest.find('\n').unwrap_or(rest.len()), None)
    } else if rest.starts_with("/*") {
        (block_comment(rest), None)
    } else if let Some(hashes) = raw_string(rest) {
        let open = rest.find('"').map_or(rest.len(), |at| at + 1);
        (until(&format!("\"{}", "#".repeat(hashes)), open), Some("\"\""))
    } else if first == '"' || rest.starts_with("b\"") || rest.starts_with("c\"") {
        (string(rest), Some("\"\""))
    } else if first == '\'' {
        (character(rest), None)
    } else if first.is_alphanumeric() || first == '_' {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (length, Some(&rest[..length]))
    } else if rest.starts_with("::") {
        (2, Some("::"))
    } else {
        (first.len_utf8(), Some(&rest[..first.len_utf8()]))
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let here = &rest[at..];
        if here.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if here.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// The number of `#` of `r#".."#`, `br".."` and their like.
fn raw_string(rest: &str) -> Option<usize> {
    let after = ["r", "br", "cr"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let text = after.trim_start_matches('#');
    text.starts_with('"').then(|| after.len() - text.len())
}

fn string(rest: &str) -> usize {
    let mut escaped = false;
    let open = rest.find('"').map_or(rest.len(), |at| at + 1);
    for (at, c) in rest[open..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return open + at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'a'` and `'\''` are characters, `'a` is a lifetime: of that only the quote goes.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, c))) => {
            let after = at + c.len_utf8();
            rest[after..].find('\'').map_or(rest.len(), |end| after + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

/// How many lines hold more than a comment.
pub(crate) fn lines_of_code(source: &str) -> usize {
    let mut lines: Vec<usize> = Vec::new();
    let (mut rest, mut line) = (source, 1);
    while let Some(first) = rest.chars().next() {
        let (length, _) = next(rest, first);
        let piece = &rest[..length];
        if !first.is_whitespace() && !piece.starts_with("//") && !piece.starts_with("/*") {
            // a string of several lines is as long as it looks
            lines.extend(piece.lines().enumerate().map(|(n, _)| line + n));
        }
        line += piece.matches('\n').count();
        rest = &rest[length..];
    }
    lines.dedup();
    lines.len()
}

/// A path from the root of this crate, and where it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) path: Vec<String>,
    pub(crate) line: usize,
}

/// Every path that begins with `crate`, `self` or `super`, with its braces opened and `super` resolved. `here`: the module of
/// this file. The rest of the words, in which such a path is not, comes second.
pub(crate) fn paths(tokens: &[Token], here: &[String]) -> (Vec<Used>, Vec<Token>) {
    let (mut used, mut rest) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < tokens.len() {
        let begins = matches!(tokens[at].text.as_str(), "crate" | "self" | "super");
        let inside = at > 0 && tokens[at - 1].text == "::";
        if begins && !inside && is(tokens, at + 1, "::") {
            at = tree(tokens, at, here, &mut used);
        } else {
            rest.push(tokens[at].clone());
            at += 1;
        }
    }
    (used, rest)
}

fn is(tokens: &[Token], at: usize, text: &str) -> bool {
    tokens.get(at).is_some_and(|t| t.text == text)
}

/// Reads one path, or a tree of them, and answers where it ends.
fn tree(tokens: &[Token], mut at: usize, before: &[String], used: &mut Vec<Used>) -> usize {
    let mut path = before.to_vec();
    let line = tokens[at].line;
    loop {
        match tokens.get(at).map_or("", |t| t.text.as_str()) {
            "crate" => path.clear(),
            "self" => {}
            "super" => drop(path.pop()),
            "{" => {
                at += 1;
                while at < tokens.len() && !is(tokens, at, "}") {
                    at = if is(tokens, at, ",") { at + 1 } else { tree(tokens, at, &path, used) };
                }
                return at + 1;
            }
            word => path.push(word.to_owned()),
        }
        at += 1;
        if !is(tokens, at, "::") {
            break;
        }
        at += 1;
    }
    if is(tokens, at, "as") {
        at += 2;
    }
    used.push(Used { path, line });
    at
}
