//! The page for operators has every key of the configuration with its default, and none besides.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// Keys with their defaults, as `run --help` has them.
fn helped() -> Result<BTreeMap<String, Option<String>>, Box<dyn std::error::Error>> {
    let output = Command::new(env!("CARGO_BIN_EXE_plastron-agent"))
        .args(["run", "--help"])
        .output()?;
    let help = String::from_utf8(output.stdout)?;
    let paragraphs = help.split("\n\n").map(|paragraph| {
        let words: Vec<_> = paragraph.split_whitespace().collect();
        words.join(" ")
    });
    let keys = paragraphs.filter_map(|paragraph| {
        let (before, _) = paragraph.split_once(" in the file")?;
        let key = before.rsplit(' ').next()?.to_owned();
        let default = paragraph
            .split_once("[default: ")
            .and_then(|(_, rest)| rest.split(']').next());
        Some((key, default.map(str::to_owned)))
    });
    Ok(keys.collect())
}

/// Keys with what the page says of their defaults.
fn documented(page: &str) -> BTreeMap<String, String> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let keys = rows.filter_map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let key = cells[0].strip_suffix('`')?;
        // The table of entry keys has two columns.
        (cells.len() == 5).then(|| (key.to_owned(), cells[1].replace('`', "")))
    });
    keys.collect()
}

#[test]
fn the_page_has_every_key_with_its_default() -> Outcome {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/operators/configuration.md"))?;
    let documented = documented(&page);
    let helped = helped()?;
    assert!(helped.len() > 20, "the help names the keys: {helped:?}");
    assert_eq!(
        documented.keys().collect::<Vec<_>>(),
        helped.keys().collect::<Vec<_>>()
    );
    for (key, default) in helped {
        // A default in words may be said in others.
        if let Some(default) = default.filter(|default| !default.contains(' ')) {
            assert_eq!(documented[&key], default, "the default of {key}");
        }
    }
    Ok(())
}
