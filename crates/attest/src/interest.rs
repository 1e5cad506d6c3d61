//! Which sorts of selectors anybody asks for.

use std::collections::BTreeSet;

use plastron_entry::Selector;

/// The sorts of selectors that matter, by kind and name: `unix:sha256` when an entry has `unix:sha256:9f86…`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interest(Scope);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Scope {
    All,
    /// `kind:name`
    Names(BTreeSet<Box<str>>),
}

impl Default for Scope {
    fn default() -> Self {
        Self::Names(BTreeSet::new())
    }
}

impl Interest {
    /// Everything that can be established, as an explanation wants it.
    pub const fn all() -> Self {
        Self(Scope::All)
    }

    /// The sorts of these selectors, usually those of all entries.
    pub fn of<'a>(selectors: impl IntoIterator<Item = &'a Selector>) -> Self {
        let mut names = BTreeSet::<Box<str>>::new();
        for selector in selectors {
            let sort = selector.sort();
            if !names.contains(sort) {
                names.insert(sort.into());
            }
        }
        Self(Scope::Names(names))
    }

    /// Whether everything that matters to `other` matters here too: whoever looked for this need not look again for that.
    pub fn covers(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Scope::All, _) => true,
            (Scope::Names(_), Scope::All) => false,
            (Scope::Names(these), Scope::Names(others)) => these.is_superset(others),
        }
    }

    /// Whether selectors of this kind and name matter: `wants("unix", "sha256")`.
    pub fn wants(&self, kind: &str, name: &str) -> bool {
        match &self.0 {
            Scope::All => true,
            Scope::Names(names) => names.iter().any(|sort| {
                sort.strip_prefix(kind)
                    .and_then(|rest| rest.strip_prefix(':'))
                    == Some(name)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_entry_names_is_wanted() {
        let selectors: Vec<Selector> = [
            "unix:uid:1000",
            "unix:path:/bin/a",
            "unix:uid:0",
            "systemd:id",
        ]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
        let interest = Interest::of(&selectors);
        for (kind, name, want) in [
            ("unix", "uid", true),
            ("unix", "path", true),
            ("systemd", "id", true),
            ("unix", "sha256", false),
            ("unix", "uid:1000", false),
            ("docker", "path", false),
        ] {
            assert_eq!(interest.wants(kind, name), want, "{kind}:{name}");
            assert!(Interest::all().wants(kind, name));
            assert!(!Interest::default().wants(kind, name));
        }
    }

    #[test]
    fn who_looked_for_more_need_not_look_again_for_less() {
        let of = |texts: &[&str]| {
            let selectors: Vec<Selector> = texts.iter().map(|text| text.parse().unwrap()).collect();
            Interest::of(&selectors)
        };
        let (less, more) = (of(&["unix:uid:1"]), of(&["unix:uid:2", "unix:path:/a"]));
        for (of, other, want) in [
            (&more, &less, true),
            (&less, &more, false),
            (&less, &less, true),
            (&Interest::all(), &more, true),
            (&more, &Interest::all(), false),
            (&Interest::default(), &less, false),
            (&less, &Interest::default(), true),
        ] {
            assert_eq!(of.covers(other), want, "{of:?} {other:?}");
        }
    }
}
