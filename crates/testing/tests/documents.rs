//! What documents point at is there.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    let testing = Path::new(env!("CARGO_MANIFEST_DIR"));
    testing
        .ancestors()
        .nth(2)
        .expect("crates/testing lies two below")
}

/// Markdown files at the root and below `docs`.
fn documents() -> Vec<PathBuf> {
    let mut folders = vec![root().join("docs")];
    let mut found = Vec::new();
    let is_document = |path: &Path| path.extension().is_some_and(|extension| extension == "md");
    let entries = |folder: &Path| {
        let entries =
            fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        entries
            .map(|entry| entry.expect("the folder can be read").path())
            .collect::<Vec<_>>()
    };
    found.extend(entries(root()).into_iter().filter(|path| is_document(path)));
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else if is_document(&path) {
                found.push(path);
            }
        }
    }
    found
}

/// Targets of `[text](target)` outside of code, without those that leave the repository.
fn links(text: &str) -> Vec<&str> {
    let prose = text
        .split("```")
        .step_by(2)
        .flat_map(|part| part.split('`').step_by(2));
    prose
        .flat_map(|part| part.split("](").skip(1))
        .filter_map(|rest| rest.split(')').next())
        .filter(|target| !target.starts_with("http") && !target.starts_with('#'))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for document in documents() {
        let text = fs::read_to_string(&document).expect("documents are text");
        let folder = document.parent().expect("a file lies in a folder");
        for target in links(&text) {
            let path = folder.join(target.split('#').next().unwrap_or(target));
            if !path.exists() {
                broken.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn finds_links_and_leaves_code_alone() {
    let text =
        "see [a](a.md), `[b](b.md)` and [c](docs/c.md#part)\n```\n[d](d.md)\n```\n[e](https://e)";
    assert_eq!(links(text), ["a.md", "docs/c.md#part"]);
}
