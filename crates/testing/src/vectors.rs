//! Vectors that nobody here wrote, which are not in the tree.

use std::path::PathBuf;

use crate::parts::left_out;

/// The text of a file of vectors, or nothing, said in one line, where the folder is absent.
///
/// The folder is that of the variable `PLASTRON_VECTORS`, else `../shared/vectors` beside the checkout.
///
/// # Panics
///
/// When the folder is there and the file cannot be read.
pub fn read(file: &str) -> Option<String> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/vectors");
    let folder =
        std::env::var_os("PLASTRON_VECTORS").map_or_else(|| PathBuf::from(beside), PathBuf::from);
    if !folder.is_dir() {
        left_out(format_args!("no folder {}", folder.display()));
        return None;
    }
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path);
    Some(text.unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}
