//! Reads the documentation: Markdown files, and the doc comments of Rust files.

use std::{fs, path::Path};

/// A file with documentation in it.
pub(crate) struct Page {
    /// Relative to the repository, with `/`.
    pub(crate) file: String,
    /// The Markdown of each line; a line of a Rust file that is no doc comment is `None`.
    lines: Vec<Option<String>>,
    /// The pages that a Rust file makes part of its own documentation.
    included: Vec<String>,
}

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) file: String,
    /// Of the opening fence, from 1.
    pub(crate) line: usize,
    /// The text after the opening fence.
    pub(crate) info: String,
    /// `name` or `name: detail` of the hidden comment in the line above the fence.
    pub(crate) mark: Option<Mark>,
    pub(crate) code: String,
    pub(crate) is_closed: bool,
}

/// `<!-- name: detail -->`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) name: String,
    pub(crate) detail: String,
}

impl Mark {
    fn parse(line: &str) -> Option<Self> {
        let inner = line.trim().strip_prefix("<!--")?.strip_suffix("-->")?.trim();
        let (name, detail) = inner.split_once(':').unwrap_or((inner, ""));
        Some(Self { name: name.trim().to_owned(), detail: detail.trim().to_owned() })
    }
}

impl Page {
    pub(crate) fn new(file: &str, text: &str) -> Self {
        let is_rust = has_extension(file, "rs");
        let comment = |line: &str| {
            let line = line.trim_start();
            let text =
                line.strip_prefix("//!").or_else(|| line.strip_prefix("///").filter(|rest| !rest.starts_with('/')));
            text.map(|text| text.strip_prefix(' ').unwrap_or(text).to_owned())
        };
        let lines = text.lines().map(|line| if is_rust { comment(line) } else { Some(line.to_owned()) }).collect();
        let included =
            text.lines().filter_map(|line| line.trim().strip_prefix("#![doc = include_str!(\"")?.strip_suffix("\")]"));
        let included = included.map(|path| path.trim_start_matches("../").to_owned()).collect();
        Self { file: file.to_owned(), lines, included }
    }

    pub(crate) fn is_markdown(&self) -> bool {
        has_extension(&self.file, "md")
    }

    /// Whether this file makes `page` part of the documentation of the crate.
    pub(crate) fn includes(&self, page: &str) -> bool {
        self.file.starts_with("src/") && self.included.iter().any(|included| included == page)
    }

    /// Numbered lines that are documentation, with those of blocks.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(&self.lines).filter_map(|(number, line)| Some((number, line.as_deref()?)))
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        let mut above = None;
        for (number, line) in (1..).zip(&self.lines) {
            // a doc comment ends, and with it every block in it
            let Some(line) = line.as_deref() else {
                blocks.extend(open.take());
                above = None;
                continue;
            };
            let fence = line.trim_start().strip_prefix("```");
            match (&mut open, fence) {
                (None, Some(info)) => {
                    let mark = above.take().and_then(Mark::parse);
                    let info = info.trim().to_owned();
                    let file = self.file.clone();
                    open = Some(Block { file, line: number, info, mark, code: String::new(), is_closed: false });
                }
                (Some(_), Some("")) => {
                    blocks.extend(open.take().map(|block| Block { is_closed: true, ..block }));
                }
                (Some(block), _) => {
                    block.code.push_str(line);
                    block.code.push('\n');
                }
                (None, None) => above = Some(line),
            }
        }
        blocks.extend(open);
        blocks
    }

    /// The numbers of lines that begin a block by their indentation: four spaces after an empty line, outside of lists.
    pub(crate) fn indented(&self) -> impl Iterator<Item = usize> {
        let mut is_list = false;
        let mut after_empty = true;
        self.prose().into_iter().filter_map(move |(number, line)| {
            let text = line.trim_start();
            let begins_item = ["- ", "* "].iter().any(|item| text.starts_with(item))
                || text.split_once(". ").is_some_and(|(n, _)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
            is_list = begins_item || (is_list && (text.is_empty() || line.starts_with(' ')));
            let begins = after_empty && line.starts_with("    ") && !text.is_empty() && !is_list;
            after_empty = text.is_empty();
            begins.then_some(number)
        })
    }

    /// Numbered lines outside of blocks.
    pub(crate) fn prose(&self) -> Vec<(usize, &str)> {
        let mut is_code = false;
        let mut outside = |line: &str| {
            let fence = line.trim_start().starts_with("```");
            is_code ^= fence;
            !is_code && !fence
        };
        self.lines().filter(|(_, line)| outside(line)).collect()
    }
}

impl Block {
    /// A block that stands nowhere, for tests of the tests.
    pub(crate) fn empty(info: &str) -> Self {
        let (file, info) = ("docs/x.md".to_owned(), info.to_owned());
        Self { file, line: 1, info, mark: None, code: String::new(), is_closed: true }
    }

    /// `docs/x.md:12`.
    pub(crate) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// The words after the fence, as rustdoc splits them.
    pub(crate) fn words(&self) -> Vec<&str> {
        self.info.split([',', ' ']).filter(|word| !word.is_empty()).collect()
    }

    /// The lines that a reader sees: rustdoc hides those that begin with `# `.
    pub(crate) fn shown(&self) -> String {
        let hidden = |line: &&str| *line == "#" || line.starts_with("# ");
        let mut shown: Vec<&str> = self.code.lines().filter(|line| !hidden(line)).collect();
        while shown.first().is_some_and(|line| line.is_empty()) {
            shown.remove(0);
        }
        shown.join("\n")
    }
}

/// All of the repository's documentation.
pub(crate) fn pages() -> Vec<Page> {
    let mut pages = Vec::new();
    collect(Path::new(env!("CARGO_MANIFEST_DIR")), "", &mut pages);
    assert!(pages.len() > 200, "only {} files found", pages.len());
    pages
}

fn has_extension(file: &str, extension: &str) -> bool {
    Path::new(file).extension().is_some_and(|its| its == extension)
}

fn collect(root: &Path, folder: &str, pages: &mut Vec<Page>) {
    let mut entries: Vec<_> = fs::read_dir(root.join(folder)).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().unwrap();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" {
                collect(root, &path, pages);
            }
        } else if ["md", "rs"].iter().any(|extension| has_extension(&name, extension)) {
            pages.push(Page::new(&path, &fs::read_to_string(entry.path()).unwrap()));
        }
    }
}

/// All blocks with this mark, in all of the documentation: at least one.
pub(crate) fn marked(name: &str) -> Vec<Block> {
    let has = |block: &Block| block.mark.as_ref().is_some_and(|mark| mark.name == name);
    let blocks: Vec<Block> = pages().iter().flat_map(Page::blocks).filter(has).collect();
    assert!(!blocks.is_empty(), "no block is marked <!-- {name} -->");
    blocks
}

/// The blocks with this mark and this detail. `details` are all that the test of this mark knows: another one fails.
pub(crate) fn detailed(name: &str, detail: &str, details: &[&str]) -> Vec<Block> {
    let of = |block: &Block| block.mark.as_ref().map_or(String::new(), |mark| mark.detail.clone());
    let blocks = marked(name);
    for block in &blocks {
        assert!(
            details.contains(&of(block).as_str()),
            "{}: <!-- {name}: {} --> is none of {details:?}",
            block.place(),
            of(block)
        );
    }
    blocks.into_iter().filter(|block| of(block) == detail).collect()
}

/// A file of the repository.
pub(crate) fn read(file: &str) -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).ok()
}
