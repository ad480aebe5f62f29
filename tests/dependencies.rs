//! What comes in with this crate: licences, sources, bans (the rules of `deny.toml`), Rust versions and the number of crates.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot ask cargo has failed")]

use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

/// How many crates the default features bring on this platform, build-time ones included. Lower it when it falls; raise it
/// only with a reason in DESIGN.md.
const DEFAULT_TREE: usize = 26;

/// `rust-version` in Cargo.toml.
const MSRV: &str = env!("CARGO_PKG_RUST_VERSION");

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

fn cargo(args: &[&str]) -> String {
    let out = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(out.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn read(file: &str) -> String {
    fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Crates, as `name vX.Y.Z`, that a user of all features gets, on any platform, ours included.
///
/// `cargo metadata` alone is not enough: there the features that only tests ask for (`http2` of reqwest) are on, and bring crates.
fn shipped() -> BTreeSet<String> {
    let edges = ["--edges", "normal,build", "--target", "all", "--prefix", "none", "--format", "{p}"];
    let tree = cargo(&[&["tree", "--locked", "--all-features"][..], &edges].concat());
    tree.lines().filter(|line| !line.is_empty()).map(name_and_version).collect()
}

fn name_and_version(line: &str) -> String {
    line.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

/// Every crate that a user of all features gets, on any platform; ours and those that only tests use are not in it.
fn published() -> Vec<Value> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--format-version", "1", "--locked", "--all-features"])).unwrap();
    let nodes: BTreeMap<&str, &Value> =
        array(&metadata["resolve"]["nodes"]).map(|node| (node["id"].as_str().unwrap(), node)).collect();
    let root = metadata["resolve"]["root"].as_str().unwrap();
    let (mut seen, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            let shipped = |dep: &&Value| array(&dep["dep_kinds"]).any(|kind| kind["kind"] != "dev");
            open.extend(array(&nodes[id]["deps"]).filter(shipped).map(|dep| dep["pkg"].as_str().unwrap()));
        }
    }
    seen.remove(root);
    let shipped = shipped();
    let ours = |package: &&Value| {
        let name = format!("{} v{}", text(package, "name"), text(package, "version"));
        seen.contains(package["id"].as_str().unwrap()) && shipped.contains(&name)
    };
    array(&metadata["packages"]).filter(ours).cloned().collect()
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().unwrap().iter()
}

fn text<'a>(package: &'a Value, field: &str) -> &'a str {
    package[field].as_str().unwrap_or_default()
}

/// The quoted words of a list in `deny.toml`: `name = [ .. ]`, and of each item what follows `before`.
fn list(toml: &str, name: &str, before: &str) -> Vec<String> {
    let begin = toml.find(&format!("\n{name} = [\n")).unwrap_or_else(|| panic!("no {name} in deny.toml"));
    let lines = toml[begin + 1..].lines().skip(1).take_while(|line| *line != "]");
    lines.filter_map(|line| line.split_once(before)?.1.split('"').next().map(str::to_owned)).collect()
}

#[test]
fn licences_sources_and_bans_are_those_of_deny_toml() {
    let rules = read("deny.toml");
    let (allowed, banned) = (list(&rules, "allow", "    \""), list(&rules, "deny", "crate = \""));
    assert!(allowed.len() > 3 && banned.len() > 3, "{allowed:?} {banned:?}");
    let packages = published();
    assert!(packages.len() > 50, "only {} crates found", packages.len());
    let mut wrong = Vec::new();
    for package in &packages {
        let (name, licence, source) = (text(package, "name"), text(package, "license"), text(package, "source"));
        if !permits(licence, &allowed) {
            wrong.push(format!("{name}: the licence {licence:?} is not allowed"));
        }
        if source != CRATES_IO {
            wrong.push(format!("{name}: comes from {source:?}"));
        }
        if banned.iter().any(|b| b == name) {
            wrong.push(format!("{name}: is banned"));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn what_needs_a_newer_rust_is_told_in_the_readme() {
    let readme = read("README.md");
    assert!(readme.contains(MSRV), "the README does not say that Rust {MSRV} is needed");
    for package in published() {
        let (name, needs) = (text(&package, "name"), text(&package, "rust_version"));
        let told = || readme.lines().any(|line| line.contains(name) && line.contains(minor(needs)));
        assert!(version(needs) <= version(MSRV) || told(), "{name} needs Rust {needs}: the README does not say so");
    }
}

#[test]
fn the_default_features_bring_no_more_crates_than_written_down() {
    let tree = cargo(&["tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"]);
    let crates: BTreeSet<String> = tree.lines().filter(|line| !line.is_empty()).map(name_and_version).collect();
    // ours is one of them
    let besides = crates.len() - 1;
    assert_eq!(besides, DEFAULT_TREE, "{crates:#?}");
}

/// `1.88` of `1.88.0`.
fn minor(version: &str) -> &str {
    version.match_indices('.').nth(1).map_or(version, |(at, _)| &version[..at])
}

fn version(text: &str) -> Vec<u32> {
    text.split('.').filter_map(|part| part.parse().ok()).chain(std::iter::repeat(0)).take(3).collect()
}

/// Whether an SPDX expression (or the older `MIT/Apache-2.0`) can be met with the allowed licences. `AND` binds tighter than
/// `OR`; an exception (`WITH`) only adds permissions.
fn permits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut permitted = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        permitted |= all_of(words, at, allowed);
    }
    permitted
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut permitted = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        permitted &= one(words, at, allowed);
    }
    permitted
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let word = words.get(*at).copied().unwrap_or_default();
    *at += 1;
    if word == "(" {
        let permitted = any_of(words, at, allowed);
        *at += 1;
        return permitted;
    }
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    allowed.iter().any(|licence| licence == word)
}

#[test]
fn licence_expressions_are_read_as_spdx_has_them() {
    let allowed = ["MIT", "Apache-2.0", "Unicode-3.0"].map(str::to_owned);
    for yes in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
        "GPL-3.0 AND MIT OR MIT",
    ] {
        assert!(permits(yes, &allowed), "{yes}");
    }
    for no in
        ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0", "GPL-3.0 OR LGPL-3.0", "MIT Apache-2.0"]
    {
        assert!(!permits(no, &allowed), "{no}");
    }
}

#[test]
fn a_missing_third_number_of_a_version_is_zero() {
    assert!(version("1.88") == version("1.88.0") && version("1.89") > version("1.88.7"));
    assert_eq!((minor("1.88.0"), minor("1.88")), ("1.88", "1.88"));
}
