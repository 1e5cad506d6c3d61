//! The crate does without `std`. `.ci/run alone` builds it for a target that has none, where that target can be had; this
//! holds everywhere.

use std::{fs, path::Path};

#[test]
fn nothing_in_the_crate_names_std() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lib = fs::read_to_string(root.join("src/lib.rs")).expect("a crate has one");
    assert!(lib.lines().any(|line| line == "#![no_std]"));
    for file in fs::read_dir(root.join("src")).expect("there is a folder") {
        let path = file.expect("can be read").path();
        let text = fs::read_to_string(&path).expect("all are files");
        for line in text.lines().filter(|line| !line.trim().starts_with("//")) {
            let names_std = line.contains("std::") || line.contains("extern crate std");
            assert!(!names_std, "{}: {line}", path.display());
        }
    }
    // A dependency with default features would bring `std` in through the back door.
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("a crate has one");
    let dependencies = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let dependencies = dependencies.split('[').next().unwrap_or_default();
    for line in dependencies.lines().filter(|line| !line.is_empty()) {
        assert!(line.starts_with("serde_core"), "{line}");
    }
    let workspace = fs::read_to_string(root.join("../../Cargo.toml")).expect("a workspace has one");
    let serde = workspace
        .lines()
        .find(|line| line.starts_with("serde_core"));
    assert!(serde.is_some_and(|line| line.contains("default-features = false")));
}
