//! The house keeps its shape: `docs/design/tiers.md` says which crate may depend on which, and this test holds the
//! manifests to it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The rule: rows in the order of the table.
struct Table {
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// `None` for the crate that is for tests only.
    tier: Option<u8>,
    name: String,
    outside: BTreeSet<String>,
}

/// What a manifest says.
struct Member {
    name: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    ours: bool,
    dev: bool,
}

#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Violation {
    /// A member of the workspace without a row.
    NoRow(String),
    /// A row without a member.
    NoMember(String),
    /// An arrow to a higher tier, or to a row below.
    Upwards { from: String, to: String },
    /// A dependency that the row of a core crate does not name.
    Outside { from: String, to: String },
    /// The crate for tests is used by something else than tests.
    NotForTests { from: String },
}

/// Packages that may use everything and that nothing uses.
const LEAVES: [&str; 2] = ["benches", "examples"];
/// Allowed everywhere.
const ALWAYS: &str = "thiserror";
/// The highest tier whose outside dependencies are counted.
const CORE: u8 = 1;

impl Row {
    fn is_core(&self) -> bool {
        self.tier.is_some_and(|tier| tier <= CORE)
    }
}

impl Table {
    /// Reads the one table of `docs/design/tiers.md`.
    fn parse(page: &str) -> Self {
        let rows = page
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix('|'))
            .map(|line| line.split('|').map(str::trim).collect::<Vec<_>>())
            .filter(|cells| cells.len() == 4 && cells[1].starts_with('`'))
            .map(|cells| Row {
                tier: cells[0].parse().ok(),
                name: cells[1].trim_matches('`').to_owned(),
                outside: cells[3]
                    .split('`')
                    .skip(1)
                    .step_by(2)
                    .map(str::to_owned)
                    .collect(),
            })
            .collect();
        Self { rows }
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.rows.iter().position(|row| row.name == name)
    }

    fn violations(&self, members: &[Member]) -> Vec<Violation> {
        let mut found = Vec::new();
        for member in members {
            if LEAVES.contains(&member.name.as_str()) {
                continue;
            }
            let from = || member.name.clone();
            let Some(at) = self.position(&member.name) else {
                found.push(Violation::NoRow(from()));
                continue;
            };
            let row = &self.rows[at];
            for dependency in member
                .dependencies
                .iter()
                .filter(|dependency| !dependency.dev)
            {
                let to = dependency.name.clone();
                if dependency.ours {
                    let target = self.position(&to);
                    match target.map(|position| (position, self.rows[position].tier)) {
                        Some((_, None)) => found.push(Violation::NotForTests { from: from() }),
                        Some((position, tier))
                            if row.tier.is_none() || (tier, position) < (row.tier, at) => {}
                        _ => found.push(Violation::Upwards { from: from(), to }),
                    }
                } else if row.is_core() && to != ALWAYS && !row.outside.contains(&to) {
                    found.push(Violation::Outside { from: from(), to });
                }
            }
        }
        for row in &self.rows {
            if !members.iter().any(|member| member.name == row.name) {
                found.push(Violation::NoMember(row.name.clone()));
            }
        }
        found.sort();
        found
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/testing lies two below")
        .to_owned()
}

fn table() -> Table {
    let page = root().join("docs/design/tiers.md");
    Table::parse(
        &fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display())),
    )
}

/// The members of the workspace, by what stands in their manifests. Nothing is resolved, so nothing is downloaded.
fn members() -> Vec<(Member, PathBuf)> {
    let metadata = MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .exec()
        .expect("cargo metadata reads the workspace");
    let ours = |name: &str| name.strip_prefix("plastron-").map(str::to_owned);
    metadata
        .packages
        .iter()
        .map(|package| {
            let dependencies = package
                .dependencies
                .iter()
                .map(|dependency| Dependency {
                    name: ours(&dependency.name).unwrap_or_else(|| dependency.name.clone()),
                    ours: dependency.path.is_some(),
                    dev: dependency.kind == DependencyKind::Development,
                })
                .collect();
            let name = ours(&package.name)
                .unwrap_or_else(|| panic!("{} lacks the prefix plastron-", package.name));
            (
                Member { name, dependencies },
                package.manifest_path.clone().into_std_path_buf(),
            )
        })
        .collect()
}

#[test]
fn arrows_point_downwards() {
    let members: Vec<_> = members().into_iter().map(|(member, _)| member).collect();
    assert_eq!(
        table().violations(&members),
        [],
        "docs/design/tiers.md has the rule"
    );
}

#[test]
fn every_crate_takes_over_the_lints_and_package_data_of_the_workspace() {
    let manifest: toml::Table = read(&root().join("Cargo.toml"));
    let shared = &manifest["workspace"]["package"];
    assert_eq!(
        manifest["workspace"]["lints"]["rust"]["unsafe_code"].as_str(),
        Some("forbid")
    );

    for (member, path) in members() {
        let manifest = read(&path);
        let lints = manifest
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        let inherits = lints.and_then(toml::Value::as_bool) == Some(true);
        // Peer credentials and descriptors that come along with bytes need system calls.
        assert_eq!(
            inherits,
            member.name != "attest-unix",
            "[lints] workspace in {}",
            path.display()
        );

        let package = manifest["package"]
            .as_table()
            .expect("[package] is a table");
        assert!(
            package.contains_key("description"),
            "{} says what it holds",
            path.display()
        );
        for key in shared
            .as_table()
            .expect("[workspace.package] is a table")
            .keys()
        {
            let leaf = LEAVES.contains(&member.name.as_str())
                && matches!(key.as_str(), "keywords" | "categories" | "repository");
            let inherits = package
                .get(key)
                .and_then(|value| value.get("workspace"))
                .is_some();
            assert!(
                inherits || leaf,
                "{key}.workspace = true is missing in {}",
                path.display()
            );
        }
        let own = versions_of_their_own(&manifest);
        assert!(
            own.is_empty(),
            "{own:?} of {}: versions live in the workspace table",
            path.display()
        );
    }
}

/// Dependencies that do not come from the workspace table.
fn versions_of_their_own(manifest: &toml::Table) -> Vec<(&'static str, String)> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| Some((kind, manifest.get(kind)?.as_table()?)))
        .flat_map(|(kind, table)| table.iter().map(move |(name, value)| (kind, name, value)))
        .filter(|(_, _, value)| value.get("workspace").is_none())
        .map(|(kind, name, _)| (kind, name.clone()))
        .collect()
}

fn read(path: &Path) -> toml::Table {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rule itself, on graphs made to break it.
mod rule {
    use super::{Dependency, Member, Table, Violation};

    const PAGE: &str = "
| tier | crate | holds | may depend on |
| --- | --- | --- | --- |
| 0 | `id` | names | `serde` (feature) |
| 1 | `keys` | keys | |
| 1 | `svid` | documents | |
| 2 | `wire` | messages | `tonic` |
| – | `testing` | for tests | |
";

    /// `"svid > id keys +der -proptest"`: uses two of ours, `der` from outside, and `proptest` in tests.
    fn member(text: &str) -> Member {
        let (name, dependencies) = text.split_once(" >").unwrap_or((text, ""));
        let dependencies = dependencies
            .split_whitespace()
            .map(|word| Dependency {
                name: word.trim_start_matches(['+', '-', '=']).to_owned(),
                ours: !word.starts_with(['+', '-']),
                dev: word.starts_with(['-', '=']),
            })
            .collect();
        Member {
            name: name.to_owned(),
            dependencies,
        }
    }

    fn violations(changed: &str) -> Vec<Violation> {
        let good = [
            "id > +serde",
            "keys > id",
            "svid > id keys +thiserror",
            "wire > svid +bytes",
            "testing > wire",
        ];
        let changed = member(changed);
        let mut members: Vec<_> = good.map(member).into();
        members.retain(|member| member.name != changed.name);
        members.push(changed);
        Table::parse(PAGE).violations(&members)
    }

    #[test]
    fn accepts_arrows_downwards_and_anything_in_tests() {
        for good in [
            "svid > id keys",
            "svid > -proptest =wire =testing",
            "benches > svid testing +criterion",
        ] {
            assert_eq!(violations(good), [], "{good}");
        }
    }

    #[test]
    fn names_what_breaks_it() {
        let upwards = |from: &str, to: &str| Violation::Upwards {
            from: from.into(),
            to: to.into(),
        };
        let outside = |from: &str, to: &str| Violation::Outside {
            from: from.into(),
            to: to.into(),
        };
        for (bad, want) in [
            ("id > +serde keys", upwards("id", "keys")),
            ("keys > svid", upwards("keys", "svid")),
            ("svid > svid", upwards("svid", "svid")),
            ("svid > benches", upwards("svid", "benches")),
            ("svid > +der", outside("svid", "der")),
            ("id > +serde +tokio", outside("id", "tokio")),
            (
                "wire > testing",
                Violation::NotForTests {
                    from: "wire".into(),
                },
            ),
            ("attic > id", Violation::NoRow("attic".into())),
        ] {
            assert_eq!(violations(bad), [want], "{bad}");
        }
    }

    #[test]
    fn names_rows_that_stand_for_nothing() {
        assert_eq!(
            Table::parse(PAGE).violations(&["id > +serde", "keys", "svid", "wire"].map(member)),
            [Violation::NoMember("testing".into())]
        );
    }
}
