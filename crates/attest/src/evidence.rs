//! What an attestor found out about a caller.

use std::borrow::Cow;
use std::path::PathBuf;

use plastron_entry::{Selector, Selectors};

/// What is established about a caller, what it rests on, and what could not be seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Evidence {
    /// All selectors established.
    pub selectors: Selectors,
    /// Those of [`selectors`](Self::selectors) that hang on the program which runs, not on who runs it. An entry that
    /// asks for one of these is answered only to a program that has [spoken](crate::PeerHandle::spoken) for itself.
    pub program: Selectors,
    /// The facts, for records and explanations.
    pub facts: Facts,
    /// Selectors that exist but could not be established, and why.
    pub missing: Vec<Missing>,
    /// Some of [`missing`](Self::missing) waits for somebody else's answer, not for another caller: it is worth looking again
    /// in a while.
    pub unfinished: bool,
}

impl Evidence {
    /// Adds what another attestor found out about the same caller. Facts known already stay.
    pub fn merge(&mut self, other: Self) {
        self.selectors.extend(other.selectors);
        self.program.extend(other.program);
        self.missing.extend(other.missing);
        self.unfinished |= other.unfinished;
        if self.facts.groups.is_empty() {
            self.facts.groups = other.facts.groups;
        }
        if self.facts.path.is_none() {
            self.facts.path = other.facts.path;
        }
    }

    /// Whether an entry that asks for `selectors` hangs on the program.
    pub fn hangs_on_program<'a>(&self, selectors: impl IntoIterator<Item = &'a Selector>) -> bool {
        selectors
            .into_iter()
            .any(|selector| self.program.contains(selector.as_str()))
    }
}

/// The kernel's facts about a process, as an audit record shows them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Facts {
    /// Process id in the agent's namespace.
    pub pid: i32,
    /// Effective user id.
    pub uid: u32,
    /// Effective group id.
    pub gid: u32,
    /// Supplementary group ids. Empty when there are none or they could not be seen.
    pub groups: Vec<u32>,
    /// The file that runs, when one could be established.
    pub path: Option<PathBuf>,
}

impl Facts {
    /// The facts that come with the connection itself; the others are left open.
    pub fn new(pid: i32, uid: u32, gid: u32) -> Self {
        Self {
            pid,
            uid,
            gid,
            ..Self::default()
        }
    }
}

/// A sort of selector that could not be established for this caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Missing {
    /// Kind and name of the selector, such as `unix:sha256`.
    pub what: &'static str,
    /// Why, in words for an operator: `no permission to read /proc/7/exe`.
    pub why: Cow<'static, str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> Selectors {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn evidence_of_several_attestors_adds_up_and_known_facts_stay() {
        let mut unix = Evidence {
            selectors: set(&["unix:uid:1", "unix:path:/bin/a"]),
            program: set(&["unix:path:/bin/a"]),
            facts: Facts {
                path: Some("/bin/a".into()),
                ..Facts::new(7, 1, 2)
            },
            missing: vec![Missing {
                what: "unix:sha256",
                why: "file too large".into(),
            }],
            unfinished: false,
        };
        unix.merge(Evidence {
            selectors: set(&["docker:image_id:x"]),
            facts: Facts {
                path: Some("/in/container".into()),
                groups: vec![5],
                ..Facts::new(7, 1, 2)
            },
            unfinished: true,
            ..Evidence::default()
        });
        assert_eq!(
            unix.selectors,
            set(&["docker:image_id:x", "unix:path:/bin/a", "unix:uid:1"])
        );
        assert_eq!(unix.facts.path.as_deref(), Some("/bin/a".as_ref()));
        assert_eq!(unix.facts.groups, [5]);
        assert_eq!(unix.missing.len(), 1);
        assert!(unix.unfinished, "because the other is");
        assert!(unix.hangs_on_program(&set(&["unix:path:/bin/a", "unix:uid:1"])));
        assert!(!unix.hangs_on_program(&set(&["unix:uid:1"])));
    }
}
