//! What the compiler says of a body that nobody can make again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles a program against this crate as it was just built. What the compiler says; `None`: it had nothing against it.
fn check(library: &Path, main: &str, name: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join(format!("{name}.rs"));
    fs::write(
        &source,
        format!("#![allow(dead_code)] fn sent_again<B: steadfast::body::FromReplay>() {{}} fn main() {{ {main} }}"),
    )
    .unwrap();
    let compiler = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let mut compile = Command::new(compiler);
    compile.args(["--edition=2024", "--crate-type=bin", "--emit=metadata"]).arg("--out-dir").arg(folder).arg(&source);
    compile.arg("--extern").arg(format!("steadfast={}", library.display()));
    compile.arg("-L").arg(format!("dependency={}", library.parent().unwrap().display()));
    let said = compile.output().unwrap();
    (!said.status.success()).then(|| String::from_utf8(said.stderr).unwrap())
}

/// The builds of this crate beside the test, the newest first.
fn libraries() -> Vec<PathBuf> {
    let test = std::env::current_exe().unwrap();
    let files = fs::read_dir(test.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut found: Vec<_> = files
        .filter(|path| {
            name(path).starts_with("libsteadfast-") && path.extension().is_some_and(|extension| extension == "rlib")
        })
        .collect();
    found.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().modified().unwrap()));
    found
}

#[test]
fn a_body_that_cannot_be_made_again_is_a_compile_error_that_says_what_to_use() {
    // without the body it compiles: so what is said is said of the body
    let fits = |library: &PathBuf| check(library, "", "no_body").is_none();
    let library = libraries().into_iter().find(fits).expect("a build of this crate");
    let said = check(&library, "sent_again::<String>()", "unknown_body").unwrap();
    assert!(said.contains("E0277"), "{said}");
    // with or without the path of the type: that depends on what else is called so
    assert!(said.contains("the request body `"), "{said}");
    assert!(said.contains("String` cannot be made again from what was kept of it"), "{said}");
    assert!(said.contains("axum::body::Body, tonic::body::Body, reqwest::Body"), "{said}");
}
